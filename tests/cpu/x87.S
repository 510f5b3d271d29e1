// SPDX-License-Identifier: MIT
//
// x87: stack faults, tags, rounding and precision control, exceptions masked and not, integer and BCD stores, comparisons, remainders,
// environment and pointers. SDM vol. 1 chapter 8.
#include "cpu_test.h"

.set P, cpu_operand
// status word
.set IE, 1
.set DE, 2
.set ZE, 4
.set OE, 8
.set UE, 0x10
.set PE, 0x20
.set STK, 0x40
.set ES, 0x80
.set C0, 0x100
.set C1, 0x200
.set C2, 0x400
.set C3, 0x4000
.set TOP7, 0x3800
.set EXC, 0xff
.set CC, C0|C2|C3
// C1 and exceptions
.set EXC1, EXC|C1

.macro control word
    movw $\word, P+128
    fldcw P+128
.endm
.macro load32 value
    movl $\value, P+132
    flds P+132
.endm
.macro load64 value
    movl $(\value)&0xffffffff, P+136
    movl $((\value)>>32)&0xffffffff, P+140
    fldl P+136
.endm
.macro load80 exponent, mantissa
    movl $(\mantissa)&0xffffffff, P+144
    movl $((\mantissa)>>32)&0xffffffff, P+148
    movw $\exponent, P+152
    fldt P+144
.endm
.macro loadint value
    movl $(\value)&0xffffffff, P+160
    movl $((\value)>>32)&0xffffffff, P+164
    fildll P+160
.endm

