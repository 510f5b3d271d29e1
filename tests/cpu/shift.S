// SPDX-License-Identifier: MIT
//
// Shifts, rotates, rotates through carry and double shifts: count 0, counts that are masked, counts at and beyond the width, the flags
// that are defined (OF for counts of one, CF while the count is not beyond the width). SDM vol. 2 SAL, RCL, SHLD.
#include "cpu_test.h"

.set SHIFT1, 0x8c5 // everything but AF: count of one
.set SHIFTN, 0x0c5 // OF is undefined too
.set ROT1, ARITH   // rotates leave SF, ZF, AF, PF as they were
.set ROTN, ARITH&~OF

// By CL on a register and in memory.
.macro shift line, op, s, ra, hi, ho, a, count, fin, want, flags, mask
    alu_load \hi|\a, 0, 0
    movl $\count|0x5500, %ecx
    set_flags \fin
    \op\s %cl, \ra
    check_flags \line, \flags, \mask, "\op\s %cl=\count, \ra, flags"
    check_eq \line, %rax, \ho|\want, "\op\s %cl=\count, \ra"
    alu_load \hi|\a, 0, 0
    movl $\count|0x5500, %ecx
    set_flags \fin
    \op\s %cl, cpu_operand(%rip)
    check_flags \line, \flags, \mask, "\op\s %cl=\count, mem, flags"
    check_eq \line, cpu_operand(%rip), \hi|\want, "\op\s %cl=\count, mem"
    alu_load \hi|\a, 0, \fin
    \op\s $\count, \ra
    check_flags \line, \flags, \mask, "\op\s \count, \ra, flags"
    check_eq \line, %rax, \ho|\want, "\op\s \count, \ra"
    alu_load \hi|\a, 0, \fin
    \op\s $\count, cpu_operand(%rip)
    check_flags \line, \flags, \mask, "\op\s \count, mem, flags"
    check_eq \line, cpu_operand(%rip), \hi|\want, "\op\s \count, mem"
.endm
#define SHIFT(op, s, a, count, fin, want, flags, mask)                                             \
    shift __LINE__, op, s, RA_##s, HI_##s, HO_##s, a, count, fin, want, flags, mask

