// SPDX-License-Identifier: MIT
//
// AVX, AVX2, FMA, F16C: upper halves (kept by SSE, cleared by VEX), lanes, masked loads and stores that must not fault, gathers with their masks
// (also when they fault half-way), fused rounding, no alignment. SDM vol. 1 chapter 14.
#include "cpu_test.h"

.set ONE, 0x3ff0000000000000

#define ONES(n) SET_YMM(n, -1, -1, -1, -1)

cpu_topic_main:
    NEED_AVX(9f)
    // --- who clears bits 255:128 ---
    ONES(0)
    SET_YMM(1, 1, 2, 3, 4)
    SET_YMM(2, 5, 6, 7, 8)
    movaps %xmm1, %xmm0
    CHECK_YMM(0, 1, 2, -1, -1, sse movaps keeps)
    ONES(0)
    addsd %xmm1, %xmm0
    vextractf128 $1, %ymm0, %xmm3
    CHECK_XMM(3, -1, -1, sse addsd keeps)
    ONES(0)
    vmovaps %xmm1, %xmm0
    CHECK_YMM(0, 1, 2, 0, 0, vmovaps)
    ONES(0)
    vpaddq %xmm1, %xmm2, %xmm0
    CHECK_YMM(0, 6, 8, 0, 0, vpaddq xmm)
    ONES(0)
    vmovsd cpu_operand, %xmm0
    vextractf128 $1, %ymm0, %xmm3
    CHECK_XMM(3, 0, 0, vmovsd from memory)
    ONES(0)
    vmovsd %xmm1, %xmm2, %xmm0
    CHECK_YMM(0, 1, 6, 0, 0, vmovsd of registers)
    ONES(0)
    movq %rax, %xmm0
    vextractf128 $1, %ymm0, %xmm3
    CHECK_XMM(3, -1, -1, sse movq keeps)
    ONES(0)
    vmovd %eax, %xmm0
    vextractf128 $1, %ymm0, %xmm3
    CHECK_XMM(3, 0, 0, vmovd)
    ONES(15)
    ONES(0)
    vzeroupper
    CHECK_YMM(0, -1, -1, 0, 0, vzeroupper)
    CHECK_YMM(15, -1, -1, 0, 0, vzeroupper)
    SET(%rax, 2)
    vcvtsi2sdq %rax, %xmm2, %xmm0
    CHECK_YMM(0, 0x4000000000000000, 6, 0, 0, vcvtsi2sd)
    SET_YMM(1, 1, 2, 3, 4)
    vextractf128 $1, %ymm1, %xmm1 // onto itself
    CHECK_YMM(1, 3, 4, 0, 0, vextractf128 onto itself)
    SET_YMM(1, 1, 2, 3, 4)
    SET_YMM(2, 5, 6, 7, 8)
    vzeroall
    CHECK_YMM(1, 0, 0, 0, 0, vzeroall)
    CHECK_YMM(2, 0, 0, 0, 0, vzeroall)

    // --- lanes ---
    SET_YMM(1, 1, 2, 3, 4)
    SET_YMM(2, 5, 6, 7, 8)
    vperm2f128 $0x21, %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 3, 4, 5, 6, vperm2f128)
    vperm2f128 $0x83, %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 7, 8, 0, 0, vperm2f128 with a zeroed half)
    vinsertf128 $1, %xmm2, %ymm1, %ymm0
    CHECK_YMM(0, 1, 2, 5, 6, vinsertf128)
    vunpckhpd %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 2, 6, 4, 8, vunpckhpd by lane)
    vshufpd $0b0110, %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 1, 6, 4, 7, vshufpd by lane)
    vpermilpd $0b0110, %ymm1, %ymm0
    CHECK_YMM(0, 1, 2, 4, 3, vpermilpd)
    vbroadcastsd W_RO+8, %ymm0
    CHECK_YMM(0, 0x0f0e0d0c0b0a0908, 0x0f0e0d0c0b0a0908, 0x0f0e0d0c0b0a0908, 0x0f0e0d0c0b0a0908, vbroadcastsd)
    SET_YMM(3, 0x8000000000000000, 0, 0x8000000000000000, 0)
    vblendvpd %ymm3, %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 5, 2, 7, 4, vblendvpd)
    vmovmskpd %ymm3, %eax
    CHECK_EQ(%rax, 5, vmovmskpd)
    SET_FLAGS(ARITH)
    vtestpd %ymm3, %ymm1
    CHECK_FLAGS(ZF, ARITH, vtestpd)
    SET_FLAGS(ARITH)
    vptest %ymm1, %ymm1
    CHECK_FLAGS(CF, ARITH, vptest of itself)

    // --- 32 comparisons ---
    .macro vcmp line, imm, a, b, want, ie
    set_xmm 1, \a, 0
    set_xmm 2, \b, 0
    set_mxcsr 0x1f80
    vcmpsd $\imm, %xmm2, %xmm1, %xmm0
    check_mxcsr \line, 0x1f80|\ie, "vcmpsd \imm"
    vmovq %xmm0, %rax
    check_eq \line, %rax, \want, "vcmpsd \imm"
    .endm
