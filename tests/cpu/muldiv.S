// SPDX-License-Identifier: MIT
//
// MUL, IMUL (three forms), DIV, IDIV: products at the edges of the half, quotients at the edges of the register, #DE with nothing changed.
// SDM vol. 2. After DIV no flag is defined; after MUL only CF and OF.
#include "cpu_test.h"

.set COF, CF|OF

// DX:AX and their like: both halves.
.macro pair line, insn, a, d, c, fin, want_a, want_d, flags, mask
    movabsq $\a, %rax
    movabsq $\d, %rdx
    movabsq $\c, %rcx
    set_flags \fin
    \insn
    check_flags \line, \flags, \mask, "\insn, flags"
    check_eq \line, %rax, \want_a, "\insn, rax"
    check_eq \line, %rdx, \want_d, "\insn, rdx"
.endm
#define PAIR(insn, a, d, c, fin, want_a, want_d, flags, mask) pair __LINE__, insn, a, d, c, fin, want_a, want_d, flags, mask
#define DIVIDE(insn, a, d, c, want_a, want_d) pair __LINE__, insn, a, d, c, 0, want_a, want_d, 0, 0

// #DE leaves registers and flags.
.macro de line, insn, a, d, c
    movabsq $\a, %rax
    movabsq $\d, %rdx
    movabsq $\c, %rcx
    set_flags ARITH
    fault \line, 0, "\insn"
    check_flags \line, ARITH, ARITH, "\insn, flags after the exception"
    check_eq \line, %rax, \a, "\insn, rax after the exception"
    check_eq \line, %rdx, \d, "\insn, rdx after the exception"
.endm
#define DE(insn, a, d, c) de __LINE__, insn, a, d, c

