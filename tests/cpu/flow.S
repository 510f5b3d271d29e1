// SPDX-License-Identifier: MIT
//
// Jcc, SETcc, CMOVcc against all 32 sets of the five flags they look at; LOOP, JRCXZ, CALL, RET; branches that fault. SDM vol. 1 appendix B.
#include "cpu_test.h"

// In: ebx bit n is flag n of CF PF ZF SF OF. Out: eax is RFLAGS with these.
flags_of:
    movl %ebx, %eax
    movl %ebx, %ecx
    andl $1, %eax
    andl $2, %ecx
    leal (%rax,%rcx,2), %eax
    movl %ebx, %ecx
    andl $4, %ecx
    shll $4, %ecx
    orl %ecx, %eax
    movl %ebx, %ecx
    andl $8, %ecx
    shll $4, %ecx
    orl %ecx, %eax
    movl %ebx, %ecx
    andl $16, %ecx
    shll $7, %ecx
    orl %ecx, %eax
    ret

// Sixteen truths in a mask, computed from the flag bits with AND, OR, XOR alone: bit n is what condition n must be.
conditions:
    xorl %r8d, %r8d
    movl %ebx, %r9d // CF 0, PF 1, ZF 2, SF 3, OF 4
    .macro truth n, shift, more:vararg
    movl %r9d, %eax
    shrl $\shift, %eax
    \more
    andl $1, %eax
    movl %eax, %edx
    shll $\n, %edx
    orl %edx, %r8d
    xorl $1, %eax
    shll $\n+1, %eax
    orl %eax, %r8d
    .endm
    truth 0, 4
    truth 2, 0
    truth 4, 2
    movl %r9d, %edx // BE: CF | ZF
    shrl $2, %edx
    truth 6, 0, orl %edx, %eax
    truth 8, 3
    truth 10, 1
    movl %r9d, %edx // L: SF ^ OF
    shrl $4, %edx
    truth 12, 3, xorl %edx, %eax
    movl %r9d, %edx // LE: ZF | (SF ^ OF)
    shrl $4, %edx
    movl %r9d, %ecx
    shrl $3, %ecx
    xorl %ecx, %edx
    truth 14, 2, orl %edx, %eax
    ret

.macro try_condition n, name
    // SETcc
    movq %r10, %rax
    pushq %rax
    popfq
    SET(%rdx, 0x1122334455667788)
    set\name %dl
    movzbl %dl, %eax
    shll $\n, %eax
    orl %eax, %r12d
    // CMOVcc, 32 bits: the upper half goes whether it moves or not
    pushq %r10
    popfq
    SET(%rdx, 0x1122334400000000)
    movl $1, %ecx
    cmov\name\()l %ecx, %edx
    shlq $\n, %rdx
    orq %rdx, %r13
    // Jcc near
    pushq %r10
    popfq
    j\name 1f
    .fill 130, 1, 0x90
    jmp 2f
1:  orl $1<<\n, %r14d
2:  // Jcc short
    pushq %r10
    popfq
    j\name 1f
    jmp 2f
1:  orl $1<<\n, %r15d
2:
.endm

cpu_topic_main:
    // --- all conditions over all flags ---
    xorl %ebx, %ebx
3:  call flags_of
    movq %rax, %r10
    orq $2, %r10
    call conditions
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    try_condition 0, o
    try_condition 1, no
    try_condition 2, b
    try_condition 3, ae
    try_condition 4, e
    try_condition 5, ne
    try_condition 6, be
    try_condition 7, a
    try_condition 8, s
    try_condition 9, ns
    try_condition 10, p
    try_condition 11, np
    try_condition 12, l
    try_condition 13, ge
    try_condition 14, le
    try_condition 15, g
    xorq %r8, %r12
    xorq %r8, %r13
    xorq %r8, %r14
    xorq %r8, %r15
    CHECK_EQ(%r12, 0, setcc over a set of flags)
    CHECK_EQ(%r13, 0, cmovcc over a set of flags)
    CHECK_EQ(%r14, 0, near jcc over a set of flags)
    CHECK_EQ(%r15, 0, short jcc over a set of flags)
    incl %ebx
    cmpl $32, %ebx
    jne 3b

    // --- the same after arithmetic, whose flags an engine may not have made yet ---
    .macro compare line, a, b, cond, want
    movabsq $\a, %rax
    movabsq $\b, %rdx
    xorl %ecx, %ecx
    cmpq %rdx, %rax
    set\cond %cl
    check_eq \line, %rcx, \want, "cmpq, set\cond"
    movl %eax, %eax
    cmpl %edx, %eax
    movl $0, %ecx
    j\cond .Ltaken\@
    jmp .Ldone\@
.Ltaken\@:
    incl %ecx
.Ldone\@:
    check_eq \line, %rcx, \want, "cmpl, j\cond"
    .endm
#define COMPARE(a, b, cond, want) compare __LINE__, a, b, cond, want
    COMPARE(0xffffffffffffffff, 1, l, 1)
    COMPARE(0xffffffffffffffff, 1, a, 1)
    COMPARE(0x8000000080000000, 0x7fffffff7fffffff, l, 1)
    COMPARE(0x8000000080000000, 0x7fffffff7fffffff, a, 1)
    COMPARE(0x8000000080000000, 0x7fffffff7fffffff, s, 0)
    COMPARE(0x8000000080000000, 0x7fffffff7fffffff, o, 1)
    COMPARE(5, 5, le, 1)
    COMPARE(5, 5, be, 1)
    COMPARE(5, 5, g, 0)
    COMPARE(5, 6, b, 1)
    COMPARE(0, 0x8000000080000000, ge, 1)
    COMPARE(0, 0x8000000080000000, b, 1)

    // --- CMOV reads its operand even when it does not move ---
    SET(%rax, 0x1122334455667788)
    SET_FLAGS(0)
    PAGE_FAULT(W_END, PF_USER, "cmovzl W_END, %eax")
    CHECK_EQ(%rax, 0x1122334455667788, cmov that faults)

    // --- LOOP, LOOPE, LOOPNE, JRCXZ: no flags change; the count by address size ---
    xorl %eax, %eax
    movl $5, %ecx