#define VCMP(imm, a, b, want, ie) vcmp __LINE__, imm, a, b, want, ie
    .set QNAN, 0x7ff8000000000000
    VCMP(8, QNAN, ONE, -1, 0)   // equal, unordered, quiet
    VCMP(9, QNAN, ONE, -1, 1)   // not greater or equal, signals
    VCMP(11, QNAN, QNAN, 0, 0)  // false
    VCMP(12, QNAN, ONE, 0, 0)   // not equal, ordered
    VCMP(13, ONE, ONE, -1, 0)   // greater or equal
    VCMP(15, QNAN, ONE, -1, 0)  // true
    VCMP(16, QNAN, ONE, 0, 1)   // equal, signals
    VCMP(17, QNAN, ONE, 0, 0)   // less, quiet
    VCMP(25, QNAN, ONE, -1, 0)
    VCMP(27, QNAN, ONE, 0, 1)   // false, signals
    VCMP(30, ONE+1, ONE, -1, 0) // greater, quiet
    VCMP(31, QNAN, ONE, -1, 1)  // true, signals

    // --- masked moves: elements that are off are not touched ---
    SET_YMM(3, 0x8000000000000000, 0x7fffffffffffffff, 0, 0)
    SET_MEM(W_END-8, 0x1122334455667788)
    ONES(0)
    vmaskmovpd W_END-8, %ymm3, %ymm0
    CHECK_YMM(0, 0x1122334455667788, 0, 0, 0, vmaskmovpd before the hole)
    vmaskmovpd %ymm0, %ymm3, W_END-8
    SET_YMM(3, 0, -1, 0, 0)
    ONES(0)
    PAGE_FAULT(W_END, PF_USER, "vmaskmovpd W_END-8, %ymm3, %ymm0")
    CHECK_YMM(0, -1, -1, -1, -1, vmaskmovpd that faults)
    SET_YMM(3, -1, -1, 0, 0)
    PAGE_FAULT(W_END, PF_USER|PF_WRITE, "vmaskmovpd %ymm0, %ymm3, W_END-8")
    CHECK_EQ(W_END-8, 0x1122334455667788, vmaskmovpd store that faults stores nothing)
    SET_YMM(3, 0, 0, 0, 0)
    vmaskmovpd %ymm0, %ymm3, W_END // all off, nowhere
    vmaskmovps W_END, %ymm3, %ymm0
    CHECK_YMM(0, 0, 0, 0, 0, vmaskmovps of nothing)
    // --- alignment: only VMOVAPS and its like ask for it ---
    vaddps cpu_operand+1, %ymm0, %ymm0
    vpaddb cpu_operand+1, %xmm0, %xmm0
    NEED_RIGHT(exceptions, 1f)
    FAULT_CODE(13, 0, "vmovaps cpu_operand+16, %ymm0")
    FAULT_CODE(13, 0, "vmovntdq %ymm0, cpu_operand+16")