cpu_topic_main:
    // --- FNINIT, FNSTCW, FNSTSW, tags ---
    fninit
    movq $0, P
    fnstcw P
    CHECK_EQ(P, 0x37f, fnstcw after fninit)
    SET(%rax, 0x1122334455667788)
    fnstsw %ax
    CHECK_EQ(%rax, 0x1122334455660000, fnstsw after fninit)
    CHECK_SW(0, 0xffff, fninit)

    // --- constants, rounded by RC ---
    fldpi
    CHECK_ST(0, 0x4000, 0xc90fdaa22168c235, fldpi)
    CHECK_SW(TOP7, TOP7|EXC, one value)
    fldl2t
    CHECK_ST(0, 0x4000, 0xd49a784bcd1b8afe, fldl2t)
    control 0x0b7f // up
    fldl2t
    CHECK_ST(0, 0x4000, 0xd49a784bcd1b8aff, fldl2t rounded up)
    fldlg2
    CHECK_ST(0, 0x3ffd, 0x9a209a84fbcff799, fldlg2 rounded up)
    control 0x077f // down
    fldpi
    CHECK_ST(0, 0x4000, 0xc90fdaa22168c234, fldpi rounded down)
    fldln2
    CHECK_ST(0, 0x3ffe, 0xb17217f7d1cf79ab, fldln2 rounded down)
    fldz
    CHECK_ST(0, 0, 0, fldz)
    fld1
    CHECK_ST(0, 0x3fff, 0x8000000000000000, fld1)
    CHECK_SW(0, EXC|TOP7, eight values)

    // --- stack overflow and underflow: the indefinite value, C1 tells which ---
    fld1
    CHECK_ST(0, 0xffff, 0xc000000000000000, ninth value)
    CHECK_SW(IE|STK|C1|TOP7, EXC1|TOP7, stack overflow)
    fninit
    fld %st(3)
    CHECK_ST(0, 0xffff, 0xc000000000000000, fld of an empty register)
    CHECK_SW(IE|STK|TOP7, EXC1|TOP7, stack underflow)
    fninit
    fld1
    fadd %st(1), %st
    CHECK_ST(0, 0xffff, 0xc000000000000000, fadd of an empty register)
    CHECK_SW(IE|STK|TOP7, EXC1|TOP7, fadd of an empty register)
    fninit
    fstps P
    CHECK_MASK(P, 0xffc00000, 0xffffffff, fstp of an empty register)
    CHECK_SW(IE|STK|0x800, EXC1|TOP7, fstp of an empty register pops)
    fninit
    fld1
    fxch %st(4)
    CHECK_ST(0, 0xffff, 0xc000000000000000, fxch with an empty register)
    CHECK_ST(4, 0x3fff, 0x8000000000000000, fxch with an empty register)
    // unmasked: nothing happens but the flag
    fninit
    control 0x37e
    fadd %st(1), %st
    CHECK_SW(IE|STK|ES, EXC|TOP7, unmasked underflow)
    ON_FAULT(1f)
    fwait
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 16, unmasked underflow: #MF at the next)
    fnclex
    CHECK_SW(0, EXC, fnclex)

    // --- FINCSTP, FDECSTP, FFREE: tags as FNSTENV has them ---
    fninit
    fld1
    fldz
    load32 0x7f800000
    load80 0, 1 // denormal
    ffree %st(1)
    fnstenv P
    movl P+8, %eax
    andl $0xffff, %eax
    CHECK_EQ(%rax, 0b0001111011111111, tags: valid zero empty special)
    fninit
    fdecstp
    CHECK_SW(TOP7, TOP7|C1, fdecstp wraps)
    fincstp
    CHECK_SW(0, TOP7|C1, fincstp wraps)

    // --- loads: denormals, NaN, integers ---
    fninit
    load32 1
    CHECK_ST(0, 0x3f6a, 0x8000000000000000, flds of the least denormal)
    CHECK_SW(DE, EXC, flds of a denormal)
    fnclex
    load32 0x7fa00000 // signalling
    CHECK_ST(0, 0x7fff, 0xe000000000000000, flds of a signalling NaN)
    CHECK_SW(IE, EXC1, flds of a signalling NaN)
    fnclex
    load80 0x7fff, 0xa000000000000000
    CHECK_ST(0, 0x7fff, 0xa000000000000000, fldt keeps a signalling NaN)
    CHECK_SW(0, EXC, fldt of a signalling NaN)
    load64 0x8000000000000001
    CHECK_ST(0, 0xbbcd, 0x8000000000000000, fldl of a denormal)
    fninit
    loadint 0x8000000000000000
    CHECK_ST(0, 0xc03e, 0x8000000000000000, fildll of the least)
    movw $0x8000, P
    filds P
    CHECK_ST(0, 0xc00e, 0x8000000000000000, filds of the least)

    // --- integer stores: rounding in all four modes, and the indefinite integer ---
    .macro fist line, control, bits, want, sw
    fninit
    control \control
    load64 \bits
    movq $-1, P
    fistpl P
    check_eq \line, P, 0xffffffff00000000|\want, "fistpl of \bits, control \control"
    check_sw \line, \sw, EXC1, "fistpl of \bits, control \control"
    .endm
