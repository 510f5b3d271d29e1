// SPDX-License-Identifier: MIT
//
// PUSH and POP of every size, with rsp as operand and base, ENTER and LEAVE, PUSHF and POPF in ring 3, and faults that leave rsp alone. SDM vol. 2.
#include "cpu_test.h"

.set TOP, W_RW+0x1000

// rbx keeps the real stack pointer while rsp is at TOP.
#define STACK_AT(at) movq %rsp, %rbx; movq $at, %rsp
#define STACK_BACK movq %rsp, %rbp; movq %rbx, %rsp

cpu_topic_main:
    // --- sizes and sign extension ---
    STACK_AT(TOP)
    SET(%rax, 0x1122334455667788)
    pushq %rax
    STACK_BACK
    CHECK_EQ(%rbp, TOP-8, push r64)
    CHECK_EQ(TOP-8, 0x1122334455667788, push r64)
    SET_MEM(TOP-8, -1)
    STACK_AT(TOP)
    pushw %ax
    STACK_BACK
    CHECK_EQ(%rbp, TOP-2, push r16)
    CHECK_EQ(TOP-8, 0x7788ffffffffffff, push r16)
    STACK_AT(TOP)
    pushq $-128
    STACK_BACK
    CHECK_EQ(TOP-8, 0xffffffffffffff80, push imm8)
    STACK_AT(TOP)
    pushq $-0x80000000
    STACK_BACK
    CHECK_EQ(TOP-8, 0xffffffff80000000, push imm32)
    STACK_AT(TOP)
    .byte 0x66, 0x6a, 0x80 // pushw imm8
    STACK_BACK
    CHECK_EQ(%rbp, TOP-2, push imm8 with 66)
    CHECK_EQ(TOP-8, 0xff80ffff80000000, push imm8 with 66)
    STACK_AT(TOP)
    pushw $0x1234
    STACK_BACK
    CHECK_EQ(TOP-8, 0x1234ffff80000000, push imm16)
    STACK_AT(TOP-8)
    popw %ax
    STACK_BACK
    CHECK_EQ(%rbp, TOP-6, pop r16)
    CHECK_EQ(%rax, 0x1122334455660000, pop r16)

    // --- rsp itself ---
    STACK_AT(TOP)
    pushq %rsp
    STACK_BACK
    CHECK_EQ(TOP-8, TOP, push rsp: the value before)
    SET_MEM(TOP-8, 0x5566778899aabbcc)
    STACK_AT(TOP-8)
    popq %rsp
    STACK_BACK
    CHECK_EQ(%rbp, 0x5566778899aabbcc, pop rsp: the popped value as it is)
    SET_MEM(TOP-8, 0x1234)
    STACK_AT(TOP-8)
    popw %sp
    STACK_BACK
    CHECK_EQ(%rbp, ((TOP-8)&~0xffff)+0x1234, pop sp)
    // The address of a POP to memory is computed with rsp after the pop; of a PUSH from memory, before.
    SET_MEM(TOP-16, 0x4141414141414141)
    SET_MEM(TOP-8, 0)
    STACK_AT(TOP-16)
    popq (%rsp)
    STACK_BACK
    CHECK_EQ(TOP-8, 0x4141414141414141, pop (%rsp))
    CHECK_EQ(%rbp, TOP-8, pop (%rsp))
    SET_MEM(TOP-8, 0x4242424242424242)
    STACK_AT(TOP-8)
    pushq (%rsp)
    STACK_BACK
    CHECK_EQ(TOP-16, 0x4242424242424242, push (%rsp))
    SET_MEM(TOP-24, 0)
    STACK_AT(TOP-16)
    pushq 8(%rsp)
    STACK_BACK
    CHECK_EQ(TOP-24, 0x4242424242424242, push 8(%rsp))
    // CALL through a pointer on the stack: read before the push.
    movq $1f, TOP-16
    STACK_AT(TOP-16)
    call *(%rsp)