1:  incl %eax
    loop 1b
    CHECK_EQ(%rax, 5, loop)
    SET(%rcx, 0x100000001)
    SET_FLAGS(ARITH)
    .byte 0x67, 0xe2, 0 // LOOP by ECX
    CHECK_EQ(%rcx, 0, addr32 loop zero-extends)
    CHECK_FLAGS(ARITH, ARITH, loop)
    xorl %ecx, %ecx
    loop 1f
    jmp 2f
1:  CHECK_EQ(%rcx, 0xffffffffffffffff, loop from 0)
    movl $0, %ecx
2:  CHECK_EQ(%rcx, 0, loop from 0 was taken)
    xorl %ecx, %ecx
    .byte 0x67, 0xe2, 2 // taken: over the jump
    jmp 1f
    CHECK_EQ(%rcx, 0xffffffff, addr32 loop from 0)
1:  movl $3, %ecx
    SET_FLAGS(ZF)
    loope 1f
    movl $99, %ecx
1:  CHECK_EQ(%rcx, 2, loope taken)
    SET_FLAGS(0)
    loope 1f
    incl %ecx
1:  CHECK_EQ(%rcx, 2, loope not taken counts all the same)
    SET_FLAGS(0)
    loopne 1f
    movl $99, %ecx
1:  CHECK_EQ(%rcx, 1, loopne taken)
    SET_FLAGS(0)
    loopne 1f
    movl $7, %ecx
1:  CHECK_EQ(%rcx, 7, loopne at the end)
    SET(%rcx, 0x100000000)
    movl $1, %eax
    jrcxz 1f
    movl $2, %eax
1:  CHECK_EQ(%rax, 2, jrcxz of 2^32)
    jecxz 1f
    movl $3, %eax
1:  CHECK_EQ(%rax, 2, jecxz of 2^32)

    // --- CALL, RET ---
    movq %rsp, %rbx
    pushq $7
    pushq $8
    call 1f
    jmp 2f
1:  ret $16
2:  movq %rsp, %rax
    movq %rbx, %rsp
    subq %rbx, %rax
    CHECK_EQ(%rax, 0, ret 16)
    movq $1f, %rax
    call *%rax
1:  popq %rdx
    CHECK_EQ(%rdx, 1b, call *%rax pushes the next address)
    movq $1f, cpu_operand
    jmp *cpu_operand(%rip)
    movl $99, %eax
1:  leaq 1b(%rip), %rdx
    CHECK_EQ(%rdx, 1b, jmp through rip-relative memory)
    movl $cpu_operand, %eax
    movq $1f, cpu_operand
    jmp *(%rax)
    ud2
1:  call 1f
1:  popq %rax
    CHECK_EQ(%rax, 1b, call to the next)
    .byte 0xf3 // REP RET
    call 1f
    jmp 2f
1:  .byte 0xf3, 0xc3
2:  // 66 on a near jump: Intel ignores it in 64-bit mode, AMD cuts rip to 16 bits; so no case.

    // --- branches that fault: #GP at the branch for a non-canonical target, rsp kept ---
    SET(%rax, 0x8000000000000000)
    movq %rsp, %rbx
    FAULT_CODE(13, 0, "jmp *%rax")
    SET_FLAGS(ARITH)
    FAULT_CODE(13, 0, "call *%rax")
    CHECK_FLAGS(ARITH, ARITH, call that faults)
    subq %rsp, %rbx
    CHECK_EQ(%rbx, 0, call to a non-canonical address pushes nothing)
    movq %rax, cpu_operand
    FAULT_CODE(13, 0, "jmp *cpu_operand")
    movq %rsp, %rbx
    pushq %rax
    ON_FAULT(1f)
2:  ret
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 13, ret to a non-canonical address)
    CHECK_EQ(cpu_fault+FAULT_RIP, 2b, ret to a non-canonical address faults at the ret)
    popq %rdx
    subq %rsp, %rbx
    CHECK_EQ(%rbx, 0, ret to a non-canonical address: rsp)
    // A canonical target that is not there faults at the target, after the branch.
    movl $W_END, %eax
    ON_FAULT(1f)
    jmp *%rax
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, jump to nowhere)
    CHECK_EQ(cpu_fault+FAULT_RIP, W_END, jump to nowhere: rip)
    CHECK_EQ(cpu_fault+FAULT_CR2, W_END, jump to nowhere: address)
    CHECK_MASK(cpu_fault+FAULT_ERROR, PF_USER|PF_FETCH, PF_USER|PF_WRITE|PF_PRESENT|PF_FETCH, jump to nowhere: a fetch)
    movq %rsp, %rbx
    ON_FAULT(1f)
    call *%rax
2:
1:  popq %rdx
    CHECK_EQ(%rdx, 2b, call to nowhere has pushed)
    subq %rsp, %rbx
    CHECK_EQ(%rbx, 0, call to nowhere: rsp)
    ret