cpu_topic_main:
    // --- count 0, also after masking: no flag changes; a 32-bit register is zero-extended all the same ---
    SHIFT(shl, b, 0x81, 0, ARITH, 0x81, ARITH, ARITH)
    SHIFT(shr, w, 0x8001, 0, 0, 0x8001, 0, ARITH)
    SHIFT(sar, l, 0x80000001, 0, ARITH, 0x80000001, ARITH, ARITH)
    SHIFT(shl, b, 0x81, 32, ARITH, 0x81, ARITH, ARITH)
    SHIFT(shl, w, 0x81, 64, CF|ZF, 0x81, CF|ZF, ARITH)
    SHIFT(shr, l, 0x80000001, 32, OF|PF, 0x80000001, OF|PF, ARITH)
    SHIFT(sar, l, 0x80000001, 0xe0, OF|PF, 0x80000001, OF|PF, ARITH)
    SHIFT(shl, q, 0x8000000000000001, 64, ARITH, 0x8000000000000001, ARITH, ARITH)
    SHIFT(shr, q, 0x8000000000000001, 0x80, 0, 0x8000000000000001, 0, ARITH)
    SHIFT(rol, b, 0x81, 0, ARITH, 0x81, ARITH, ARITH)
    SHIFT(ror, l, 0x80000001, 32, CF|OF, 0x80000001, CF|OF, ARITH)
    SHIFT(rcl, l, 0x80000001, 32, CF|OF, 0x80000001, CF|OF, ARITH)
    SHIFT(rcr, q, 1, 64, CF|OF, 1, CF|OF, ARITH)

    // --- SHL: OF is the sign's change ---
    SHIFT(shl, b, 0x80, 1, 0, 0, CF|OF|ZF|PF, SHIFT1)
    SHIFT(shl, b, 0xc0, 1, 0, 0x80, CF|SF, SHIFT1)
    SHIFT(shl, b, 0x40, 1, CF, 0x80, OF|SF, SHIFT1)
    SHIFT(shl, b, 1, 8, 0, 0, CF|ZF|PF, SHIFTN) // the last bit out
    SHIFT(shl, b, 1, 7, CF, 0x80, SF, SHIFTN)
    SHIFT(shl, b, 0xff, 31, 0, 0, ZF|PF, SHIFTN&~CF)
    SHIFT(shl, w, 0x8000, 1, 0, 0, CF|OF|ZF|PF, SHIFT1)
    SHIFT(shl, w, 1, 16, 0, 0, CF|ZF|PF, SHIFTN)
    SHIFT(shl, w, 0xffff, 17, 0, 0, ZF|PF, SHIFTN&~CF)
    SHIFT(shl, l, 0x40000000, 1, 0, 0x80000000, OF|SF|PF, SHIFT1)
    SHIFT(shl, l, 3, 31, 0, 0x80000000, CF|SF|PF, SHIFTN)
    SHIFT(shl, l, 3, 33, 0, 6, PF, SHIFT1)
    SHIFT(shl, q, 0x8000000000000000, 1, 0, 0, CF|OF|ZF|PF, SHIFT1)
    SHIFT(shl, q, 3, 63, 0, 0x8000000000000000, CF|SF|PF, SHIFTN)
    SHIFT(shl, q, 3, 65, 0, 6, PF, SHIFT1)
    SHIFT(shl, q, 1, 32, 0, 0x100000000, PF, SHIFTN)

    // --- SHR: OF is the old sign; SAR: never ---
    SHIFT(shr, b, 0x81, 1, 0, 0x40, CF|OF, SHIFT1)
    SHIFT(shr, b, 0x80, 8, 0, 0, CF|ZF|PF, SHIFTN)
    SHIFT(shr, b, 0xff, 9, CF, 0, ZF|PF, SHIFTN&~CF)
    SHIFT(shr, w, 0x8001, 1, 0, 0x4000, CF|OF|PF, SHIFT1)
    SHIFT(shr, w, 0x8000, 15, 0, 1, 0, SHIFTN)
    SHIFT(shr, l, 0x80000000, 31, 0, 1, 0, SHIFTN)
    SHIFT(shr, l, 0xc0000000, 31, 0, 1, CF, SHIFTN)
    SHIFT(shr, q, 0x8000000000000001, 1, 0, 0x4000000000000000, CF|OF|PF, SHIFT1)
    SHIFT(shr, q, 0xc000000000000000, 63, 0, 1, CF, SHIFTN)
    SHIFT(sar, b, 0x81, 1, OF, 0xc0, CF|SF|PF, SHIFT1)
    SHIFT(sar, b, 0x80, 7, 0, 0xff, SF|PF, SHIFTN)
    SHIFT(sar, b, 0x80, 8, 0, 0xff, CF|SF|PF, SHIFTN)
    SHIFT(sar, b, 0x80, 31, 0, 0xff, CF|SF|PF, SHIFTN) // CF is defined for SAR at any count
    SHIFT(sar, b, 0x7f, 31, CF, 0, ZF|PF, SHIFTN)
    SHIFT(sar, w, 0x8000, 16, 0, 0xffff, CF|SF|PF, SHIFTN)
    SHIFT(sar, w, 0x7fff, 15, 0, 0, CF|ZF|PF, SHIFTN)
    SHIFT(sar, l, 0x80000000, 31, 0, 0xffffffff, SF|PF, SHIFTN)
    SHIFT(sar, l, 0x80000001, 1, OF, 0xc0000000, CF|SF|PF, SHIFT1)
    SHIFT(sar, q, 0x8000000000000000, 63, 0, 0xffffffffffffffff, SF|PF, SHIFTN)
    SHIFT(sar, q, 0x7fffffffffffffff, 1, OF, 0x3fffffffffffffff, CF|PF, SHIFT1)

    // --- ROL, ROR: CF is the bit that went round, also when the count is a multiple of the width ---
    SHIFT(rol, b, 0x80, 1, 0, 1, CF|OF, ROT1)
    SHIFT(rol, b, 0x40, 1, ARITH, 0x80, ARITH&~CF, ROT1)
    SHIFT(rol, b, 0x81, 8, 0, 0x81, CF, ROTN)
    SHIFT(rol, b, 0x80, 16, CF|SF, 0x80, SF, ROTN)
    SHIFT(rol, b, 0x80, 9, ZF, 1, ZF|CF, ROTN)
    SHIFT(rol, w, 0x8000, 16, CF, 0x8000, 0, ROTN)
    SHIFT(rol, w, 0x1234, 4, 0, 0x2341, CF, ROTN)
    SHIFT(rol, l, 0x80000000, 1, 0, 1, CF|OF, ROT1)
    SHIFT(rol, l, 0x12345678, 28, 0, 0x81234567, CF, ROTN)
    SHIFT(rol, q, 0x8000000000000000, 1, 0, 1, CF|OF, ROT1)
    SHIFT(rol, q, 0x0123456789abcdef, 36, CF, 0x9abcdef012345678, 0, ROTN)
    SHIFT(ror, b, 1, 1, 0, 0x80, CF|OF, ROT1)
    SHIFT(ror, b, 3, 1, 0, 0x81, CF|OF, ROT1)
    SHIFT(ror, b, 0x81, 8, 0, 0x81, CF, ROTN)
    SHIFT(ror, b, 0x7f, 24, CF, 0x7f, 0, ROTN)
    SHIFT(ror, w, 1, 17, 0, 0x8000, CF, ROTN)
    SHIFT(ror, w, 0x8000, 1, CF, 0x4000, OF, ROT1)
    SHIFT(ror, l, 1, 1, PF, 0x80000000, CF|OF|PF, ROT1)
    SHIFT(ror, q, 0x0123456789abcdef, 4, 0, 0xf0123456789abcde, CF, ROTN)

    // --- RCL, RCR: 9, 17, 33, 65 bits go round; the count is masked to 5 or 6 bits first, then taken modulo 9 or 17 ---
    SHIFT(rcl, b, 0x80, 1, 0, 0, CF|OF, ROT1)
    SHIFT(rcl, b, 0x80, 1, CF, 1, CF|OF, ROT1)
    SHIFT(rcl, b, 0x40, 1, CF|ZF, 0x81, OF|ZF, ROT1)
    SHIFT(rcl, b, 0x5a, 9, CF, 0x5a, CF, ROTN)
    SHIFT(rcl, b, 0x5a, 9, ZF, 0x5a, ZF, ROTN)
    SHIFT(rcl, b, 0x5a, 27, CF, 0x5a, CF, ROTN)
    SHIFT(rcl, b, 0x5a, 8, CF, 0xad, 0, ROTN)
    SHIFT(rcl, b, 0x80, 10, CF, 1, CF, ROTN)
    SHIFT(rcl, w, 0x1234, 17, CF, 0x1234, CF, ROTN)
    SHIFT(rcl, w, 0x8000, 18, CF, 1, CF, ROTN)
    SHIFT(rcl, w, 0x8001, 16, 0, 0x4000, CF, ROTN)
    SHIFT(rcl, l, 0x80000000, 1, CF, 1, CF|OF, ROT1)
    SHIFT(rcl, q, 0x8000000000000000, 1, 0, 0, CF|OF, ROT1)
    SHIFT(rcl, q, 0x8000000000000000, 2, 0, 1, 0, ROTN)
    SHIFT(rcl, q, 1, 63, CF, 0xc000000000000000, 0, ROTN)
    SHIFT(rcr, b, 1, 1, 0, 0, CF, ROT1)
    SHIFT(rcr, b, 1, 1, CF, 0x80, CF|OF, ROT1)
    SHIFT(rcr, b, 0x80, 1, CF, 0xc0, 0, ROT1)
    SHIFT(rcr, b, 0x80, 1, 0, 0x40, OF, ROT1)
    SHIFT(rcr, b, 0xa5, 9, CF|SF, 0xa5, CF|SF, ROTN)
    SHIFT(rcr, b, 0xa5, 18, PF, 0xa5, PF, ROTN)
    SHIFT(rcr, w, 1, 17, 0, 1, 0, ROTN)
    SHIFT(rcr, w, 1, 2, CF, 0xc000, 0, ROTN)
    SHIFT(rcr, l, 1, 1, CF, 0x80000000, CF|OF, ROT1)
    SHIFT(rcr, l, 1, 2, 0, 0x80000000, 0, ROTN)
    SHIFT(rcr, q, 1, 1, CF, 0x8000000000000000, CF|OF, ROT1)
    SHIFT(rcr, q, 0x8000000000000000, 63, 0, 1, 0, ROTN)

    // --- SHLD, SHRD ---
    OP("shldl $1, %edx, %eax", 0x1122334480000000, 0x80000000, 0, 0, 1, CF|OF, SHIFT1)
    OP("shldl $4, %edx, %eax", 0x12345678, 0xa0000000, 0, 0, 0x2345678a, CF, SHIFTN)
    OP("shldl $0, %edx, %eax", 0x1122334480000000, 0xffffffff, 0, ARITH, 0x80000000, ARITH, ARITH)
    OP("shldl $32, %edx, %eax", 0x1122334480000000, 0xffffffff, 0, ARITH, 0x80000000, ARITH, ARITH)
    OP("shldl %cl, %edx, %eax", 0x80000001, 0xffffffff, 33, 0, 3, CF|OF|PF, SHIFT1)
    OP("shldw $16, %dx, %ax", 0x1122334455668001, 0x1234, 0, 0, 0x1122334455661234, CF, SHIFTN)
    OP("shldw $15, %dx, %ax", 0x1122334455660003, 0xffff, 0, 0, 0x112233445566ffff, CF|SF|PF, SHIFTN)
    OP("shldq $63, %rdx, %rax", 3, 0x8000000000000001, 0, 0, 0xc000000000000000, CF|SF|PF, SHIFTN)
    OP("shldq %cl, %rdx, %rax", 0x4000000000000000, 0, 1, 0, 0x8000000000000000, OF|SF|PF, SHIFT1)
    OP("shrdl $1, %edx, %eax", 1, 1, 0, 0, 0x80000000, CF|OF|SF|PF, SHIFT1)
    OP("shrdl $31, %edx, %eax", 0x40000000, 0x7fffffff, 0, 0, 0xfffffffe, CF|SF, SHIFTN)
    OP("shrdw $16, %dx, %ax", 0x1122334455668000, 0xabcd, 0, 0, 0x112233445566abcd, CF|SF, SHIFTN)
    OP("shrdw $4, %dx, %ax", 0x1122334455661234, 0xabcd, 0, 0, 0x112233445566d123, SF, SHIFTN)
    OP("shrdq $4, %rdx, %rax", 0x0123456789abcdef, 0xa, 0, 0, 0xa0123456789abcde, CF|SF|PF, SHIFTN)
    OP("shrdq %cl, %rdx, %rax", 0x8000000000000000, 0, 64, ARITH, 0x8000000000000000, ARITH, ARITH)
    SET(%rdx, 0xa0000000)
    SET_MEM(cpu_operand(%rip), 0x1122334412345678)
    shldl $4, %edx, cpu_operand(%rip)
    CHECK_FLAGS(CF, CF|ZF|SF, shldl to memory)
    CHECK_EQ(cpu_operand(%rip), 0x112233442345678a, shldl to memory)

    // --- a count of 0 writes its operand all the same: a read-only page faults ---
    xorl %ecx, %ecx
    PAGE_FAULT(W_RO, PF_WRITE|PF_USER|PF_PRESENT, "shll %cl, W_RO")

    // --- flags of a shift by 0 after lazily kept flags of another operation ---
    OP("addb %dl, %al; shll %cl, %eax", 0xff, 1, 0, 0, 0, CF|ZF|AF|PF, ARITH)
    OP("addb %dl, %al; rolb %cl, %al", 0x7f, 1, 8, 0, 0x80, SF|AF, ARITH&~OF)
    OP("addb %dl, %al; rcll %cl, %eax; adcl $0, %eax", 0xff, 1, 1, 0, 1, 0, ARITH)

    // --- BMI2's: no flags at all ---
    NEED_BMI2(9f)
    OP("shlxl %ecx, %edx, %eax", 0xffffffffffffffff, 0x80000001, 33, ARITH, 2, ARITH, ARITH)
    OP("shrxq %rcx, %rdx, %rax", 0, 0x8000000000000001, 127, ARITH, 1, ARITH, ARITH)
    OP("sarxl %ecx, %edx, %eax", 0, 0xffffffff80000000, 31, 0, 0xffffffff, 0, ARITH)
    OP("sarxq %rcx, %rdx, %rax", 0, 0x8000000000000000, 63, 0, 0xffffffffffffffff, 0, ARITH)
    OP("rorxl $33, %edx, %eax", 0xffffffffffffffff, 1, 0, ARITH, 0x80000000, ARITH, ARITH)
    OP("rorxq $4, %rdx, %rax", 0, 0x0123456789abcdef, 0, 0, 0xf0123456789abcde, 0, ARITH)
9:  ret