1:  STACK_BACK
    CHECK_EQ(%rbp, TOP-24, call *(%rsp))
    CHECK_EQ(TOP-24, 1b, call *(%rsp) return address)

    // --- ENTER, LEAVE ---
    STACK_AT(TOP)
    SET(%rbp, 0x1122334455667788)
    enter $16, $0
    movq %rsp, %rcx
    STACK_BACK
    CHECK_EQ(%rcx, TOP-24, enter 16 0: rsp)
    CHECK_EQ(TOP-8, 0x1122334455667788, enter 16 0: rbp is saved)
    STACK_AT(TOP)
    SET(%rbp, 0x1122334455667788)
    enter $8, $1
    movq %rbp, %rdx
    STACK_BACK
    CHECK_EQ(%rdx, TOP-8, enter 8 1: rbp)
    CHECK_EQ(%rbp, TOP-24, enter 8 1: rsp)
    CHECK_EQ(TOP-16, TOP-8, enter 8 1: the frame pointer is pushed)
    SET_MEM(TOP-0x100-8, 0xaaaa)
    SET_MEM(TOP-0x100-16, 0xbbbb)
    STACK_AT(TOP)
    movq $TOP-0x100, %rbp
    enter $0, $3
    movq %rbp, %rdx
    STACK_BACK
    CHECK_EQ(%rdx, TOP-8, enter 0 3: rbp)
    CHECK_EQ(%rbp, TOP-32, enter 0 3: rsp)
    CHECK_EQ(TOP-8, TOP-0x100, enter 0 3: saved)
    CHECK_EQ(TOP-16, 0xaaaa, enter 0 3: display 1)
    CHECK_EQ(TOP-24, 0xbbbb, enter 0 3: display 2)
    CHECK_EQ(TOP-32, TOP-8, enter 0 3: display 3)
    STACK_AT(TOP)
    movq $TOP-0x100, %rbp
    enter $0, $33 // the level is taken modulo 32: 1
    STACK_BACK
    CHECK_EQ(%rbp, TOP-16, enter 0 33)
    SET_MEM(TOP-0x100, 0x7777)
    STACK_AT(0x1234)
    movq $TOP-0x100, %rbp
    leave
    movq %rbp, %rdx
    STACK_BACK
    CHECK_EQ(%rdx, 0x7777, leave: rbp)
    CHECK_EQ(%rbp, TOP-0x100+8, leave: rsp)

    // --- PUSHF, POPF in ring 3: IOPL, IF, VM, RF, VIF, VIP do not change ---
    SET_FLAGS(ARITH|DF|NT|AC|ID)
    pushfq
    popq %rax
    SET_FLAGS(0)
    CHECK_MASK(%rax, ARITH|DF|NT|AC|ID|2, ~IF, popf all; pushf)
    NEED_RIGHT(flags, 1f)
    pushq $0
    popfq
    pushfq
    popq %rax
    CHECK_EQ(%rax, IF|2, popf 0: IF stays)
    pushq $0x7fffffff&~(TF|AC|NT|DF)
    popfq
    pushfq
    popq %rax
    SET_FLAGS(0)
    CHECK_EQ(%rax, ARITH|IF|ID|2, popf of ones: IOPL VM RF VIF VIP stay)
    SET_FLAGS(ID|AC)
    pushw $ARITH|IOPL3
    popfw
    pushfq
    popq %rax
    SET_FLAGS(0)
    CHECK_EQ(%rax, ID|AC|ARITH|IF|2, popfw keeps the upper half)