#define FIST(control, bits, want, sw) fist __LINE__, control, bits, want, sw
    FIST(0x037f, 0x3fe0000000000000, 0, PE)                // 0.5 to even
    FIST(0x037f, 0x3ff8000000000000, 2, PE|C1)             // 1.5
    FIST(0x037f, 0x4004000000000000, 2, PE)                // 2.5
    FIST(0x037f, 0xbff8000000000000, 0xfffffffe, PE|C1)    // -1.5: away from zero is C1 here
    FIST(0x077f, 0xbfe0000000000000, 0xffffffff, PE|C1)    // -0.5 down
    FIST(0x0b7f, 0x3fe0000000000000, 1, PE|C1)             // up
    FIST(0x0b7f, 0xbfe0000000000000, 0, PE)
    FIST(0x0f7f, 0xbffe666666666666, 0xffffffff, PE)       // chop
    FIST(0x037f, 0x41dfffffffc00000, 0x7fffffff, 0)
    FIST(0x037f, 0x41dfffffffe00000, 0x80000000, IE)       // 2^31 - 0.5 rounds to 2^31
    FIST(0x0f7f, 0x41dfffffffe00000, 0x7fffffff, PE)
    FIST(0x037f, 0xc1e0000000000000, 0x80000000, 0)        // -2^31 fits
    FIST(0x037f, 0xc1e0000000100000, 0x80000000, PE)       // -2^31 - 0.5 rounds to -2^31
    FIST(0x037f, 0x41e0000000000000, 0x80000000, IE)
    FIST(0x037f, 0x7ff8000000000000, 0x80000000, IE)
    FIST(0x037f, 0xfff0000000000000, 0x80000000, IE)
    fninit
    load64 0x40e0000000000000 // 32768
    movq $-1, P
    fistps P
    CHECK_EQ(P, 0xffffffffffff8000, fistps that does not fit)
    CHECK_SW(IE, EXC1, fistps that does not fit)
    fninit
    loadint 0x7fffffffffffffff
    fistpll P
    CHECK_EQ(P, 0x7fffffffffffffff, fistpll keeps 63 bits)
    fninit
    load64 0xbffe666666666666
    NEED_SSE3(1f)
    fisttpll P
    CHECK_EQ(P, 0xffffffffffffffff, fisttp chops whatever RC says)
    CHECK_SW(PE, EXC1, fisttp)