cpu_topic_main:
    // --- MUL ---
    PAIR("mulb %cl", 0x11223344556677ff, 0x99, 0xff, 0, 0x112233445566fe01, 0x99, COF, COF)
    PAIR("mulb %cl", 0x1122334455667710, 0x99, 0x0f, COF, 0x11223344556600f0, 0x99, 0, COF)
    PAIR("mulb %ch", 0x10, 0x99, 0x1000, 0, 0x100, 0x99, COF, COF)
    PAIR("mulw %cx", 0x112233445566ffff, 0x1122334455667788, 0xffff, 0, 0x1122334455660001, 0x112233445566fffe, COF, COF)
    PAIR("mulw %cx", 0x1122334455660100, 0x1122334455667788, 0x00ff, COF, 0x112233445566ff00, 0x1122334455660000, 0, COF)
    PAIR("mull %ecx", 0x11223344ffffffff, 0x1122334455667788, 0xffffffff, 0, 1, 0xfffffffe, COF, COF)
    PAIR("mull %ecx", 0x1122334480000000, 0x1122334455667788, 2, 0, 0, 1, COF, COF)
    PAIR("mull %ecx", 0x1122334400010000, 0x1122334455667788, 0xffff, COF, 0xffff0000, 0, 0, COF)
    PAIR("mulq %rcx", 0xffffffffffffffff, 5, 0xffffffffffffffff, 0, 1, 0xfffffffffffffffe, COF, COF)
    PAIR("mulq %rcx", 0x100000000, 5, 0xffffffff, COF, 0xffffffff00000000, 0, 0, COF)
    PAIR("mulq %rdx", 0x8000000000000000, 2, 0, 0, 0, 1, COF, COF) // an operand that is written too
    PAIR("mulq %rax", 0x100000000, 0, 0, 0, 0, 1, COF, COF)

    // --- IMUL: CF and OF tell that the half does not hold the product ---
    PAIR("imulb %cl", 0x1122334455667780, 0x99, 0x80, 0, 0x1122334455664000, 0x99, COF, COF)
    PAIR("imulb %cl", 0x11223344556677ff, 0x99, 0x80, 0, 0x1122334455660080, 0x99, COF, COF)
    PAIR("imulb %cl", 0x1122334455667780, 0x99, 1, COF, 0x112233445566ff80, 0x99, 0, COF)
    PAIR("imulb %cl", 0x40, 0x99, 0xfe, COF, 0xff80, 0x99, 0, COF)
    PAIR("imulw %cx", 0x1122334455668000, 0x1122334455667788, 0xffff, 0, 0x1122334455668000, 0x1122334455660000, COF, COF)
    PAIR("imulw %cx", 0x112233445566ffff, 0x1122334455667788, 2, COF, 0x112233445566fffe, 0x112233445566ffff, 0, COF)
    PAIR("imull %ecx", 0x1122334480000000, 0x1122334455667788, 0xffffffff, 0, 0x80000000, 0, COF, COF)
    PAIR("imull %ecx", 0x1122334480000000, 0x1122334455667788, 1, COF, 0x80000000, 0xffffffff, 0, COF)
    PAIR("imulq %rcx", 0x8000000000000000, 5, 0xffffffffffffffff, 0, 0x8000000000000000, 0, COF, COF)
    PAIR("imulq %rcx", 0x8000000000000000, 5, 0x8000000000000000, 0, 0, 0x4000000000000000, COF, COF)
    PAIR("imulq %rcx", 0xffffffffffffffff, 5, 0xffffffffffffffff, COF, 1, 0, 0, COF)
    OP("imulw %cx, %ax", 0x1122334455667fff, 0, 2, 0, 0x112233445566fffe, COF, COF)
    OP("imulw %cx, %ax", 0x112233445566ffff, 0, 0x8000, 0, 0x1122334455668000, COF, COF)
    OP("imull %ecx, %eax", 0x1122334440000000, 0, 2, 0, 0x80000000, COF, COF)
    OP("imull %ecx, %eax", 0x11223344ffffffff, 0, 0x7fffffff, COF, 0x80000001, 0, COF)
    OP("imulq %rcx, %rax", 0x4000000000000000, 0, 2, 0, 0x8000000000000000, COF, COF)
    OP("imulq %rcx, %rax", 0xffffffffffffffff, 0, 0x7fffffffffffffff, COF, 0x8000000000000001, 0, COF)
    OP("imulw $-128, %cx, %ax", 0x1122334455667788, 0, 0x100, 0, 0x1122334455668000, 0, COF)
    OP("imulw $0x7fff, %cx, %ax", 0x1122334455667788, 0, 0x8000, 0, 0x1122334455668000, COF, COF)
    OP("imull $-1, %ecx, %eax", 0x1122334455667788, 0, 0x80000000, 0, 0x80000000, COF, COF)
    OP("imulq $-1, %rcx, %rax", 0, 0, 0x8000000000000000, 0, 0x8000000000000000, COF, COF)
    OP("imulq $-0x80000000, %rcx, %rax", 0, 0, 0x100000000, 0, 0x8000000000000000, 0, COF)
    OP("imulq $-0x80000000, %rcx, %rax", 0, 0, 0xffffffff00000000, 0, 0x8000000000000000, COF, COF)

    // --- DIV ---
    DIVIDE("divb %cl", 0x112233445566fe01, 0x99, 0xff, 0x11223344556600ff, 0x99)
    DIVIDE("divb %cl", 0x11223344556600ff, 0x99, 0x10, 0x1122334455660f0f, 0x99)
    DIVIDE("divb %ch", 0x11223344556600ff, 0x99, 0x1000, 0x1122334455660f0f, 0x99)
    DIVIDE("divw %cx", 0x1122334455660001, 0x112233445566fffe, 0xffff, 0x112233445566ffff, 0x1122334455660000)
    DIVIDE("divl %ecx", 0x11223344ffffffff, 0x1122334400000000, 2, 0x7fffffff, 1)
    DIVIDE("divl %ecx", 1, 0x99999999fffffffe, 0xffffffff, 0xffffffff, 0)
    DIVIDE("divq %rcx", 0xffffffffffffffff, 0, 0x100000000, 0xffffffff, 0xffffffff)
    DIVIDE("divq %rcx", 1, 0xfffffffffffffffe, 0xffffffffffffffff, 0xffffffffffffffff, 0)
    DIVIDE("divq %rcx", 0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffffffffffff, 0xffffffffffffffff, 0xfffffffffffffffe)

    // --- IDIV rounds toward zero; the remainder has the dividend's sign ---
    DIVIDE("idivb %cl", 0x112233445566fff9, 0x99, 2, 0x112233445566fffd, 0x99)
    DIVIDE("idivb %cl", 7, 0x99, 0xfe, 0x01fd, 0x99)
    DIVIDE("idivb %cl", 0xff80, 0x99, 1, 0x0080, 0x99) // -128 fits
    DIVIDE("idivw %cx", 0x1122334455668000, 0x112233445566ffff, 1, 0x1122334455668000, 0x1122334455660000)
    DIVIDE("idivl %ecx", 0xfffffff9, 0xffffffff, 2, 0xfffffffd, 0xffffffff)
    DIVIDE("idivl %ecx", 0x80000000, 0xffffffff, 1, 0x80000000, 0)
    DIVIDE("idivq %rcx", 0x8000000000000000, 0xffffffffffffffff, 1, 0x8000000000000000, 0)
    DIVIDE("idivq %rcx", 0xfffffffffffffff9, 0xffffffffffffffff, 2, 0xfffffffffffffffd, 0xffffffffffffffff)
    DIVIDE("idivq %rcx", 0x8000000000000001, 0x3fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 1)

    // --- #DE: by zero, and quotients that do not fit, by one ---
    DE("divb %cl", 0x1234, 0x99, 0)
    DE("divb %cl", 0x0100, 0x99, 1)
    DE("divb %cl", 0xff00, 0x99, 0xff)
    DE("divw %cx", 0x1234, 1, 1)
    DE("divl %ecx", 0x1122334455667788, 0x99999999ffffffff, 0xffffffff)
    DE("divl %ecx", 0, 0, 0xffffffff00000000)
    DE("divq %rcx", 0, 1, 1)
    DE("divq %rcx", 5, 0, 0)
    DE("idivb %cl", 0x0080, 0x99, 1)
    DE("idivb %cl", 0xff80, 0x99, 0xff) // -128 / -1
    DE("idivb %cl", 0x8000, 0x99, 0xff)
    DE("idivw %cx", 0x8000, 0xffff, 0xffff)
    DE("idivw %cx", 0, 0xc000, 0x7fff)
    DE("idivl %ecx", 0x80000000, 0xffffffff, 0xffffffff)
    DE("idivl %ecx", 0x80000000, 0, 1)
    DE("idivl %ecx", 0, 0x80000000, 0xffffffff)
    DE("idivq %rcx", 0x8000000000000000, 0xffffffffffffffff, 0xffffffffffffffff)
    DE("idivq %rcx", 0, 0x8000000000000000, 0xffffffffffffffff)
    DE("idivq %rcx", 0x8000000000000000, 0, 1)
    SET_MEM(cpu_operand(%rip), 0)
    DE("divl cpu_operand(%rip)", 1, 0, 0)
    // A memory operand that faults comes before the division.
    SET(%rax, 1)
    SET(%rdx, 7)
    PAGE_FAULT(W_END, PF_USER, "divl W_END")
    CHECK_EQ(%rdx, 7, rdx after the fault)

    // --- MULX: no flags; both destinations; the same register twice keeps the high half ---
    NEED_BMI2(9f)
    SET(%rdx, 0xffffffffffffffff)
    SET(%rcx, 0xffffffffffffffff)
    SET_FLAGS(ARITH)
    mulxq %rcx, %rax, %rbx
    CHECK_FLAGS(ARITH, ARITH, mulx)
    CHECK_EQ(%rax, 1, mulx low)
    CHECK_EQ(%rbx, 0xfffffffffffffffe, mulx high)
    CHECK_EQ(%rdx, 0xffffffffffffffff, mulx rdx)
    mulxl %ecx, %eax, %eax
    CHECK_EQ(%rax, 0xfffffffe, mulx to one register)
9:  ret