1:  SET_FLAGS(ARITH|ID)
    STACK_AT(TOP)
    pushfw
    STACK_BACK
    CHECK_EQ(%rbp, TOP-2, pushfw)
    CHECK_MASK(TOP-8, (ARITH|2)<<48, (ARITH|2|DF|NT|IOPL3)<<48, pushfw)

    // --- segment registers ---
    STACK_AT(TOP)
    SET_MEM(TOP-8, -1)
    xorl %eax, %eax
    movl %eax, %fs
    pushq %fs
    STACK_BACK
    CHECK_EQ(%rbp, TOP-8, push fs)
    CHECK_MASK(TOP-8, 0, 0xffff, push fs)
    STACK_AT(TOP)
    pushw %fs
    STACK_BACK
    CHECK_EQ(%rbp, TOP-2, pushw fs)
    STACK_AT(TOP-8)
    SET_MEM(TOP-8, 0x1122334455660000)
    popq %gs // the upper bytes do not matter
    STACK_BACK
    CHECK_EQ(%rbp, TOP, pop gs)

    // --- faults leave rsp and the destination; an exception needs no user stack, a CHECK does ---
    STACK_AT(W_BEFORE_RO)
    ON_FAULT(1f)
    pushq %rax // the page below is not there
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, push below the page)
    CHECK_EQ(cpu_fault+FAULT_CR2, W_BEFORE_RO-8, push below the page)
    CHECK_EQ(cpu_fault+FAULT_ERROR, PF_WRITE|PF_USER, push below the page)
    CHECK_EQ(%rbp, W_BEFORE_RO, push below the page: rsp)
    STACK_AT(W_BEFORE_RO+4)
    ON_FAULT(1f)
    pushq %rax // half of it
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_CR2, W_BEFORE_RO-4, push across the edge)
    CHECK_EQ(%rbp, W_BEFORE_RO+4, push across the edge: rsp)
    STACK_AT(W_END-4)
    SET(%rax, 0x1122334455667788)
    ON_FAULT(1f)
    popq %rax
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_CR2, W_END, pop across the edge)
    CHECK_EQ(%rax, 0x1122334455667788, pop across the edge: rax)
    CHECK_EQ(%rbp, W_END-4, pop across the edge: rsp)
    STACK_AT(W_RW+16) // the destination faults: the pop has not been
    ON_FAULT(1f)
    popq W_RO
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, pop to read-only memory)
    CHECK_EQ(cpu_fault+FAULT_CR2, W_RO, pop to read-only memory)
    CHECK_EQ(%rbp, W_RW+16, pop to read-only memory: rsp)
    STACK_AT(W_END)
    ON_FAULT(1f)
    ret
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_CR2, W_END, ret from no stack)
    CHECK_EQ(%rbp, W_END, ret from no stack: rsp)
    STACK_AT(W_BEFORE_RO)
    ON_FAULT(1f)
2:  call 3f
3:  nop
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_RIP, 2b, call to no stack: rip)
    CHECK_EQ(%rbp, W_BEFORE_RO, call to no stack: rsp)
    STACK_AT(W_RW+0x100)
    movq $W_END-4, %rbp
    ON_FAULT(1f)
    leave
1:  movq %rbp, %rdx
    STACK_BACK
    CHECK_EQ(%rbp, W_RW+0x100, leave that faults: rsp)
    CHECK_EQ(%rdx, W_END-4, leave that faults: rbp)
    STACK_AT(W_BEFORE_RO+8) // room for rbp alone
    SET(%rbp, 0x1234)
    ON_FAULT(1f)
    enter $0, $1
1:  movq %rbp, %rdx
    STACK_BACK
    CHECK_EQ(%rbp, W_BEFORE_RO+8, enter that faults: rsp)
    CHECK_EQ(%rdx, 0x1234, enter that faults: rbp)
    STACK_AT(W_BEFORE_RO+16) // room for all pushes, but the final rsp must be writable
    SET(%rbp, 0x1234)
    ON_FAULT(1f)
    enter $64, $0
1:  movq %rbp, %rdx
    STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, enter probes the last byte)
    CHECK_EQ(%rbp, W_BEFORE_RO+16, enter probes the last byte: rsp)
    CHECK_EQ(%rdx, 0x1234, enter probes the last byte: rbp)
    STACK_AT(0x8000000000000010) // not canonical: #SS(0)
    ON_FAULT(1f)
    pushq %rax
1:  STACK_BACK
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 12, push to a non-canonical address)
    CHECK_EQ(cpu_fault+FAULT_ERROR, 0, push to a non-canonical address)
    SET(%rbp, 0x8000000000000000)
    FAULT_CODE(12, 0, "movq (%rbp), %rax")
    NO_FAULT
    ret
