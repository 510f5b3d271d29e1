// SPDX-License-Identifier: MIT
//
// Integer vectors of 128 bits: saturation, packing, comparison, shifts beyond the width, shuffles, inserts, alignment faults; SSSE3 and SSE4.1.
// SDM vol. 2.
#include "cpu_test.h"

.macro vec line, insn, a1, a0, b1, b0, want1, want0
    set_xmm 0, \a0, \a1
    set_xmm 1, \b0, \b1
    \insn
    check_xmm \line, 0, \want0, \want1, "\insn"
.endm
// High half first, as one writes numbers.
#define VEC(insn, a1, a0, b1, b0, want1, want0) vec __LINE__, insn, a1, a0, b1, b0, want1, want0

cpu_topic_main:
    // --- saturation, wrap ---
    VEC("paddsb %xmm1, %xmm0", 0x7f7f808001ff0080, 0, 0x01ff80ff7f81807f, 0x7f, 0x7f7e80807f8080ff, 0x7f)
    VEC("paddusw %xmm1, %xmm0", 0xffff800000010000, 0, 0x000180000001ffff, 5, 0xffffffff0002ffff, 5)
    VEC("psubsb %xmm1, %xmm0", 0x807f00807f80ff00, 0, 0x01ff80807f7f8001, 0, 0x807f7f0000807fff, 0)
    VEC("psubusw %xmm1, %xmm0", 0x0000ffff80000001, 0, 0x0001fffe80010001, 0, 0x0000000100000000, 0)
    VEC("paddq %xmm1, %xmm0", 0xffffffffffffffff, 1, 1, 0xffffffffffffffff, 0, 0)
    VEC("psubd %xmm1, %xmm0", 0x0000000080000000, 0, 0x0000000100000001, 0, 0xffffffff7fffffff, 0)
    VEC("pmulhuw %xmm1, %xmm0", 0xffff800000010002, 0, 0xffff800000018000, 0, 0xfffe400000000001, 0)
    VEC("pmuludq %xmm1, %xmm0", 0xeeeeeeeeffffffff, 0xeeeeeeee80000000, 0x77777777ffffffff, 2, 0xfffffffe00000001, 0x100000000)
    VEC("pmaddwd %xmm1, %xmm0", 0x8000800000000000, 0x7fff7fff00018000, 0x8000800000000000, 0x7fff7fff80000001, 0x8000000000000000, 0x7ffe0002ffff0000)
    VEC("packssdw %xmm1, %xmm0", 0x0000800000007fff, 0xffff7fffffff8000, 0x7fffffff80000000, 0, 0x7fff800000000000, 0x7fff7fff80008000)
    VEC("packuswb %xmm1, %xmm0", 0x00ff0100ffff8000, 0x7fff00010000007f, 0, 0, 0, 0xffff0000ff01007f)
    VEC("psadbw %xmm1, %xmm0", 0x00ff00ff00ff00ff, 0, 0xff00ff00ff00ff00, 0xffffffffffffffff, 0x7f8, 0x7f8)
    VEC("pavgw %xmm1, %xmm0", 0xffff000000010002, 0, 0xfffe000100010001, 0, 0xffff000100010002, 0)
    // --- comparison ---
    VEC("pcmpgtb %xmm1, %xmm0", 0x7f80ff0001000080, 0, 0x807f00ff01ff0180, 0, 0xff0000ff00ff0000, 0)
    VEC("pcmpgtd %xmm1, %xmm0", 0x8000000000000000, 0x7fffffff00000001, 0x7fffffffffffffff, 0x8000000000000001, 0x00000000ffffffff, 0xffffffff00000000)
    VEC("pcmpeqb %xmm0, %xmm0", 0x1234, 0x5678, 0, 0, 0xffffffffffffffff, 0xffffffffffffffff)
    VEC("pmaxsw %xmm1, %xmm0", 0x80007fffffff0000, 0, 0x7fff80000000ffff, 0, 0x7fff7fff00000000, 0)
    VEC("pminub %xmm1, %xmm0", 0x80ff007f, 0, 0x7f00ff80, 0, 0x7f00007f, 0)
    // --- shifts: counts beyond the width; a register's count has 64 bits ---
    VEC("psllw $15, %xmm0", 0xffff000180000002, 0, 0, 0, 0x8000800000000000, 0)
    VEC("psllw $16, %xmm0", 0xffffffffffffffff, 0xffffffffffffffff, 0, 0, 0, 0)
    VEC("psraw $255, %xmm0", 0x80007fff0001ffff, 0, 0, 0, 0xffff00000000ffff, 0)
    VEC("psrad %xmm1, %xmm0", 0x800000007fffffff, 0, 0, 31, 0xffffffff00000000, 0)
    VEC("psrad %xmm1, %xmm0", 0x800000007fffffff, 0, 0, 0x8000000000000000, 0xffffffff00000000, 0)
    VEC("psrlq %xmm1, %xmm0", 0x8000000000000000, 0x8000000000000001, 0xffffffffffffffff, 63, 1, 1) // the high half of the count does not count
    VEC("psllq %xmm1, %xmm0", 1, 1, 0, 64, 0, 0)
    VEC("pslldq $1, %xmm0", 0x1122334455667788, 0x99aabbccddeeff00, 0, 0, 0x2233445566778899, 0xaabbccddeeff0000)
    VEC("psrldq $15, %xmm0", 0x1122334455667788, 0x99aabbccddeeff00, 0, 0, 0, 0x11)
    VEC("psrldq $16, %xmm0", 0x1122334455667788, 0x99aabbccddeeff00, 0, 0, 0, 0)
    VEC("pslldq $255, %xmm0", 0x1122334455667788, 0x99aabbccddeeff00, 0, 0, 0, 0)
    // --- shuffles ---
    VEC("pshufd $0x1b, %xmm1, %xmm0", 0, 0, 0x3333333322222222, 0x1111111100000000, 0x0000000011111111, 0x2222222233333333)
    VEC("pshufhw $0x1b, %xmm1, %xmm0", 0, 0, 0x7777666655554444, 0x3333222211110000, 0x4444555566667777, 0x3333222211110000)
    VEC("pshuflw $0xe4, %xmm0, %xmm0", 5, 0x3333222211110000, 0, 0, 5, 0x3333222211110000)
    VEC("shufps $0x4e, %xmm1, %xmm0", 0x3333333322222222, 0x1111111100000000, 0x7777777766666666, 0x5555555544444444, 0x5555555544444444, 0x3333333322222222)
    VEC("unpckhps %xmm1, %xmm0", 0x3333333322222222, 0, 0x7777777766666666, 0, 0x7777777733333333, 0x6666666622222222)
    VEC("punpcklqdq %xmm0, %xmm0", 1, 2, 0, 0, 2, 2)
    VEC("punpckhbw %xmm1, %xmm0", 0x7766554433221100, 0, 0xffeeddccbbaa9988, 0, 0xff77ee66dd55cc44, 0xbb33aa2299118800)
    VEC("movhlps %xmm1, %xmm0", 1, 2, 3, 4, 1, 3)
    VEC("movlhps %xmm1, %xmm0", 1, 2, 3, 4, 4, 2)
    VEC("movss %xmm1, %xmm0", 1, 0x1111111122222222, 3, 0x3333333344444444, 1, 0x1111111144444444)
    VEC("movsd %xmm1, %xmm0", 1, 2, 3, 4, 1, 4)
    VEC("movq %xmm1, %xmm0", 1, 2, 3, 4, 0, 4)
    SET_XMM(0, -1, -1)
    movss cpu_zero(%rip), %xmm0
    CHECK_XMM(0, 0, 0, movss from memory clears the rest)
    SET_XMM(0, -1, -1)
    movl $0x80000000, %eax
    movd %eax, %xmm0
    CHECK_XMM(0, 0x80000000, 0, movd)
    SET_XMM(1, 0x8000000080000000, 0x7fffffff80000000)
    SET(%rax, -1)
    movmskps %xmm1, %eax
    CHECK_EQ(%rax, 7, movmskps)
    movmskpd %xmm1, %eax
    CHECK_EQ(%rax, 1, movmskpd)
    SET_XMM(1, 0x80ff7f0000800081, 0x0000000000000080)
    pmovmskb %xmm1, %eax
    CHECK_EQ(%rax, 0b111000101, pmovmskb)
    SET_XMM(0, 0x3333222211110000, 0x7777666655554444)
    pextrw $15, %xmm0, %eax // modulo 8
    CHECK_EQ(%rax, 0x7777, pextrw)
    movl $0x1234abcd, %eax
    pinsrw $9, %eax, %xmm0
    CHECK_XMM(0, 0x33332222abcd0000, 0x7777666655554444, pinsrw)
    // --- alignment: #GP(0) for the aligned forms, not for the others ---
    FAULT_CODE(13, 0, "movaps cpu_operand+8, %xmm0")
    FAULT_CODE(13, 0, "movdqa %xmm0, cpu_operand+1")
    FAULT_CODE(13, 0, "movntdq %xmm0, cpu_operand+8")
    movups cpu_operand+1, %xmm0
    movlps cpu_operand+1, %xmm0
    addss cpu_operand+1, %xmm0
    pinsrw $1, cpu_operand+1, %xmm0
    // Alignment comes before the page: a misaligned access to nowhere is #GP.
    FAULT_CODE(13, 0, "movaps W_END+8, %xmm0")
    PAGE_FAULT(W_END, PF_USER, "movaps W_END, %xmm0")
    SET_XMM(0, 1, 2)
    PAGE_FAULT(W_END, PF_USER, "movups W_END-8, %xmm0")
    CHECK_XMM(0, 1, 2, movups that faults)
    PAGE_FAULT(W_END, PF_USER, "movhps W_END-4, %xmm0")
    CHECK_XMM(0, 1, 2, movhps that faults)
    // --- MASKMOVDQU ---
    SET_XMM(0, 0x1122334455667788, 0x99aabbccddeeff00)
    SET_XMM(1, 0x0080008000800080, 0x8000000000000000)
    SET_MEM(W_RW+0x11, 0)
    SET_MEM(W_RW+0x19, 0)
    movl $W_RW+0x11, %edi
    maskmovdqu %xmm1, %xmm0
    CHECK_EQ(W_RW+0x11, 0x0022004400660088, maskmovdqu)
    CHECK_EQ(W_RW+0x19, 0x9900000000000000, maskmovdqu)

    NEED_RIGHT(exceptions, 1f)
    FAULT_CODE(13, 0, "paddb cpu_operand+8, %xmm0")
    FAULT_CODE(13, 0, "andps cpu_operand+4, %xmm0")