1:
    // unmasked: nothing is stored, nothing popped
    fninit
    control 0x37e
    load64 0x41e0000000000000
    movq $-1, P
    fistpl P
    CHECK_EQ(P, -1, unmasked fistp)
    CHECK_SW(IE|ES|TOP7, EXC1|TOP7, unmasked fistp)
    fnclex

    // --- FBLD, FBSTP ---
    fninit
    loadint -123456789012345678
    movq $0, P+8
    fbstp P
    CHECK_EQ(P, 0x3456789012345678, fbstp)
    CHECK_EQ(P+8, 0x8012, fbstp sign)
    loadint 1000000000000000000
    fbstp P
    CHECK_EQ(P, 0xc000000000000000, fbstp of 10^18: indefinite)
    CHECK_EQ(P+8, 0xffff, fbstp of 10^18)
    CHECK_SW(IE, EXC, fbstp of 10^18)
    fninit
    load64 0x4004000000000000
    fbstp P
    CHECK_EQ(P, 2, fbstp rounds)
    CHECK_SW(PE, EXC1, fbstp rounds)
    fninit
    SET_MEM(P, 0x1234567890123456)
    movl $0x8099, P+8
    fbld P
    fistpll P
    CHECK_EQ(P, -991234567890123456, fbld)
    load32 0x80000000
    fbstp P
    CHECK_EQ(P, 0, fbstp of -0)
    CHECK_MASK(P+8, 0x8000, 0xffff, fbstp of -0)

    // --- precision control, rounding of results, C1 ---
    fninit
    control 0x007f // 24 bits
    fld1
    load32 0x40400000
    .byte 0xde, 0xf1 // FDIVRP by the manual: st(1) = st / st(1)
    CHECK_ST(0, 0x4000, 0xc000000000000000, 3 over 1)
    fninit
    control 0x007f
    fld1
    load32 0x40400000
    .byte 0xde, 0xf9 // FDIVP by the manual: st(1) = st(1) / st
    CHECK_ST(0, 0x3ffd, 0xaaaaab0000000000, a third in 24 bits)
    CHECK_SW(PE|C1, EXC1, a third in 24 bits is rounded up)
    fninit
    control 0x027f // 53 bits
    fld1
    load32 0x40400000
    .byte 0xde, 0xf9
    CHECK_ST(0, 0x3ffd, 0xaaaaaaaaaaaaa800, a third in 53 bits)
    fninit
    fld1
    load32 0x40400000
    .byte 0xde, 0xf9
    CHECK_ST(0, 0x3ffd, 0xaaaaaaaaaaaaaaab, a third in 64 bits)
    fninit
    control 0x0f7f
    fld1
    load32 0x40400000
    .byte 0xde, 0xf9
    CHECK_ST(0, 0x3ffd, 0xaaaaaaaaaaaaaaaa, a third chopped)
    CHECK_SW(PE, EXC1, a third chopped)

    // --- exceptions: masked answers ---
    fninit
    fld1
    fldz
    .byte 0xde, 0xf1 // 0 / 1
    CHECK_ST(0, 0, 0, 0 over 1)
    CHECK_SW(0, EXC, 0 over 1)
    fninit
    fld1
    fldz
    fchs
    .byte 0xde, 0xf9 // 1 / -0
    CHECK_ST(0, 0xffff, 0x8000000000000000, 1 over -0)
    CHECK_SW(ZE, EXC1, 1 over -0)
    fninit
    fldz
    fldz
    .byte 0xde, 0xf9
    CHECK_ST(0, 0xffff, 0xc000000000000000, 0 over 0)
    CHECK_SW(IE, EXC1, 0 over 0)
    fninit
    load80 0x7ffe, 0xffffffffffffffff
    fadd %st, %st
    CHECK_ST(0, 0x7fff, 0x8000000000000000, overflow)
    CHECK_SW(OE|PE|C1, EXC1, overflow)
    fninit
    control 0x0f7f
    load80 0x7ffe, 0xffffffffffffffff
    fadd %st, %st
    CHECK_ST(0, 0x7ffe, 0xffffffffffffffff, overflow chopped)
    CHECK_SW(OE|PE, EXC1, overflow chopped)
    fninit
    load80 1, 0x8000000000000001
    load32 0x3f000000
    fmulp
    CHECK_ST(0, 0, 0x4000000000000000, underflow to even)
    CHECK_SW(UE|PE, EXC1, underflow)
    fninit
    load80 1, 0x8000000000000000
    load32 0x3f000000
    fmulp
    CHECK_ST(0, 0, 0x4000000000000000, exact denormal)
    CHECK_SW(0, EXC1, an exact denormal is no underflow)
    fninit
    load80 0x7fff, 0xa000000000000001 // signalling
    load80 0x7fff, 0xc000000000000005 // quiet
    faddp
    CHECK_ST(0, 0x7fff, 0xc000000000000005, of a signalling and a quiet NaN the quiet one)
    CHECK_SW(IE, EXC, a signalling NaN)
    fninit
    load80 0x4000, 0x4000000000000000 // unnormal: unsupported
    fld1
    faddp
    CHECK_ST(0, 0xffff, 0xc000000000000000, an unnormal)
    CHECK_SW(IE, EXC, an unnormal)
    fninit
    load64 0x47efffffffffffff // more than the largest single
    fstps P
    CHECK_MASK(P, 0x7f800000, 0xffffffff, fstps overflow)
    CHECK_SW(OE|PE|C1, EXC1, fstps overflow)
    fninit
    load64 0x3690000000000000 // 2^-150
    fstps P
    CHECK_MASK(P, 0, 0xffffffff, fstps underflow)
    CHECK_SW(UE|PE, EXC1, fstps underflow)
    fninit
    fld1
    fchs
    fsqrt
    CHECK_ST(0, 0xffff, 0xc000000000000000, sqrt of -1)
    CHECK_SW(IE, EXC1, sqrt of -1)
    fninit
    fldz
    fchs
    fsqrt
    CHECK_ST(0, 0x8000, 0, sqrt of -0)
    CHECK_SW(0, EXC1, sqrt of -0)

    // --- unmasked: operands stay; #MF comes with the next waiting instruction, not with FN* ---
    fninit
    control 0x37b
    fld1
    fldz
    .byte 0xd8, 0xf9 // FDIVR: st = st(1) / st
    CHECK_ST(0, 0, 0, unmasked division by zero)
    CHECK_SW(ZE|ES, EXC1, unmasked division by zero)
    fnstsw %ax
    SET_MEM(P, -1)
    FAULT(16, "fstps P")
    CHECK_EQ(P, -1, fstp that faults)
    fnstcw P
    fnclex
    fstps P
    CHECK_MASK(P, 0, 0xffffffff, fstp at last)
    // unmasked overflow in a register: the exponent is wrapped by 24576
    fninit
    control 0x377
    load80 0x7ffe, 0x8000000000000000
    fadd %st, %st
    CHECK_ST(0, 0x1fff, 0x8000000000000000, unmasked overflow)
    CHECK_SW(OE|ES, EXC, unmasked overflow)
    fnclex

    // --- comparisons ---
    .macro compare line, insn, a80, am, b80, bm, cc, sw
    fninit
    load80 \b80, \bm
    load80 \a80, \am
    \insn
    check_sw \line, \cc|\sw, CC|EXC, "\insn"
    .endm
