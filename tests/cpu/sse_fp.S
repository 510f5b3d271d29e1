// SPDX-License-Identifier: MIT
//
// SSE and SSE2 arithmetic: MXCSR's flags, rounding, DAZ and FTZ, unmasked exceptions, NaNs, minima, comparisons, conversions at the edges;
// SSE3, SSE4.1 rounding. SDM vol. 1 chapter 11, appendix E.
#include "cpu_test.h"

.set IE, 1
.set DE, 2
.set ZE, 4
.set OE, 8
.set UE, 0x10
.set PE, 0x20
.set DAZ, 0x40
.set MASKS, 0x1f80
.set DOWN, 0x2000
.set UP, 0x4000
.set CHOP, 0x6000
.set FTZ, 0x8000

// MXCSR in, low lane of xmm0 and flags out; the upper bits of xmm0 are those of `a`.
.macro fp line, insn, mxcsr, a, b, want, flags
    set_xmm 0, \a, 0x1122334455667788
    set_xmm 1, \b, 0x99aabbccddeeff00
    set_mxcsr \mxcsr|MASKS
    \insn
    check_mxcsr \line, \mxcsr|MASKS|\flags, "\insn"
    check_xmm \line, 0, \want, 0x1122334455667788, "\insn"
    set_mxcsr MASKS
.endm
#define FP(insn, mxcsr, a, b, want, flags) fp __LINE__, insn, mxcsr, a, b, want, flags
.macro fpcmp line, insn, a, b, eflags, flags
    set_xmm 0, \a, 0
    set_xmm 1, \b, 0
    set_mxcsr MASKS
    set_flags ARITH
    \insn
    check_flags \line, \eflags, ARITH, "\insn"
    check_mxcsr \line, MASKS|\flags, "\insn"
    set_mxcsr MASKS
.endm
#define FPCMP(insn, a, b, eflags, flags) fpcmp __LINE__, insn, a, b, eflags, flags
// To a general register.
.macro toint line, insn, mxcsr, a, want, flags
    set_xmm 1, \a, 0
    movabsq $0x5555555555555555, %rax
    set_mxcsr \mxcsr|MASKS
    \insn
    check_eq \line, %rax, \want, "\insn"
    check_mxcsr \line, \mxcsr|MASKS|\flags, "\insn"
    set_mxcsr MASKS
.endm
#define TOINT(insn, mxcsr, a, want, flags) toint __LINE__, insn, mxcsr, a, want, flags

.set ONE, 0x3ff0000000000000
.set THREE, 0x4008000000000000
.set INF, 0x7ff0000000000000
.set QNAN, 0x7ff8000000000001
.set SNAN, 0x7ff0000000000001
.set INDEF, 0xfff8000000000000
.set MAX, 0x7fefffffffffffff
.set MIN, 0x0010000000000000
.set DENORM, 1
.set NEG, 0x8000000000000000

cpu_topic_main:
    // --- MXCSR ---
    SET_MXCSR(MASKS)
    CHECK_MXCSR(MASKS, ldmxcsr)
    movl $0xffff, cpu_operand
    ldmxcsr cpu_operand
    CHECK_MXCSR(0xffff, all defined bits)
    movl $0x10000, cpu_operand
    NEED_RIGHT(exceptions, 1f)
    FAULT_CODE(13, 0, "ldmxcsr cpu_operand")
