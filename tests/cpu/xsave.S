// SPDX-License-Identifier: MIT
//
// FXSAVE, XSAVE, XSAVEOPT, XSAVEC, XRSTOR: what is written, what is left, components in their initial state, bad headers. SDM vol. 1 chapter 13.
#include "cpu_test.h"

.set AREA, cpu_scratch+1024 // 64-byte aligned
.set HEADER, AREA+512

clear_area: // with a pattern, to see what is written
    movl $AREA, %edi
    movl $2048/8, %ecx
    SET(%rax, 0xa5a5a5a5a5a5a5a5)
    rep stosq
    movl $HEADER, %edi
    movl $8, %ecx
    xorl %eax, %eax
    rep stosq
    ret
.macro mask_ax n
    movl $\n, %eax
    xorl %edx, %edx
.endm

cpu_topic_main:
    fninit
    // --- FXSAVE, FXRSTOR ---
    call clear_area
    fld1
    fldpi
    SET_XMM(3, 0x1111, 0x2222)
    SET_MXCSR(0x1fa5)
    fxsave64 AREA
    CHECK_MASK(AREA, 0x37f, 0xffff, fxsave fcw)
    CHECK_MASK(AREA+2, 0x3000, 0xffff, fxsave fsw)
    CHECK_MASK(AREA+4, 0xc0, 0xff, fxsave abridged tags)
    CHECK_MASK(AREA+24, 0x1fa5, 0xffffffff, fxsave mxcsr)
    CHECK_EQ(AREA+32, 0xc90fdaa22168c235, fxsave st0)
    CHECK_MASK(AREA+40, 0x4000, 0xffff, fxsave st0)
    CHECK_EQ(AREA+160+48, 0x1111, fxsave xmm3)
    CHECK_EQ(AREA+160+256, 0xa5a5a5a5a5a5a5a5, fxsave leaves the last 96 bytes)
    SET_XMM(3, 0, 0)
    SET_MXCSR(0x1f80)
    fninit
    fxrstor64 AREA
    CHECK_XMM(3, 0x1111, 0x2222, fxrstor xmm3)
    CHECK_MXCSR(0x1fa5, fxrstor)
    CHECK_ST(1, 0x3fff, 0x8000000000000000, fxrstor st1)
    NEED_RIGHT(exceptions, 1f)
    movl $0x10000, AREA+24
    FAULT_CODE(13, 0, "fxrstor64 AREA") // a reserved bit of MXCSR
    FAULT_CODE(13, 0, "fxsave64 AREA+8")
1:  fninit
    SET_MXCSR(0x1f80)

    NEED_XSAVE(9f)
    xorl %ecx, %ecx
    xgetbv
    andl $3, %eax
    CHECK_EQ(%rax, 3, XCR0 has x87 and SSE)
    // --- XSAVE writes what the mask says; XSTATE_BV what is in use ---
    call clear_area
    SET_XMM(3, 0x1111, 0x2222)
    mask_ax 2
    xsave64 AREA
    CHECK_EQ(AREA, 0xa5a5a5a5a5a5a5a5, xsave of SSE leaves x87)
    CHECK_MASK(AREA+24, 0x1f80, 0xffffffff, xsave of SSE writes mxcsr)
    CHECK_EQ(AREA+160+48, 0x1111, xsave xmm3)
    CHECK_EQ(HEADER, 2, xsave of SSE: header)
    call clear_area
    movq $-1, HEADER // XSAVE keeps the other bits of XSTATE_BV
    fninit
    mask_ax 1
    xsave64 AREA
    CHECK_MASK(HEADER, -1&~3|2, ~1, xsave keeps bits that are not asked for)
    CHECK_MASK(AREA, 0x37f, 0xffff, xsave fcw)
    CHECK_EQ(AREA+160+48, 0xa5a5a5a5a5a5a5a5, xsave of x87 leaves SSE)

    // --- XRSTOR: absent components go to their initial state; those not asked for stay ---
    call clear_area
    SET_XMM(3, 0x1111, 0x2222)
    fld1
    mask_ax 3
    xsave64 AREA
    movq $0, HEADER
    SET_MXCSR(0x1fbf)
    movl $0x1f80, AREA+24
    mask_ax 2
    xrstor64 AREA
    CHECK_XMM(3, 0, 0, xrstor initialises xmm)
    CHECK_MXCSR(0x1f80, xrstor loads mxcsr also when SSE is initial)
    CHECK_ST(0, 0x3fff, 0x8000000000000000, xrstor of SSE leaves x87)
    mask_ax 1
    xrstor64 AREA
    fnstenv cpu_operand
    movzwl cpu_operand+8, %eax
    CHECK_EQ(%rax, 0xffff, xrstor initialises x87)
    movq $3, HEADER
    mask_ax 3
    xrstor64 AREA
    CHECK_XMM(3, 0x1111, 0x2222, xrstor)
    CHECK_ST(0, 0x3fff, 0x8000000000000000, xrstor)
    fninit
    NEED_RIGHT(exceptions, 1f)
    movl $0x40000000, HEADER+4
    mask_ax 3
    FAULT_CODE(13, 0, "xrstor64 AREA") // a component that XCR0 has not
    movq $3, HEADER
    movq $1, HEADER+16
    FAULT_CODE(13, 0, "xrstor64 AREA") // header bytes 23:8 must be zero
    movq $0, HEADER+16
    FAULT_CODE(13, 0, "xrstor64 AREA+16") // alignment: 64 bytes
    FAULT_CODE(13, 0, "xsave64 AREA+32")
    movl $0x10000, AREA+24
    FAULT_CODE(13, 0, "xrstor64 AREA")