1:  NEED_SSSE3(9f)
    VEC("pshufb %xmm1, %xmm0", 0x0f0e0d0c0b0a0908, 0x0706050403020100, 0x800f7f107f018000, 0xff00010203040506, 0x000f0f000f010000, 0x0000010203040506)
    VEC("palignr $5, %xmm1, %xmm0", 0x0f0e0d0c0b0a0908, 0x0706050403020100, 0x1f1e1d1c1b1a1918, 0x1716151413121110, 0x04030201001f1e1d, 0x1c1b1a1918171615)
    VEC("palignr $20, %xmm1, %xmm0", 0x0f0e0d0c0b0a0908, 0x0706050403020100, 1, 2, 0x0f0e0d0c, 0x0b0a090807060504)
    VEC("palignr $32, %xmm1, %xmm0", 0x0f0e0d0c0b0a0908, 0x0706050403020100, 1, 2, 0, 0)
    VEC("phaddsw %xmm1, %xmm0", 0x7fff000180008000, 0, 0, 0x0001ffff00020003, 0x0000000000000005, 0x7fff800000000000)
    VEC("psignd %xmm1, %xmm0", 0x8000000000000005, 0x0000000500000005, 0xffffffff80000000, 0x0000000000000001, 0x80000000fffffffb, 0x0000000000000005)
    VEC("pabsb %xmm1, %xmm0", 0, 0, 0x80ff7f0181000000, 0, 0x80017f017f000000, 0)
    VEC("pmulhrsw %xmm1, %xmm0", 0x80007fff40000001, 0, 0x80007fff40004000, 0, 0x80007ffe20000001, 0)
    VEC("pmaddubsw %xmm1, %xmm0", 0xffff808000010101, 0, 0x7f7f808001ffff80, 0, 0x7fff8000ffffff7f, 0)

    NEED_SSE41(9f)
    VEC("pmulld %xmm1, %xmm0", 0x80000000ffffffff, 0x0001000000010001, 0x00000002ffffffff, 0x0001000000010001, 1, 0x0000000000020001)
    VEC("pmuldq %xmm1, %xmm0", 0xeeeeeeee80000000, 0xeeeeeeeeffffffff, 0x7777777780000000, 1, 0x4000000000000000, 0xffffffffffffffff)
    VEC("packusdw %xmm1, %xmm0", 0x0000ffff00010000, 0xffffffff80000000, 0x7fffffff00000001, 0, 0xffff000100000000, 0xffffffff00000000)
    VEC("pcmpeqq %xmm1, %xmm0", 0x8000000000000000, 1, 0x8000000000000000, 0x100000001, 0xffffffffffffffff, 0)
    VEC("pminsb %xmm1, %xmm0", 0x80ff007f, 0, 0x7f0080ff, 0, 0x80ff80ff, 0)
    VEC("pmaxud %xmm1, %xmm0", 0x80000000ffffffff, 0, 0x7fffffff00000000, 0, 0x80000000ffffffff, 0)
    VEC("phminposuw %xmm1, %xmm0", 1, 1, 0x0005000400030009, 0x0003000800070006, 0, 0x30003)
    VEC("pmovsxbq %xmm1, %xmm0", 0, 0, 0, 0x8001, 0xffffffffffffff80, 1)
    VEC("pmovzxwd %xmm1, %xmm0", 0, 0, 0, 0x8000ffff00017fff, 0x000080000000ffff, 0x0000000100007fff)
    VEC("pblendw $0x81, %xmm1, %xmm0", 0, 0, -1, -1, 0xffff000000000000, 0xffff)
    VEC("ptest %xmm1, %xmm0; sete %al; movzbl %al, %eax; movd %eax, %xmm0", 0x8000000000000000, 0, 0x7fffffffffffffff, -1, 0, 1)
    SET_XMM(0, 1, 0x8000000000000000)
    SET_XMM(1, 1, 0)
    SET_FLAGS(ARITH)
    ptest %xmm1, %xmm0
    CHECK_FLAGS(CF, ARITH, ptest: b has nothing that a has not)
    SET_FLAGS(ARITH)
    ptest %xmm0, %xmm1
    CHECK_FLAGS(0, ARITH, ptest: both have and have not)
    pxor %xmm1, %xmm1
    ptest %xmm1, %xmm1
    CHECK_FLAGS(CF|ZF, ARITH, ptest of zero)
    SET_XMM(0, 0x8000000000000000, 0)
    SET_XMM(1, 1, 2)
    SET_XMM(2, 3, 4)
    blendvpd %xmm0, %xmm1, %xmm2
    CHECK_XMM(2, 1, 4, blendvpd)
    SET_XMM(1, 0x8877665544332211, 0xffeeddccbbaa9900)
    pextrb $8, %xmm1, %eax
    CHECK_EQ(%rax, 0, pextrb)
    pextrq $1, %xmm1, %rax
    CHECK_EQ(%rax, 0xffeeddccbbaa9900, pextrq)
    extractps $3, %xmm1, %rax
    CHECK_EQ(%rax, 0xffeeddcc, extractps)
    SET_MEM(cpu_operand(%rip), -1)
    pextrw $7, %xmm1, cpu_operand(%rip)
    CHECK_EQ(cpu_operand(%rip), 0xffffffffffffffee|0xffee, pextrw to memory)
    SET_XMM(0, 0x1111111100000000, 0x3333333322222222)
    SET_XMM(1, 0x5555555544444444, 0x7777777766666666)
    insertps $0x98, %xmm1, %xmm0 // source 2 to place 1; place 3 to zero
    CHECK_XMM(0, 0x6666666600000000, 0x0000000022222222, insertps)
    NEED_SSE42(9f)
    VEC("pcmpgtq %xmm1, %xmm0", 0x8000000000000000, 1, 0x7fffffffffffffff, 0xffffffffffffffff, 0, 0xffffffffffffffff)
9:  ret
    .pushsection .rodata
    .balign 16
cpu_zero:
    .quad 0, 0
    .popsection
