// SPDX-License-Identifier: MIT
//
// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: aggregation, polarity, lengths beyond the register, flags. SDM vol. 1 section 12.10 (SSE4.2), vol. 2 section 4.1.
#include "cpu_test.h"

.macro text line, insn, la, lb, want_cx, flags
    movdqu text_a(%rip), %xmm0
    movdqu text_b(%rip), %xmm1
    movabsq $\la, %rax
    movabsq $\lb, %rdx
    movabsq $0x1122334455667788, %rcx
    set_flags ARITH
    \insn
    check_flags \line, \flags, ARITH, "\insn"
    check_eq \line, %rcx, \want_cx, "\insn"
.endm
#define TEXT(insn, la, lb, cx, flags) text __LINE__, insn, la, lb, cx, flags
.macro mask line, insn, la, lb, lo, hi, flags
    movdqu text_a(%rip), %xmm2
    movdqu text_b(%rip), %xmm1
    movabsq $\la, %rax
    movabsq $\lb, %rdx
    set_flags ARITH
    \insn
    check_flags \line, \flags, ARITH, "\insn"
    check_xmm \line, 0, \lo, \hi, "\insn"
.endm
#define MASK(insn, la, lb, lo, hi, flags) mask __LINE__, insn, la, lb, lo, hi, flags

cpu_topic_main:
    NEED_SSE42(9f)
    // CF: any bit; ZF: b is short; SF: a is short; OF: bit 0. xmm0/a: "aeiou"; xmm1/b: "string of text\0".
    // --- equal any: vowels in the text, first at 3 ---
    TEXT("pcmpistri $0, %xmm1, %xmm0", 0, 0, 3, CF|ZF|SF)
    TEXT("pcmpistri $0x40, %xmm1, %xmm0", 0, 0, 11, CF|ZF|SF)           // last one
    TEXT("pcmpistri $0x10, %xmm1, %xmm0", 0, 0, 0, CF|ZF|SF|OF)         // first that is none
    TEXT("pcmpistri $0x30, %xmm1, %xmm0", 0, 0, 0, CF|ZF|SF|OF)         // masked: only in the text
    TEXT("pcmpistri $0x50, %xmm1, %xmm0", 0, 0, 15, CF|ZF|SF|OF)        // last that is none, beyond the end
    TEXT("pcmpistri $0x70, %xmm1, %xmm0", 0, 0, 13, CF|ZF|SF|OF)        // masked
    // --- explicit lengths: absolute values, cut at 16; the sign does not matter ---
    TEXT("pcmpestri $0, %xmm1, %xmm0", 5, 14, 3, CF|ZF|SF)
    TEXT("pcmpestri $0, %xmm1, %xmm0", -5, -14, 3, CF|ZF|SF)
    TEXT("pcmpestri $0, %xmm1, %xmm0", 5, 3, 16, ZF|SF)
    TEXT("pcmpestri $0, %xmm1, %xmm0", 0, 14, 16, ZF|SF)
    TEXT("pcmpestri $0, %xmm1, %xmm0", 5, 16, 3, CF|SF)
    TEXT("pcmpestri $0, %xmm1, %xmm0", 0x80000000, 0x7fffffff, 3, CF) // both at least 16: no short string
    TEXT("pcmpestri $0, %xmm1, %xmm0", 0x100000005, 0x10000000e, 3, CF|ZF|SF) // EAX and EDX without REX.W
    TEXT("rex.w pcmpestri $0, %xmm1, %xmm0", 0x100000000, 0x100000000, 3, CF) // RAX and RDX with
    // --- ranges: a-e, i-o ... pairs of a ---
    TEXT("pcmpestri $4, %xmm1, %xmm0", 4, 14, 3, CF|ZF|SF)  // a-e i-o: 'i' at 3
    TEXT("pcmpestri $4, %xmm1, %xmm0", 2, 14, 11, CF|ZF|SF) // a-e: 'e' at 11
    TEXT("pcmpestri $4, %xmm1, %xmm0", 3, 14, 11, CF|ZF|SF) // half a pair does not count
    // --- equal each ---
    TEXT("pcmpestri $8, %xmm1, %xmm0", 5, 14, 14, CF|ZF|SF)   // beyond both ends they are equal
    TEXT("pcmpestri $0x18, %xmm1, %xmm0", 5, 14, 0, CF|ZF|SF|OF)
    // --- equal ordered: search ---
    movdqu needle(%rip), %xmm3
    movdqu text_b(%rip), %xmm1
    SET(%rcx, 5)
    pcmpistri $0xc, %xmm1, %xmm3
    CHECK_EQ(%rcx, 10, search for te)
    pcmpistri $0xc, %xmm3, %xmm1
    CHECK_EQ(%rcx, 16, search for the text in te)
    pxor %xmm4, %xmm4
    pcmpistri $0xc, %xmm1, %xmm4
    CHECK_EQ(%rcx, 0, the empty string is everywhere)
    CHECK_FLAGS(CF|ZF|SF|OF, ARITH, the empty string is everywhere)
    // --- words ---
    movl $5, %eax
    movl $5, %edx
    pcmpestri $9, %xmm1, %xmm1
    CHECK_EQ(%rcx, 0, words of itself)
    TEXT("pcmpestri $1, %xmm1, %xmm0", 9, 9, 7, CF) // zeros are words like others
    // --- masks ---
    MASK("pcmpistrm $0, %xmm1, %xmm2", 0, 0, 0x0888, 0, CF|ZF|SF)
    MASK("pcmpistrm $0x40, %xmm1, %xmm2", 0, 0, 0xff000000ff000000, 0x00000000ff000000, CF|ZF|SF)
    MASK("pcmpestrm $0x18, %xmm1, %xmm2", 5, 14, 0x3fff, 0, CF|ZF|SF|OF)
    MASK("pcmpestrm $0x41, %xmm1, %xmm1", 8, 8, -1, -1, CF|OF)
    // Index forms leave XMM0, mask forms leave ECX; memory need not be aligned.
    SET(%rcx, 0x1234)
    movdqu text_a(%rip), %xmm2
    pcmpistrm $0, text_b+1(%rip), %xmm2
    CHECK_EQ(%rcx, 0x1234, pcmpistrm and ecx)
    NEED_AVX(9f)
    SET_YMM(0, -1, -1, -1, -1)
    movdqu text_a(%rip), %xmm2
    vpcmpistrm $0, text_b(%rip), %xmm2
    CHECK_YMM(0, 0x888, 0, 0, 0, vpcmpistrm clears the upper half)
9:  ret
    .pushsection .rodata
text_a: .ascii "aeiou\0\0\0\0\0\0\0\0\0\0\0"
text_b: .ascii "string of text\0\0"
        .byte 0
needle: .ascii "te\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    .popsection
