// SPDX-License-Identifier: MIT
//
// XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B, with and without LOCK: what is equal, what is not, and what is stored then. SDM vol. 2.
#include "cpu_test.h"

.set P, cpu_operand

// rax:rdx against memory; rcx:rbx to store.
.macro pair16 line, prefix, lo, hi, want_zf, want_lo, want_hi, mem_lo, mem_hi
    movabsq $0x1111111111111111, %rax
    movq %rax, P
    movabsq $0x2222222222222222, %rax
    movq %rax, P+8
    movabsq $\lo, %rax
    movabsq $\hi, %rdx
    movabsq $0x3333333333333333, %rbx
    movabsq $0x4444444444444444, %rcx
    set_flags CF|PF|AF|SF|OF
    \prefix cmpxchg16b P(%rip)
    check_flags \line, CF|PF|AF|SF|OF|\want_zf, ARITH, "\prefix cmpxchg16b flags"
    check_eq \line, %rax, \want_lo, "\prefix cmpxchg16b rax"
    check_eq \line, %rdx, \want_hi, "\prefix cmpxchg16b rdx"
    check_eq \line, P, \mem_lo, "\prefix cmpxchg16b memory"
    check_eq \line, P+8, \mem_hi, "\prefix cmpxchg16b memory"
.endm
.macro pair8 line, prefix, lo, hi, want_zf, want_lo, want_hi, mem
    movabsq $0x2222222211111111, %rax
    movq %rax, P
    movabsq $\lo, %rax
    movabsq $\hi, %rdx
    movabsq $0x9999999933333333, %rbx
    movabsq $0x9999999944444444, %rcx
    set_flags CF|PF|AF|SF|OF
    \prefix cmpxchg8b P(%rip)
    check_flags \line, CF|PF|AF|SF|OF|\want_zf, ARITH, "\prefix cmpxchg8b flags"
    check_eq \line, %rax, \want_lo, "\prefix cmpxchg8b rax"
    check_eq \line, %rdx, \want_hi, "\prefix cmpxchg8b rdx"
    check_eq \line, P, \mem, "\prefix cmpxchg8b memory"
.endm

cpu_topic_main:
    // --- XADD: the sum goes to the destination, the old value to the source ---
    OP("xaddl %edx, %eax", 0x11223344ffffffff, 0x5566778800000001, 0, 0, 0, CF|ZF|AF|PF, ARITH)
    OP("xaddl %edx, %eax; movq %rdx, %rax", 0x11223344ffffffff, 0x5566778800000001, 0, 0, 0xffffffff, CF|ZF|AF|PF, ARITH)
    OP("xaddb %al, %ah", 0x1122334455667f01, 0, 0, 0, 0x112233445566807f, SF|OF|AF, ARITH)
    OP("xaddq %rax, %rax", 0x4000000000000000, 0, 0, 0, 0x8000000000000000, SF|OF|PF, ARITH) // the sum is what stays
    OP("xaddw %dx, %ax", 0x1122334455668000, 0x8000, 0, 0, 0x1122334455660000, CF|OF|ZF|PF, ARITH)
    SET_MEM(P, 0x11223344ffffffff)
    SET(%rax, 0x9999999900000002)
    SET_FLAGS(0)
    lock xaddl %eax, P
    CHECK_FLAGS(CF|AF, ARITH, lock xadd)
    CHECK_EQ(P, 0x1122334400000001, lock xadd memory)
    CHECK_EQ(%rax, 0xffffffff, lock xadd register)

    // --- CMPXCHG: flags of the comparison; the accumulator when unequal, zero-extended then and only then ---
    OP("cmpxchgl %ecx, %edx; movq %rdx, %rax", 5, 0x1122334400000005, 7, 0, 7, ZF|PF, ARITH)
    OP("cmpxchgl %ecx, %edx", 0x1122334400000005, 5, 7, 0, 0x1122334400000005, ZF|PF, ARITH)
    OP("cmpxchgl %ecx, %edx", 0x1122334400000000, 0x5566778800000001, 7, 0, 1, CF|SF|AF|PF, ARITH)
    OP("cmpxchgb %cl, %dl", 0x1122334455667780, 0x7f, 7, 0, 0x112233445566777f, OF|AF, ARITH)
    OP("cmpxchgw %cx, %dx", 0x1122334455660001, 2, 7, 0, 0x1122334455660002, CF|SF|AF|PF, ARITH)
    OP("cmpxchgq %rcx, %rdx; movq %rdx, %rax", 1, 1, 0xffffffffffffffff, 0, 0xffffffffffffffff, ZF|PF, ARITH)
    OP("cmpxchgq %rcx, %rax", 5, 0, 9, 0, 9, ZF|PF, ARITH) // the accumulator against itself
    SET_MEM(P, 0x1122334455667788)
    SET(%rax, 0x88)
    SET(%rcx, 0x99)
    lock cmpxchgb %cl, P
    CHECK_EQ(P, 0x1122334455667799, lock cmpxchgb)
    SET(%rax, 0xffffffff00000000)
    lock cmpxchgl %ecx, P
    CHECK_EQ(%rax, 0x55667799, lock cmpxchgl unequal)
    CHECK_EQ(P, 0x1122334455667799, lock cmpxchgl unequal)

    // --- XCHG with memory locks by itself ---
    SET(%rax, 0xaaaaaaaabbbbbbbb)
    SET_FLAGS(ARITH)
    xchgl %eax, P
    CHECK_FLAGS(ARITH, ARITH, xchg)
    CHECK_EQ(%rax, 0x55667799, xchgl)
    CHECK_EQ(P, 0x11223344bbbbbbbb, xchgl)
    xchgb %ah, P+7
    CHECK_EQ(%rax, 0x55661199, xchgb)
    CHECK_EQ(P, 0x77223344bbbbbbbb, xchgb)

    // --- CMPXCHG8B: registers are zero-extended when they are loaded ---