1:
    NEED_AVX(1f)
    // --- AVX: component 2 ---
    call clear_area
    SET_YMM(3, 1, 2, 3, 4)
    mask_ax 7
    xsave64 AREA
    CHECK_MASK(HEADER, 6, 6, xsave with AVX: header)
    CHECK_EQ(AREA+576+48, 3, ymm3 upper half)
    CHECK_EQ(AREA+576+56, 4, ymm3 upper half)
    vzeroall
    mask_ax 4
    xrstor64 AREA
    CHECK_YMM(3, 0, 0, 3, 4, xrstor of AVX alone leaves the lower half)
    mask_ax 7
    xrstor64 AREA
    CHECK_YMM(3, 1, 2, 3, 4, xrstor of all)
    andq $~4, HEADER
    mask_ax 7
    xrstor64 AREA
    CHECK_YMM(3, 1, 2, 0, 0, xrstor initialises the upper half)
    mask_ax 3 // AVX not asked for
    SET_YMM(3, 9, 9, 9, 9)
    mask_ax 3
    xrstor64 AREA
    CHECK_YMM(3, 1, 2, 9, 9, xrstor of the lower half alone)
    vzeroupper
    NEED_XGETBV1(1f)
    // --- XINUSE ---
    vzeroall
    movl $1, %ecx
    xgetbv
    andl $4, %eax
    movl %eax, %ebx
    SET_YMM(3, 0, 0, 5, 0)
    movl $1, %ecx
    xgetbv
    andl $4, %eax
    CHECK_EQ(%rax, 4, AVX is in use with an upper half that is not zero)
1:  NEED_XSAVEC(1f)
    // --- XSAVEC: the compacted form; what is initial is not written ---
    call clear_area
    fninit
    SET_XMM(3, 0x1111, 0x2222)
    mask_ax 2
    xsavec64 AREA
    CHECK_EQ(HEADER, 2, xsavec: XSTATE_BV)
    CHECK_EQ(HEADER+8, 0x8000000000000002, xsavec: XCOMP_BV)
    CHECK_EQ(AREA+160+48, 0x1111, xsavec xmm3)
    CHECK_EQ(AREA+576, 0xa5a5a5a5a5a5a5a5, xsavec writes nothing behind)
    SET_XMM(3, 0, 0)
    mask_ax 2
    xrstor64 AREA
    CHECK_XMM(3, 0x1111, 0x2222, xrstor of the compacted form)
    NEED_RIGHT(exceptions, 1f)
    movq $6, HEADER
    mask_ax 7
    FAULT_CODE(13, 0, "xrstor64 AREA") // a component that XCOMP_BV has not
1:  NEED_XSAVEOPT(9f)
    call clear_area
    mask_ax 2
    SET_XMM(3, 0x3333, 0x4444)
    mask_ax 2
    xsaveopt64 AREA
    CHECK_EQ(AREA+160+48, 0x3333, xsaveopt of another area)
9:  fninit
    ret