1:  SET_YMM(0, 1, 2, 3, 4)
    SET_MEM(W_END-8, 0x1111111111111111)
    SET_MEM(W_END-16, 0x1111111111111111)
    PAGE_FAULT(W_END, PF_USER|PF_WRITE, "vmovups %ymm0, W_END-16")
    CHECK_EQ(W_END-16, 0x1111111111111111, vmovups that faults stores nothing)
    PAGE_FAULT(W_END, PF_USER, "vmovups W_END-16, %ymm0")
    CHECK_YMM(0, 1, 2, 3, 4, vmovups that faults)
    SET_YMM(1, 9, 9, 9, 9)
    PAGE_FAULT(W_END, PF_USER, "vpaddq W_END-8, %xmm1, %xmm0")
    CHECK_YMM(0, 1, 2, 3, 4, vpaddq that faults)

    NEED_AVX2(1f)
    // --- AVX2 ---
    SET_YMM(1, 0x0706050403020100, 0x0f0e0d0c0b0a0908, 0x1716151413121110, 0x1f1e1d1c1b1a1918)
    SET_YMM(2, 0x8001020304050607, 0x08090a0b0c0d0e0f, 0x0001020304050607, 0x08090a0b0c0d0e80)
    vpshufb %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 0x0001020304050607, 0x08090a0b0c0d0e0f, 0x1011121314151617, 0x18191a1b1c1d1e00, vpshufb by lane)
    vpermq $0x1b, %ymm1, %ymm0
    CHECK_YMM(0, 0x1f1e1d1c1b1a1918, 0x1716151413121110, 0x0f0e0d0c0b0a0908, 0x0706050403020100, vpermq)
    SET_YMM(2, 0x0000000f00000007, 0x0000000600000005, 0x0000000400000003, 0x0000000200000001)
    vpermd %ymm1, %ymm2, %ymm0 // indices modulo 8
    CHECK_YMM(0, 0x1f1e1d1c1f1e1d1c, 0x1b1a191817161514, 0x131211100f0e0d0c, 0x0b0a090807060504, vpermd)
    vpalignr $4, %ymm1, %ymm1, %ymm0
    CHECK_YMM(0, 0x0b0a090807060504, 0x030201000f0e0d0c, 0x1b1a191817161514, 0x131211101f1e1d1c, vpalignr by lane)
    vpackuswb %ymm1, %ymm1, %ymm0
    CHECK_YMM(0, -1, -1, -1, -1, vpackuswb by lane)
    vpsrldq $15, %ymm1, %ymm0
    CHECK_YMM(0, 0x0f, 0, 0x1f, 0, vpsrldq by lane)
    SET_YMM(2, 0x0000002000000001, 0xffffffff0000001f, 64, 63)
    ONES(1)
    vpsllvd %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 0x00000000fffffffe, 0x0000000080000000, 0xffffffff00000000, 0xffffffff00000000, vpsllvd beyond the width)
    vpsravd %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, -1, -1, -1, -1, vpsravd beyond the width)
    vpsrlvq %ymm2, %ymm1, %ymm0
    CHECK_YMM(0, 0, 0, 0, 1, vpsrlvq beyond the width)
    vpmovmskb %ymm1, %eax
    CHECK_EQ(%rax, 0xffffffff, vpmovmskb)
    // --- gathers ---
    .macro gather_setup
    SET_YMM(1, 0, 8, 16, 24)
    SET_YMM(2, -1, 0x7fffffffffffffff, 0x8000000000000000, -1)
    SET_YMM(0, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd)
    movl $W_RO, %ebx
    .endm
    gather_setup
    vpgatherqq %ymm2, (%rbx,%ymm1,1), %ymm0
    CHECK_YMM(0, 0x0706050403020100, 0xbbbb, 0x1716151413121110, 0x1f1e1d1c1b1a1918, vpgatherqq)
    CHECK_YMM(2, 0, 0, 0, 0, the mask is cleared)
    SET_YMM(1, 0xffffffff00000001, 0x0000000200000003, 5, 6)
    SET_YMM(2, -1, -1, -1, -1)
    ONES(0)
    movl $W_RO+16, %ebx
    vpgatherdd %xmm2, (%rbx,%xmm1,4), %xmm0
    CHECK_YMM(0, 0x0f0e0d0c17161514, 0x1b1a19181f1e1d1c, 0, 0, vpgatherdd xmm clears the upper half)
    CHECK_YMM(2, 0, 0, 0, 0, the whole mask is cleared)
    SET_YMM(2, -1, -1, -1, -1)
    ONES(0)
    SET_YMM(1, 1, -2, 0, 0)
    vpgatherqd %xmm2, (%rbx,%xmm1,1), %xmm0 // two qword indices, two dwords
    vmovq %xmm0, %rax
    vpextrq $1, %xmm0, %rdx
    CHECK_EQ(%rax, 0x11100f0e14131211, vpgatherqd)
    CHECK_EQ(%rdx, 0, vpgatherqd of two clears the rest)
    // a fault: what was gathered is there, its mask bits are clear, the others wait
    gather_setup
    SET_YMM(1, 0, 8, W_END-W_RO, 24)
    SET_YMM(0, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd)
    SET_YMM(2, -1, -1, -1, -1)
    movl $W_RO, %ebx
    PAGE_FAULT(W_END, PF_USER, "vpgatherqq %ymm2, (%rbx,%ymm1,1), %ymm0")
    vextractf128 $1, %ymm0, %xmm3
    CHECK_XMM(3, 0xcccc, 0xdddd, a gather that faults: from the faulting element on)
    vextractf128 $1, %ymm2, %xmm3
    CHECK_XMM(3, -1, -1, a gather that faults: its mask waits)
    vmovups %xmm1, %xmm1 // indices 2 and 3 are 0 now
    vpgatherqq %ymm2, (%rbx,%ymm1,1), %ymm0
    CHECK_YMM(0, 0x0706050403020100, 0x0f0e0d0c0b0a0908, 0x0706050403020100, 0x0706050403020100, the gather goes on)
    NEED_RIGHT(exceptions, 1f)
    FAULT(6, ".byte 0xc4; .byte 0xe2; .byte 0xfd; .byte 0x91; .byte 0x04; .byte 0x0b") // mask and destination are one
    FAULT(6, ".byte 0xc4; .byte 0xe2; .byte 0xed; .byte 0x91; .byte 0x04; .byte 0x03") // index and destination
