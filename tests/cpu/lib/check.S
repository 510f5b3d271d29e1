// SPDX-License-Identifier: MIT
//
// From a CHECK macro to C and back, with every register and flag kept: cpu_test.h pushed flags, got, rax, want, mask, line, what.
    .text
.macro checker name, function
    .globl \name
\name:
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbp
    leaq 80(%rsp), %rdi
    pushq $2                      // DF, AC, TF off
    popfq
    movq %rsp, %rbp
    andq $-16, %rsp
    call \function
    movq %rbp, %rsp
    popq %rbp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    ret
.endm
    checker cpu_check, report_check
    checker cpu_check_flags, report_check_flags

    .bss
    .balign 64
    .globl cpu_scratch, cpu_fault, cpu_operand
cpu_operand:
    .skip 256
cpu_scratch:
    .skip 4096
cpu_fault:
    .skip 64
    .section .note.GNU-stack, "", @progbits