1:    CHECK_MXCSR(0xffff, ldmxcsr of a reserved bit)
    SET_MXCSR(MASKS)

    // --- results and flags, masked ---
    FP("addsd %xmm1, %xmm0", 0, ONE, ONE, 0x4000000000000000, 0)
    FP("addsd %xmm1, %xmm0", PE, ONE, 0x3c90000000000000, ONE, PE) // 1 + 2^-54; flags stick
    FP("addsd %xmm1, %xmm0", UP, ONE, DENORM, ONE+1, PE|DE)
    FP("addsd %xmm1, %xmm0", CHOP, ONE, DENORM, ONE, PE|DE)
    FP("addsd %xmm1, %xmm0", 0, MAX, MAX, INF, OE|PE)
    FP("addsd %xmm1, %xmm0", CHOP, MAX, MAX, MAX, OE|PE)
    FP("addsd %xmm1, %xmm0", DOWN, MAX, MAX, MAX, OE|PE)
    FP("addsd %xmm1, %xmm0", 0, INF, INF|NEG, INDEF, IE)
    FP("addsd %xmm1, %xmm0", 0, ONE, ONE|NEG, 0, 0)
    FP("addsd %xmm1, %xmm0", DOWN, ONE, ONE|NEG, NEG, 0) // -0 when rounding down
    FP("subsd %xmm1, %xmm0", 0, 0, 0, 0, 0)
    FP("subsd %xmm1, %xmm0", DOWN, 0, 0, NEG, 0)
    FP("mulsd %xmm1, %xmm0", 0, 0, INF, INDEF, IE)
    FP("mulsd %xmm1, %xmm0", 0, MIN, 0x3fe0000000000000, MIN/2, 0) // exact: no underflow
    FP("mulsd %xmm1, %xmm0", 0, MIN+1, 0x3fe0000000000000, MIN/2, UE|PE)
    FP("mulsd %xmm1, %xmm0", UP, DENORM, 0x3fe0000000000000, DENORM, UE|PE|DE)
    FP("mulsd %xmm1, %xmm0", 0, DENORM, 0x3fe0000000000000, 0, UE|PE|DE)
    FP("divsd %xmm1, %xmm0", 0, ONE, THREE, 0x3fd5555555555555, PE)
    FP("divsd %xmm1, %xmm0", UP, ONE, THREE, 0x3fd5555555555556, PE)
    FP("divsd %xmm1, %xmm0", 0, ONE, NEG, INF|NEG, ZE)
    FP("divsd %xmm1, %xmm0", 0, 0, 0, INDEF, IE)
    FP("divsd %xmm1, %xmm0", 0, INF, 0, INF, 0)
    FP("divsd %xmm1, %xmm0", 0, DENORM, 0, INF, ZE)
    FP("sqrtsd %xmm1, %xmm0", 0, 5, NEG, NEG, 0)
    FP("sqrtsd %xmm1, %xmm0", 0, 5, ONE|NEG, INDEF, IE)
    FP("sqrtsd %xmm1, %xmm0", 0, 5, 0x4000000000000000, 0x3ff6a09e667f3bcd, PE)
    FP("sqrtsd %xmm1, %xmm0", CHOP, 5, 0x4000000000000000, 0x3ff6a09e667f3bcc, PE)
    // NaNs: the first operand's, made quiet; a signalling one says so
    FP("addsd %xmm1, %xmm0", 0, QNAN, ONE, QNAN, 0)
    FP("addsd %xmm1, %xmm0", 0, ONE, QNAN, QNAN, 0)
    FP("addsd %xmm1, %xmm0", 0, QNAN, QNAN+1, QNAN, 0)
    FP("addsd %xmm1, %xmm0", 0, SNAN+1, QNAN, SNAN+1+0x8000000000000, IE)
    FP("addsd %xmm1, %xmm0", 0, QNAN+4, SNAN, QNAN+4, IE)
    FP("addsd %xmm1, %xmm0", 0, DENORM, QNAN, QNAN, 0) // no DE with a NaN
    // minima and maxima: the second operand for NaNs and equal zeros
    FP("minsd %xmm1, %xmm0", 0, 0, NEG, NEG, 0)
    FP("minsd %xmm1, %xmm0", 0, NEG, 0, 0, 0)
    FP("maxsd %xmm1, %xmm0", 0, QNAN, ONE, ONE, IE)
    FP("maxsd %xmm1, %xmm0", 0, ONE, QNAN, QNAN, IE)
    FP("maxsd %xmm1, %xmm0", 0, ONE, SNAN, SNAN, IE) // not made quiet
    FP("minsd %xmm1, %xmm0", 0, DENORM, ONE, DENORM, DE)
    // DAZ, FTZ
    FP("addsd %xmm1, %xmm0", DAZ, DENORM, DENORM|NEG, 0, 0)
    FP("addsd %xmm1, %xmm0", DAZ, DENORM|NEG, DENORM|NEG, NEG, 0) // the sign stays
    FP("mulsd %xmm1, %xmm0", DAZ, DENORM, INF, INDEF, IE)
    FP("divsd %xmm1, %xmm0", DAZ, ONE, DENORM, INF, ZE)
    FP("mulsd %xmm1, %xmm0", FTZ, MIN, 0x3fe0000000000000, 0, UE|PE) // flushed though exact
    FP("mulsd %xmm1, %xmm0", FTZ, MIN|NEG, 0x3fe0000000000000, NEG, UE|PE)
    FP("addsd %xmm1, %xmm0", FTZ, DENORM, 0, 0, UE|PE|DE)
    FP("minsd %xmm1, %xmm0", DAZ, DENORM, ONE, 0, 0)
    // single precision, scalar: bits 127:32 stay
    FP("addss %xmm1, %xmm0", 0, 0xaaaaaaaa7f7fffff, 0xbbbbbbbb7f7fffff, 0xaaaaaaaa7f800000, OE|PE)
    FP("mulss %xmm1, %xmm0", 0, 0xaaaaaaaa00800001, 0x3f000000, 0xaaaaaaaa00400000, UE|PE)
    FP("divss %xmm1, %xmm0", DOWN, 0xaaaaaaaa3f800000, 0x40400000, 0xaaaaaaaa3eaaaaaa, PE)
    FP("sqrtss %xmm1, %xmm0", 0, 0xaaaaaaaa00000000, 0x7f800001, 0xaaaaaaaa7fc00001, IE)
    FP("rcpss %xmm1, %xmm0", 0, 0xaaaaaaaa00000000, 0x80000000, 0xaaaaaaaaff800000, 0)   // no flags
    FP("rsqrtss %xmm1, %xmm0", 0, 0xaaaaaaaa00000000, 0xbf800000, 0xaaaaaaaaffc00000, 0)
    FP("cvtsd2ss %xmm1, %xmm0", 0, 0xaaaaaaaa00000000, 0x47efffffffffffff, 0xaaaaaaaa7f800000, OE|PE)
    FP("cvtsd2ss %xmm1, %xmm0", 0, 0xaaaaaaaa00000000, 0x380fffffffffffff, 0xaaaaaaaa00800000, PE) // tiny is told after rounding
    FP("cvtsd2ss %xmm1, %xmm0", 0, 0xaaaaaaaa00000000, SNAN+0x40000000, 0xaaaaaaaa7fc00002, IE)
    FP("cvtss2sd %xmm1, %xmm0", 0, 5, 1, 0x36a0000000000000, DE)
    FP("cvtss2sd %xmm1, %xmm0", DAZ, 5, 0x80000001, NEG, 0)
    // packed: the flags of all lanes, the answer of each
    SET_XMM(0, 0x7f7fffff00000000, 0x7f80000000000001)
    SET_XMM(1, 0x7f7fffff00000000, 0xff80000040000000)
    SET_MXCSR(MASKS)
    addps %xmm1, %xmm0
    CHECK_MXCSR(MASKS|OE|PE|IE|DE, addps)
    CHECK_XMM(0, 0x7f80000000000000, 0xffc0000040000000, addps)

    // --- unmasked: #XM with everything as it was ---
    SET_XMM(0, ONE, 5)
    SET_XMM(1, 0, 6)
    SET_MXCSR(MASKS&~0x200)
    FAULT_CODE(19, 0, "divsd %xmm1, %xmm0")
    CHECK_MXCSR(MASKS&~0x200|ZE, unmasked divsd: the flag is set)
    CHECK_XMM(0, ONE, 5, unmasked divsd)
    SET_MXCSR(MASKS&~0x1000|PE) // an old flag faults nothing
    addsd %xmm0, %xmm0
    SET_XMM(1, THREE, 6)
    SET_XMM(0, ONE, 5)
    FAULT(19, "divsd %xmm1, %xmm0")
    // A pre-computation exception in one lane: the other lanes' post-computation flags are not set.
    SET_XMM(0, 0x7f7fffff7f800001, 0)
    SET_XMM(1, 0x7f7fffff00000000, 0)
    SET_MXCSR(MASKS&~0x80)
    FAULT(19, "addps %xmm1, %xmm0")
    CHECK_MXCSR(MASKS&~0x80|IE, addps with an unmasked invalid lane)
    SET_MXCSR(MASKS&~0x100) // denormal operand unmasked
    SET_XMM(0, DENORM, 0)
    FAULT(19, "comisd %xmm0, %xmm0")
    CHECK_MXCSR(MASKS&~0x100|DE, comisd of denormals)
    SET_MXCSR(MASKS)

    // --- comparisons ---
    FPCMP("ucomisd %xmm1, %xmm0", ONE, THREE, CF, 0)
    FPCMP("ucomisd %xmm1, %xmm0", THREE, ONE, 0, 0)
    FPCMP("ucomisd %xmm1, %xmm0", 0, NEG, ZF, 0)
    FPCMP("ucomisd %xmm1, %xmm0", QNAN, ONE, CF|PF|ZF, 0)
    FPCMP("ucomisd %xmm1, %xmm0", ONE, SNAN, CF|PF|ZF, IE)
    FPCMP("comisd %xmm1, %xmm0", QNAN, ONE, CF|PF|ZF, IE)
    FPCMP("comiss %xmm1, %xmm0", 0x7f800000, 0x7f7fffff, 0, 0)
    FPCMP("ucomiss %xmm1, %xmm0", 1, 0, 0, DE)
    FP("cmpltsd %xmm1, %xmm0", 0, QNAN, ONE, 0, IE)
    FP("cmpeqsd %xmm1, %xmm0", 0, QNAN, QNAN, 0, 0)
    FP("cmpneqsd %xmm1, %xmm0", 0, QNAN, QNAN, -1, 0)
    FP("cmpunordsd %xmm1, %xmm0", 0, ONE, QNAN, -1, 0)
    FP("cmpnltsd %xmm1, %xmm0", 0, ONE, QNAN, -1, IE)
    FP("cmpordsd %xmm1, %xmm0", 0, SNAN, ONE, 0, IE)
    FP("cmpeqsd %xmm1, %xmm0", 0, 0, NEG, -1, 0)
    FP("cmpless %xmm1, %xmm0", 0, 0xaaaaaaaa3f800000, 0x3f800000, 0xaaaaaaaaffffffff, 0)

    // --- to integers: the indefinite one and IE when it does not fit ---
    TOINT("cvtsd2si %xmm1, %eax", 0, 0x3fe0000000000000, 0, PE)
    TOINT("cvtsd2si %xmm1, %eax", 0, 0x3ff8000000000000, 2, PE)
    TOINT("cvtsd2si %xmm1, %eax", UP, 0x3fe0000000000000, 1, PE)
    TOINT("cvttsd2si %xmm1, %eax", UP, 0xbffe000000000000, 0xffffffff, PE)
    TOINT("cvtsd2si %xmm1, %eax", 0, 0x41dfffffffc00000, 0x7fffffff, 0)
    TOINT("cvtsd2si %xmm1, %eax", 0, 0x41dfffffffe00000, 0x80000000, IE)
    TOINT("cvttsd2si %xmm1, %eax", 0, 0x41dfffffffe00000, 0x7fffffff, PE)
    TOINT("cvtsd2si %xmm1, %eax", 0, 0xc1e0000000000000, 0x80000000, 0)
    TOINT("cvtsd2si %xmm1, %rax", 0, 0x43e0000000000000, 0x8000000000000000, IE)
    TOINT("cvtsd2si %xmm1, %rax", 0, 0xc3e0000000000000, 0x8000000000000000, 0)
    TOINT("cvtsd2si %xmm1, %rax", 0, QNAN, 0x8000000000000000, IE)
    TOINT("cvttss2si %xmm1, %eax", 0, 0x4f000000, 0x80000000, IE)
    TOINT("cvttss2si %xmm1, %rax", 0, 0x4f000000, 0x80000000, 0)
    TOINT("cvtss2si %xmm1, %eax", DAZ, 1, 0, 0)
    TOINT("cvtss2si %xmm1, %eax", 0, 1, 0, PE) // no DE
    SET(%rax, 0x7fffffffffffffff)
    SET_XMM(0, 5, 6)
    SET(%rax, 0x7fffffffffffffff)
    cvtsi2sdq %rax, %xmm0
    CHECK_XMM(0, 0x43e0000000000000, 6, cvtsi2sdq)
    CHECK_MXCSR(MASKS|PE, cvtsi2sdq)
    SET_MXCSR(MASKS)
    SET(%rax, 0xffffffff80000000)
    cvtsi2sdl %eax, %xmm0
    CHECK_XMM(0, 0xc1e0000000000000, 6, cvtsi2sdl)
    SET(%rax, 0x7fffffff)
    cvtsi2ssl %eax, %xmm0
    CHECK_XMM(0, 0xc1e000004f000000, 6, cvtsi2ssl)
    SET_MXCSR(MASKS)
    SET_XMM(1, 0x7f80000040200000, 0xcf0000003f000000)
    cvtps2dq %xmm1, %xmm0
    CHECK_XMM(0, 0x8000000000000002, 0x8000000000000000, cvtps2dq)
    CHECK_MXCSR(MASKS|IE|PE, cvtps2dq)
    SET_MXCSR(MASKS)
    SET_XMM(1, 0x3ff8000000000000, 0x41dfffffffe00000)
    cvttpd2dq %xmm1, %xmm0
    CHECK_XMM(0, 0x7fffffff00000001, 0, cvttpd2dq)
    SET_XMM(1, 0x8000000000000001, 0)
    cvtdq2pd %xmm1, %xmm0
    CHECK_XMM(0, ONE, 0xc1e0000000000000, cvtdq2pd)
    SET_XMM(1, 0x47efffffffffffff, SNAN)
    SET_MXCSR(MASKS|CHOP)
    cvtpd2ps %xmm1, %xmm0
    CHECK_XMM(0, 0x7fc000007f7fffff, 0, cvtpd2ps chopped)
    CHECK_MXCSR(MASKS|CHOP|IE|PE, cvtpd2ps chopped)
    SET_MXCSR(MASKS)

    // --- SSE3, SSE4.1 ---
    NEED_SSE3(9f)
    SET_XMM(0, ONE, THREE)
    SET_XMM(1, ONE, ONE)
    addsubpd %xmm1, %xmm0
    CHECK_XMM(0, 0, 0x4010000000000000, addsubpd)
    SET_XMM(0, ONE, THREE)
    hsubpd %xmm1, %xmm0
    CHECK_XMM(0, 0xc000000000000000, 0, hsubpd)
    SET_XMM(1, 1, 2)
    movddup %xmm1, %xmm0
    CHECK_XMM(0, 1, 1, movddup)
    NEED_SSE41(9f)
    FP("roundsd $0, %xmm1, %xmm0", CHOP, 5, 0x4004000000000000, 0x4000000000000000, PE)
    FP("roundsd $2, %xmm1, %xmm0", 0, 5, 0x4004000000000000, THREE, PE)
    FP("roundsd $4, %xmm1, %xmm0", DOWN, 5, 0xbfe0000000000000, ONE|NEG, PE) // MXCSR's mode
    FP("roundsd $0xb, %xmm1, %xmm0", 0, 5, 0xbfe0000000000000, NEG, 0)       // no PE
    FP("roundsd $8, %xmm1, %xmm0", 0, 5, SNAN, SNAN+0x8000000000000, IE)
    SET_XMM(0, ONE, THREE)
    SET_XMM(1, THREE, THREE)
    dppd $0x32, %xmm1, %xmm0
    CHECK_XMM(0, 0, 0x4028000000000000, dppd)
9:  SET_MXCSR(MASKS)
    ret
