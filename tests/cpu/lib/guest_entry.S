// SPDX-License-Identifier: MIT
//
// Gates and ring changes of the CPU tests as guests: one stub a vector, all into guest_trap (guest.c) with struct trap_frame on the stack.
#include "cpu_guest.h"

    .text
    .globl trap_stubs
    .balign 16
trap_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if !((0x60227d00 >> vector) & 1)
    pushq $0                      // no error code of its own
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr
    .rept 224
    .balign 16
    pushq $0
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

trap_common:
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rdi
    pushq %rsi
    pushq %rbp
    pushq %rbx
    pushq %rdx
    pushq %rcx
    pushq %rax
    cld
    movq %rsp, %rdi
    movq %rsp, %rbp
    andq $-16, %rsp
    call guest_trap
    movq %rbp, %rsp
    popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    popq %rbp
    popq %rsi
    popq %rdi
    popq %r8
    popq %r9
    popq %r10
    popq %r11
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    addq $16, %rsp
    iretq

// Ring 3 with Linux' selectors; does not come back but by an exception.
    .globl enter_ring3
enter_ring3:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    pushq $SEL_USER_DATA
    pushq $user_stack_top
    pushq $0x202
    pushq $SEL_USER_CODE
    pushq $1f
    iretq
1:  call cpu_topic_main
    cld
    call report_end

    .globl enter_ring0
enter_ring0:
    movl $user_stack_top, %esp
    call cpu_topic_main
    cld
    call report_end

// The only way out of ring 3: an undefined instruction at this address. Every engine can raise #UD.
    .globl guest_service, guest_service_at
guest_service:
guest_service_at:
    ud2

    .globl reload_segments
reload_segments:
    lgdt (%rdi)
    movl $SEL_CODE_DATA, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    popq %rax
    pushq $SEL_CODE
    pushq %rax
    lretq

    .bss
    .balign 4096
    .skip 16384
user_stack_top:
    .skip 16                      // what CHECK macros may look at above
    .section .note.GNU-stack, "", @progbits