#define COMPARE(insn, a, am, b, bm, cc, sw) compare __LINE__, insn, a, am, b, bm, cc, sw
    COMPARE("fcom %st(1)", 0x3fff, 0x8000000000000000, 0x4000, 0x8000000000000000, C0, 0)
    COMPARE("fcom %st(1)", 0x4000, 0x8000000000000000, 0x3fff, 0x8000000000000000, 0, 0)
    COMPARE("fcom %st(1)", 0x8000, 0, 0, 0, C3, 0)
    COMPARE("fcom %st(1)", 0x7fff, 0xc000000000000000, 0x3fff, 0x8000000000000000, C0|C2|C3, IE)
    COMPARE("fucom %st(1)", 0x7fff, 0xc000000000000000, 0x3fff, 0x8000000000000000, C0|C2|C3, 0)
    COMPARE("fucom %st(1)", 0x7fff, 0xa000000000000000, 0x3fff, 0x8000000000000000, C0|C2|C3, IE)
    COMPARE("fcom %st(1)", 0, 1, 0, 0, 0, DE)
    .macro comi line, insn, a80, am, b80, bm, flags, sw
    fninit
    load80 \b80, \bm
    load80 \a80, \am
    set_flags ARITH
    \insn
    check_flags \line, \flags, ARITH, "\insn"
    check_sw \line, \sw, EXC, "\insn"
    .endm
#define COMI(insn, a, am, b, bm, flags, sw) comi __LINE__, insn, a, am, b, bm, flags, sw
    COMI("fcomi %st(1), %st", 0x3fff, 0x8000000000000000, 0x4000, 0x8000000000000000, CF, 0)
    COMI("fcomi %st(1), %st", 0x7fff, 0x8000000000000000, 0x7fff, 0x8000000000000000, ZF, 0)
    COMI("fcomi %st(1), %st", 0x7fff, 0x8000000000000000, 0x4000, 0x8000000000000000, 0, 0)
    COMI("fucomi %st(1), %st", 0x7fff, 0xc000000000000000, 0, 0, CF|PF|ZF, 0)
    COMI("fcomip %st(1), %st", 0x7fff, 0xc000000000000000, 0, 0, CF|PF|ZF, IE)
    fninit
    fcomi %st(1), %st
    CHECK_FLAGS(CF|PF|ZF, ARITH, fcomi of empty registers)
    CHECK_SW(IE|STK, EXC1, fcomi of empty registers)

    // --- FXAM ---
    .macro xam line, exponent, mantissa, want
    fninit
    load80 \exponent, \mantissa
    fxam
    check_sw \line, \want, CC|C1, "fxam"
    .endm
