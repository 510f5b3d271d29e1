// SPDX-License-Identifier: MIT
//
// AES, PCLMULQDQ, SHA by known answers: FIPS 197 appendix B and C.1, FIPS 180-4's "abc".
#include "cpu_test.h"

.macro expand n, rcon
    aeskeygenassist $\rcon, %xmm1, %xmm2
    pshufd $0xff, %xmm2, %xmm2
    movdqa %xmm1, %xmm3
    pslldq $4, %xmm3
    pxor %xmm3, %xmm1
    pslldq $4, %xmm3
    pxor %xmm3, %xmm1
    pslldq $4, %xmm3
    pxor %xmm3, %xmm1
    pxor %xmm2, %xmm1
    movdqa %xmm1, cpu_operand+16*\n(%rip)
.endm
.macro rounds256 k, m // four rounds with the message block in \m and constants \k
    movdqa sha_k+16*(\k)(%rip), %xmm0
    paddd \m, %xmm0
    sha256rnds2 %xmm0, %xmm1, %xmm2
    pshufd $0x0e, %xmm0, %xmm0
    sha256rnds2 %xmm0, %xmm2, %xmm1
.endm
.macro schedule a, b, c, d // \a = next four words from \a \b \c \d
    sha256msg1 \b, \a
    movdqa \d, %xmm7
    palignr $4, \c, %xmm7
    paddd %xmm7, \a
    sha256msg2 \d, \a
.endm

cpu_topic_main:
    NEED_AES(1f)
    // --- AES-128 of FIPS 197: key 2b7e1516..., input 3243f6a8... ---
    movdqu fips_key(%rip), %xmm1
    movdqa %xmm1, cpu_operand(%rip)
    expand 1, 1
    expand 2, 2
    expand 3, 4
    expand 4, 8
    expand 5, 0x10
    expand 6, 0x20
    expand 7, 0x40
    expand 8, 0x80
    expand 9, 0x1b
    expand 10, 0x36
    CHECK_EQ(cpu_operand+160, 0x8925eec9a8f914d0, round key 10)
    CHECK_EQ(cpu_operand+168, 0xa60c63b6c80c3fe1, round key 10)
    movdqu fips_input(%rip), %xmm0
    pxor cpu_operand(%rip), %xmm0
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9
    aesenc cpu_operand+16*\n(%rip), %xmm0
    .endr
    aesenclast cpu_operand+160(%rip), %xmm0
    CHECK_XMM(0, 0xfb09dc021d842539, 0x320b6a19978511dc, AES-128 encryption)
    pxor cpu_operand+160(%rip), %xmm0
    .irp n, 9, 8, 7, 6, 5, 4, 3, 2, 1
    aesimc cpu_operand+16*\n(%rip), %xmm1
    aesdec %xmm1, %xmm0
    .endr
    aesdeclast cpu_operand(%rip), %xmm0
    CHECK_XMM(0, 0x8d305a88a8f64332, 0x340737e0a2983131, AES-128 decryption)
1:  NEED_PCLMUL(1f)
    SET_XMM(0, 0xffffffffffffffff, 2)
    SET_XMM(1, 0xffffffffffffffff, 0x8000000000000000)
    movdqa %xmm0, %xmm2
    pclmulqdq $0, %xmm1, %xmm2
    CHECK_XMM(2, 0x5555555555555555, 0x5555555555555555, pclmulqdq of ones)
    movdqa %xmm0, %xmm2
    pclmulqdq $0x11, %xmm1, %xmm2
    CHECK_XMM(2, 0, 1, pclmulqdq high high)
    movdqa %xmm0, %xmm2
    pclmulqdq $0x10, %xmm1, %xmm2
    CHECK_XMM(2, 0x8000000000000000, 0x7fffffffffffffff, pclmulqdq low high)
    movdqa %xmm0, %xmm2
    pclmulqdq $0x01, %xmm1, %xmm2
    CHECK_XMM(2, 0xfffffffffffffffe, 1, pclmulqdq high low)
    movdqa %xmm0, %xmm2
    pclmulqdq $0xee, %xmm1, %xmm2 // bits 0 and 4 alone count
    CHECK_XMM(2, 0x5555555555555555, 0x5555555555555555, pclmulqdq ignores other bits)