1:  NEED_FMA(1f)
    // --- FMA: one rounding; the three orders ---
    SET_MXCSR(0x1f80)
    SET_XMM(0, 0x3ff0000000000001, 5)
    SET_XMM(1, 0x3ff0000000000001, 6)
    SET_XMM(2, 0xbff0000000000002, 7)
    vfmadd213sd %xmm2, %xmm1, %xmm0 // (1+e)^2 - (1+2e) = e^2
    CHECK_YMM(0, 0x3970000000000000, 5, 0, 0, vfmadd213sd keeps what rounding would lose)
    CHECK_MXCSR(0x1f80, vfmadd213sd is exact)
    .macro order insn, want
    SET_XMM(0, 0x4000000000000000, 0) // 2
    SET_XMM(1, 0x4008000000000000, 0) // 3
    SET_XMM(2, 0x4014000000000000, 0) // 5
    \insn %xmm2, %xmm1, %xmm0
    CHECK_XMM(0, \want, 0, an order of fma)
    .endm
    order vfmadd132sd, 0x402a000000000000 // 2*5+3
    order vfmadd213sd, 0x4026000000000000 // 3*2+5
    order vfmadd231sd, 0x4031000000000000 // 3*5+2
    order vfnmadd231sd, 0xc02a000000000000
    order vfmsub132sd, 0x401c000000000000
    order vfnmsub213sd, 0xc026000000000000
    SET_XMM(0, ONE, ONE)
    SET_XMM(1, ONE, ONE)
    SET_XMM(2, ONE, ONE)
    vfmaddsub213pd %xmm2, %xmm1, %xmm0
    CHECK_XMM(0, 0, 0x4000000000000000, vfmaddsub subtracts in even places)
    SET_XMM(0, 0, 0)
    SET_XMM(1, 0x7ff0000000000000, 0)
    SET_XMM(2, 0x7ff8000000000123, 0)
    vfmadd213sd %xmm2, %xmm1, %xmm0 // 0 * inf + NaN
    CHECK_XMM(0, 0x7ff8000000000123, 0, 0 times infinity plus a NaN is the NaN)
    SET_MXCSR(0x1f80)
1:  NEED_F16C(9f)
    // --- F16C: rounding by the immediate or MXCSR; DAZ does not count for halves ---
    SET_XMM(1, 0x477ff00038800000, 0x7f80000133000000) // 65520, 2^-14; SNaN, 2^-25
    vcvtps2ph $0, %xmm1, %xmm0
    CHECK_YMM(0, 0x7e0000007c000400, 0, 0, 0, vcvtps2ph)
    CHECK_MXCSR(0x1f80|1|8|0x10|0x20, vcvtps2ph)
    SET_MXCSR(0x1f80|0x40)
    SET_XMM(1, 0xfc01800003ff0001, 0)
    vcvtph2ps %xmm1, %xmm0
    CHECK_XMM(0, 0x387fc00033800000, 0xffc0200080000000, vcvtph2ps of denormals)
    CHECK_MXCSR(0x1f80|0x41, vcvtph2ps)
    SET_MXCSR(0x1f80)
9:  ret