#define XAM(e, m, want) xam __LINE__, e, m, want
    fninit
    fxam
    CHECK_SW(C3|C0, CC, fxam of an empty register)
    XAM(0, 0, C3)
    XAM(0x8000, 0, C3|C1)
    XAM(0x3fff, 0x8000000000000000, C2)
    XAM(0xffff, 0x8000000000000000, C2|C0|C1)
    XAM(0x7fff, 0xc000000000000000, C0)
    XAM(0, 1, C3|C2)
    XAM(0x3fff, 0x4000000000000000, 0) // unnormal

    // --- FPREM, FPREM1, FSCALE, FXTRACT, FRNDINT ---
    fninit
    loadint 3
    loadint 17
    fprem
    CHECK_ST(0, 0x4000, 0x8000000000000000, 17 rem 3)
    CHECK_SW(C0|C1, CC|C1|EXC, 17 rem 3: quotient 5 is C0 and C1)
    fninit
    loadint 3
    loadint 17
    fprem1
    CHECK_ST(0, 0xbfff, 0x8000000000000000, 17 rem1 3)
    CHECK_SW(C3, C3|C2|EXC, 17 rem1 3: quotient 6 is C0 and C3)
    fninit
    loadint 3
    load80 0x4050, 0x8000000000000000 // 2^81: the exponents are too far apart for one step
    fprem
    CHECK_SW(C2, C2|EXC, partial remainder)
    fninit
    fldz
    loadint 17
    fprem
    CHECK_ST(0, 0xffff, 0xc000000000000000, remainder by zero)
    CHECK_SW(IE, EXC1, remainder by zero)
    fninit
    load64 0x4005555555555555
    load32 0x40400000
    fscale // 3 * 2^2: the scale is chopped
    CHECK_ST(0, 0x4002, 0xc000000000000000, fscale)
    fninit
    load80 0x4003, 0xc000000000000000
    fxtract
    CHECK_ST(0, 0x3fff, 0xc000000000000000, fxtract significand)
    CHECK_ST(1, 0x4001, 0x8000000000000000, fxtract exponent)
    fninit
    fldz
    fxtract
    CHECK_ST(0, 0, 0, fxtract of 0)
    CHECK_ST(1, 0xffff, 0x8000000000000000, fxtract of 0)
    CHECK_SW(ZE, EXC1, fxtract of 0)
    fninit
    load64 0xbfe0000000000000
    frndint
    CHECK_ST(0, 0x8000, 0, frndint of -0.5)
    CHECK_SW(PE, EXC, frndint of -0.5)
    fninit
    fldz
    load80 0x4040, 0x8000000000000000 // 2^65: out of range
    fsin
    CHECK_ST(0, 0x4040, 0x8000000000000000, fsin out of range)
    CHECK_SW(C2, C2|EXC, fsin out of range)

    // --- environment: pointers, opcode; FNSTENV masks ---
    fninit
    fld1
2:  fadds cpu_operand+132
    fnstenv P
    movl P+12, %eax
    CHECK_EQ(%rax, 2b, the last instruction)
    movl P+20, %eax
    CHECK_EQ(%rax, cpu_operand+132, the last operand)
    movq $0, P+32
    fnstcw P+32
    CHECK_EQ(P+32, 0x37f, fnstenv leaves the masks of fninit)
    control 0x340
    fnstenv P
    fnstcw P+32
    CHECK_EQ(P+32, 0x37f, fnstenv masks all)
    fldenv P
    fnstcw P+32
    CHECK_EQ(P+32, 0x340, fldenv brings them back)
    fninit
    fldpi
    fld1
    fnsave P
    CHECK_SW(0, 0xffff, fnsave initialises)
    frstor P
    CHECK_ST(0, 0x3fff, 0x8000000000000000, frstor)
    CHECK_ST(1, 0x4000, 0xc90fdaa22168c235, frstor)
    // FCMOVcc
    SET_FLAGS(CF)
    fcmovb %st(1), %st
    CHECK_ST(0, 0x4000, 0xc90fdaa22168c235, fcmovb)
    fninit
    fldpi
    fld1
    SET_FLAGS(PF)
    fcmovnu %st(1), %st
    CHECK_ST(0, 0x3fff, 0x8000000000000000, fcmovnu)
    fninit
    ret