1:  NEED_SHA(9f)
    // --- SHA-256 of "abc" ---
    movdqu sha_abef(%rip), %xmm1
    movdqu sha_cdgh(%rip), %xmm2
    movdqu sha_block(%rip), %xmm3
    movdqu sha_block+16(%rip), %xmm4
    movdqu sha_block+32(%rip), %xmm5
    movdqu sha_block+48(%rip), %xmm6
    rounds256 0, %xmm3
    rounds256 1, %xmm4
    rounds256 2, %xmm5
    rounds256 3, %xmm6
    .set round, 4
    .rept 3
    schedule %xmm3, %xmm4, %xmm5, %xmm6
    rounds256 round, %xmm3
    schedule %xmm4, %xmm5, %xmm6, %xmm3
    rounds256 round+1, %xmm4
    schedule %xmm5, %xmm6, %xmm3, %xmm4
    rounds256 round+2, %xmm5
    schedule %xmm6, %xmm3, %xmm4, %xmm5
    rounds256 round+3, %xmm6
    .set round, round+4
    .endr
    paddd sha_abef(%rip), %xmm1
    paddd sha_cdgh(%rip), %xmm2
    CHECK_XMM(1, 0xb00361a396177a9c, 0xba7816bf8f01cfea, SHA-256 of abc: FE BA)
    CHECK_XMM(2, 0xb410ff61f20015ad, 0x414140de5dae2223, SHA-256 of abc: HG DC)
    // --- SHA-1: schedule and rounds against the formulas of FIPS 180-4 ---
    SET_XMM(1, 0x1032547698badcfe, 0xefcdab8967452301) // state as d c b a
    SET_XMM(2, 0, 0x8000000000000000)
    sha1nexte %xmm2, %xmm1 // rol(a, 30) + word
    CHECK_XMM(1, 0, 0xfbf36ae200000000, sha1nexte)
    SET_XMM(1, 0x4444444488888888, 0x1111111122222222)
    SET_XMM(2, 0, 0x0123456789abcdef)
    sha1msg1 %xmm2, %xmm1
    CHECK_XMM(1, 0x4567012301234567, 0x55555555aaaaaaaa, sha1msg1)
    SET_XMM(1, 0x9abcdef00f0f0f0f, 0x8000000112345678)
    SET_XMM(2, 0x5566778899aabbcc, 0x0000000011223344)
    sha1msg2 %xmm2, %xmm1
    CHECK_XMM(1, 0x062cca785a96d308, 0x2244668b8ea443e0, sha1msg2)
    SET_XMM(1, 0x98badcfe10325476, 0x67452301efcdab89)
    SET_XMM(2, 0x00000005ffffffff, 0x2535457000000000)
    sha1rnds4 $0, %xmm2, %xmm1
    CHECK_XMM(1, 0x626414dbc045bf0c, 0xcdd8e1baa1390f0d, sha1rnds4 0)
    SET_XMM(1, 0x98badcfe10325476, 0x67452301efcdab89)
    SET_XMM(2, 0x00000005ffffffff, 0x2535457000000000)
    sha1rnds4 $1, %xmm2, %xmm1
    CHECK_XMM(1, 0x208bd744b8fe2d0f, 0x392da9620f5b00d0, sha1rnds4 1)
    SET_XMM(1, 0x98badcfe10325476, 0x67452301efcdab89)
    SET_XMM(2, 0x00000005ffffffff, 0x2535457000000000)
    sha1rnds4 $2, %xmm2, %xmm1
    CHECK_XMM(1, 0xb4525abe8d6c0fdd, 0x4304f60ecaf5641b, sha1rnds4 2)
    SET_XMM(1, 0x98badcfe10325476, 0x67452301efcdab89)
    SET_XMM(2, 0x00000005ffffffff, 0x2535457000000000)
    sha1rnds4 $3, %xmm2, %xmm1
    CHECK_XMM(1, 0x13b4be74cfe0629c, 0x834a26ae5b208133, sha1rnds4 3)
9:  ret
    .pushsection .rodata
    .balign 16
fips_key:
    .byte 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c
fips_input:
    .byte 0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d, 0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34
sha_abef: // F E B A from the low end
    .long 0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667
sha_cdgh:
    .long 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372
sha_block:
    .long 0x61626380, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24
sha_k:
    .long 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
    .long 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
    .long 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
    .long 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
    .long 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
    .long 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
    .long 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
    .long 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
    .popsection