#define PAIR8(prefix, lo, hi, zf, wlo, whi, mem) pair8 __LINE__, prefix, lo, hi, zf, wlo, whi, mem
    PAIR8(, 0x11111111, 0x22222222, ZF, 0x11111111, 0x22222222, 0x4444444433333333)
    PAIR8(lock, 0x8888888811111111, 0x8888888822222222, ZF, 0x8888888811111111, 0x8888888822222222, 0x4444444433333333)
    PAIR8(, 0x8888888811111110, 0x8888888822222222, 0, 0x11111111, 0x22222222, 0x2222222211111111)
    PAIR8(lock, 0x11111111, 0x22222223, 0, 0x11111111, 0x22222222, 0x2222222211111111)
    // Not aligned, and across pages.
    SET_MEM(W_RW+0x1000-3, 0x2222222211111111)
    SET(%rax, 0x11111111)
    SET(%rdx, 0x22222222)
    SET(%rbx, 0x55555555)
    SET(%rcx, 0x66666666)
    lock cmpxchg8b W_RW+0x1000-3
    CHECK_EQ(W_RW+0x1000-3, 0x6666666655555555, cmpxchg8b across pages)
    SET(%rax, 1)
    PAGE_FAULT(W_RO, PF_USER|PF_WRITE|PF_PRESENT, "cmpxchg8b W_RO") // writes even when unequal
    CHECK_EQ(%rax, 1, cmpxchg8b that faults)

    // --- CMPXCHG16B: aligned or #GP ---
    NEED_CX16(1f)
#define PAIR16(prefix, lo, hi, zf, wlo, whi, mlo, mhi) pair16 __LINE__, prefix, lo, hi, zf, wlo, whi, mlo, mhi
    PAIR16(, 0x1111111111111111, 0x2222222222222222, ZF, 0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444)
    PAIR16(lock, 0x1111111111111111, 0x2222222222222222, ZF, 0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444)
    PAIR16(lock, 0x1111111111111110, 0x2222222222222222, 0, 0x1111111111111111, 0x2222222222222222, 0x1111111111111111, 0x2222222222222222)
    PAIR16(, 0x1111111111111111, 0x2222222222222223, 0, 0x1111111111111111, 0x2222222222222222, 0x1111111111111111, 0x2222222222222222)
    FAULT_CODE(13, 0, "cmpxchg16b P+8")
    FAULT_CODE(13, 0, "lock cmpxchg16b P+1")
1:
    // --- LOCK on everything that may have it, across a page boundary ---
    movl $W_RW+0x1000-2, %ebx
    movl $0, (%rbx)
    lock incl (%rbx)
    lock orl $0x10000, (%rbx)
    lock subl $2, (%rbx)
    lock notl (%rbx)
    movl (%rbx), %eax
    CHECK_EQ(%rax, 0xffff0000, locked chain across pages)
    ret
