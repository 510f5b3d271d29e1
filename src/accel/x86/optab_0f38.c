// SPDX-License-Identifier: MIT
//
// Opcodes after 0F 38 and 0F 3A, legacy and VEX maps 2 and 3; all have a ModRM byte, those of 0F 3A
// an immediate byte too. Encoding: SDM vol. 2 appendix A.3, tables, group 17.
#include "optab.h"

// clang-format off

#define MMX_XMM(o, n) ROW(o, #n, n##_mmx, F_M, S_Q, I_NO, NP, A_MMX), XMM(o, n)
#define MMX_XMM2(o, n) ROW(o, #n, n##_mmx, F_M, S_Q, I_NO, NP, A_MMX), XMM2(o, n)
/* Three operands as VEX, or two. */
#define XMM(o, n) ROW(o, "v" #n, n, F_M, S_X, I_NO, P66 | BOTH, A_VVVV)
#define XMM2(o, n) ROW(o, "v" #n, n, F_M, S_X, I_NO, P66 | BOTH, 0)
/* VEX alone. */
#define AVX(o, n, what, attr) ROW(o, #n, n, F_M, S_X, I_NO, P66 | VEX | (what), attr)
/* FMA: W selects single or double. */
#define FMA_PACKED(o, n)                                                                           \
    ROW(o, #n "ps", n##ps, F_M, S_X, I_NO, P66 | VEX | W0, A_VVVV),                                \
    ROW(o, #n "pd", n##pd, F_M, S_X, I_NO, P66 | VEX | W1, A_VVVV)
#define FMA_SCALAR(o, n)                                                                           \
    ROW(o, #n "ss", n##ss, F_M, S_D, I_NO, P66 | VEX | W0, A_VVVV),                                \
    ROW(o, #n "sd", n##sd, F_M, S_Q, I_NO, P66 | VEX | W1, A_VVVV)
#define FMA(o, form)                                                                               \
    FMA_PACKED((o) + 6, vfmaddsub##form), FMA_PACKED((o) + 7, vfmsubadd##form),                    \
    FMA_PACKED((o) + 8, vfmadd##form),    FMA_SCALAR((o) + 9, vfmadd##form),                       \
    FMA_PACKED((o) + 10, vfmsub##form),   FMA_SCALAR((o) + 11, vfmsub##form),                      \
    FMA_PACKED((o) + 12, vfnmadd##form),  FMA_SCALAR((o) + 13, vfnmadd##form),                     \
    FMA_PACKED((o) + 14, vfnmsub##form),  FMA_SCALAR((o) + 15, vfnmsub##form)
#define SHA(o, n) ROW(o, #n, n, F_M, S_O, I_NO, NP, 0)
#define GATHER(o, n, w) AVX(o, n, MEM | (w), A_VVVV | A_VSIB)

static const struct optab_row rows38[] = {
    MMX_XMM(0x00, pshufb),
    MMX_XMM(0x01, phaddw),
    MMX_XMM(0x02, phaddd),
    MMX_XMM(0x03, phaddsw),
    MMX_XMM(0x04, pmaddubsw),
    MMX_XMM(0x05, phsubw),
    MMX_XMM(0x06, phsubd),
    MMX_XMM(0x07, phsubsw),
    MMX_XMM(0x08, psignb),
    MMX_XMM(0x09, psignw),
    MMX_XMM(0x0a, psignd),
    MMX_XMM(0x0b, pmulhrsw),
    ROW(0x0c, "vpermilps", vpermilps_rm, F_M, S_X, I_NO, P66 | VEX | W0, A_VVVV),
    ROW(0x0d, "vpermilpd", vpermilpd_rm, F_M, S_X, I_NO, P66 | VEX | W0, A_VVVV),
    AVX(0x0e, vtestps, W0, 0),
    AVX(0x0f, vtestpd, W0, 0),
    ROW(0x10, "pblendvb", pblendvb, F_M, S_O, I_NO, P66, 0),
    AVX(0x13, vcvtph2ps, W0, 0),
    ROW(0x14, "blendvps", blendvps, F_M, S_O, I_NO, P66, 0),
    ROW(0x15, "blendvpd", blendvpd, F_M, S_O, I_NO, P66, 0),
    AVX(0x16, vpermps, W0 | L1, A_VVVV),
    XMM2(0x17, ptest),
    AVX(0x18, vbroadcastss, W0, 0),
    AVX(0x19, vbroadcastsd, W0 | L1, 0),
    AVX(0x1a, vbroadcastf128, W0 | L1 | MEM, 0),
    MMX_XMM2(0x1c, pabsb),
    MMX_XMM2(0x1d, pabsw),
    MMX_XMM2(0x1e, pabsd),
    XMM2(0x20, pmovsxbw),
    XMM2(0x21, pmovsxbd),
    XMM2(0x22, pmovsxbq),
    XMM2(0x23, pmovsxwd),
    XMM2(0x24, pmovsxwq),
    XMM2(0x25, pmovsxdq),
    XMM(0x28, pmuldq),
    XMM(0x29, pcmpeqq),
    ROW(0x2a, "vmovntdqa", movntdqa, F_M, S_X, I_NO, P66 | MEM | BOTH, 0),
    XMM(0x2b, packusdw),
    ROW(0x2c, "vmaskmovps", vmaskmovps_rm, F_M, S_X, I_NO, P66 | VEX | MEM | W0, A_VVVV),
    ROW(0x2d, "vmaskmovpd", vmaskmovpd_rm, F_M, S_X, I_NO, P66 | VEX | MEM | W0, A_VVVV),
    ROW(0x2e, "vmaskmovps", vmaskmovps_mr, F_M, S_X, I_NO, P66 | VEX | MEM | W0, A_VVVV),
    ROW(0x2f, "vmaskmovpd", vmaskmovpd_mr, F_M, S_X, I_NO, P66 | VEX | MEM | W0, A_VVVV),
    XMM2(0x30, pmovzxbw),
    XMM2(0x31, pmovzxbd),
    XMM2(0x32, pmovzxbq),
    XMM2(0x33, pmovzxwd),
    XMM2(0x34, pmovzxwq),
    XMM2(0x35, pmovzxdq),
    AVX(0x36, vpermd, W0 | L1, A_VVVV),
    XMM(0x37, pcmpgtq),
    XMM(0x38, pminsb),
    XMM(0x39, pminsd),
    XMM(0x3a, pminuw),
    XMM(0x3b, pminud),
    XMM(0x3c, pmaxsb),
    XMM(0x3d, pmaxsd),
    XMM(0x3e, pmaxuw),
    XMM(0x3f, pmaxud),
    XMM(0x40, pmulld),
    ROW(0x41, "vphminposuw", phminposuw, F_M, S_O, I_NO, P66 | L0 | BOTH, 0),
    AVX(0x45, vpsrlvd, W0, A_VVVV),
    AVX(0x45, vpsrlvq, W1, A_VVVV),
    AVX(0x46, vpsravd, W0, A_VVVV),
    AVX(0x47, vpsllvd, W0, A_VVVV),
    AVX(0x47, vpsllvq, W1, A_VVVV),
    AVX(0x58, vpbroadcastd, W0, 0),
    AVX(0x59, vpbroadcastq, W0, 0),
    AVX(0x5a, vbroadcasti128, W0 | L1 | MEM, 0),
    AVX(0x78, vpbroadcastb, W0, 0),
    AVX(0x79, vpbroadcastw, W0, 0),
    ROW(0x82, "invpcid", invpcid, F_M, S_A, I_NO, P66 | MEM, A_END),
    ROW(0x8c, "vpmaskmovd", vpmaskmovd_rm, F_M, S_X, I_NO, P66 | VEX | MEM | W0, A_VVVV),
    ROW(0x8c, "vpmaskmovq", vpmaskmovq_rm, F_M, S_X, I_NO, P66 | VEX | MEM | W1, A_VVVV),
    ROW(0x8e, "vpmaskmovd", vpmaskmovd_mr, F_M, S_X, I_NO, P66 | VEX | MEM | W0, A_VVVV),
    ROW(0x8e, "vpmaskmovq", vpmaskmovq_mr, F_M, S_X, I_NO, P66 | VEX | MEM | W1, A_VVVV),
    GATHER(0x90, vpgatherdd, W0),
    GATHER(0x90, vpgatherdq, W1),
    GATHER(0x91, vpgatherqd, W0),
    GATHER(0x91, vpgatherqq, W1),
    GATHER(0x92, vgatherdps, W0),
    GATHER(0x92, vgatherdpd, W1),
    GATHER(0x93, vgatherqps, W0),
    GATHER(0x93, vgatherqpd, W1),
    FMA(0x90, 132),
    FMA(0xa0, 213),
    FMA(0xb0, 231),
    SHA(0xc8, sha1nexte),
    SHA(0xc9, sha1msg1),
    SHA(0xca, sha1msg2),
    SHA(0xcb, sha256rnds2),
    SHA(0xcc, sha256msg1),
    SHA(0xcd, sha256msg2),
    ROW(0xdb, "vaesimc", aesimc, F_M, S_O, I_NO, P66 | L0 | BOTH, 0),
    ROW(0xdc, "vaesenc", aesenc, F_M, S_O, I_NO, P66 | L0 | BOTH, A_VVVV),
    ROW(0xdd, "vaesenclast", aesenclast, F_M, S_O, I_NO, P66 | L0 | BOTH, A_VVVV),
    ROW(0xde, "vaesdec", aesdec, F_M, S_O, I_NO, P66 | L0 | BOTH, A_VVVV),
    ROW(0xdf, "vaesdeclast", aesdeclast, F_M, S_O, I_NO, P66 | L0 | BOTH, A_VVVV),
    ROW(0xf0, "movbe", movbe_rm, F_M, S_V, I_NO, NP | P66 | MEM, 0),
    ROW(0xf0, "crc32", crc32, F_M, S_B, I_NO, PF2, 0),
    ROW(0xf1, "movbe", movbe_mr, F_M, S_V, I_NO, NP | P66 | MEM, 0),
    ROW(0xf1, "crc32", crc32, F_M, S_V, I_NO, PF2, 0),
    ROW(0xf2, "andn", andn, F_M, S_Y, I_NO, NP | VEX | L0, A_VVVV),
    ROW(0xf3, "blsr", blsr, F_M, S_Y, I_NO, NP | VEX | L0 | G(1), A_VVVV),
    ROW(0xf3, "blsmsk", blsmsk, F_M, S_Y, I_NO, NP | VEX | L0 | G(2), A_VVVV),
    ROW(0xf3, "blsi", blsi, F_M, S_Y, I_NO, NP | VEX | L0 | G(3), A_VVVV),
    ROW(0xf5, "bzhi", bzhi, F_M, S_Y, I_NO, NP | VEX | L0, A_VVVV),
    ROW(0xf5, "pext", pext, F_M, S_Y, I_NO, PF3 | VEX | L0, A_VVVV),
    ROW(0xf5, "pdep", pdep, F_M, S_Y, I_NO, PF2 | VEX | L0, A_VVVV),
    ROW(0xf6, "adcx", adcx, F_M, S_Y, I_NO, P66, 0),
    ROW(0xf6, "adox", adox, F_M, S_Y, I_NO, PF3, 0),
    ROW(0xf6, "mulx", mulx, F_M, S_Y, I_NO, PF2 | VEX | L0, A_VVVV),
    ROW(0xf7, "bextr", bextr, F_M, S_Y, I_NO, NP | VEX | L0, A_VVVV),
    ROW(0xf7, "shlx", shlx, F_M, S_Y, I_NO, P66 | VEX | L0, A_VVVV),
    ROW(0xf7, "sarx", sarx, F_M, S_Y, I_NO, PF3 | VEX | L0, A_VVVV),
    ROW(0xf7, "shrx", shrx, F_M, S_Y, I_NO, PF2 | VEX | L0, A_VVVV),
};

const struct optab optab_0f38 = {rows38, sizeof rows38 / sizeof rows38[0]};

/* The same with an immediate. */
#define XMM_IMM(o, n) ROW(o, "v" #n, n, F_M, S_X, I_UB, P66 | BOTH, A_VVVV)
#define XMM_IMM2(o, n, size, what) ROW(o, "v" #n, n, F_M, size, I_UB, P66 | BOTH | (what), 0)
#define AVX_IMM(o, n, what, attr) ROW(o, #n, n, F_M, S_X, I_UB, P66 | VEX | (what), attr)
#define AVX_IS4(o, n) ROW(o, #n, n, F_M, S_X, I_IS4, P66 | VEX | W0, A_VVVV)

static const struct optab_row rows3a[] = {
    AVX_IMM(0x00, vpermq, W1 | L1, 0),
    AVX_IMM(0x01, vpermpd, W1 | L1, 0),
    AVX_IMM(0x02, vpblendd, W0, A_VVVV),
    ROW(0x04, "vpermilps", vpermilps_rmi, F_M, S_X, I_UB, P66 | VEX | W0, 0),
    ROW(0x05, "vpermilpd", vpermilpd_rmi, F_M, S_X, I_UB, P66 | VEX | W0, 0),
    AVX_IMM(0x06, vperm2f128, W0 | L1, A_VVVV),
    XMM_IMM2(0x08, roundps, S_X, 0),
    XMM_IMM2(0x09, roundpd, S_X, 0),
    ROW(0x0a, "vroundss", roundss, F_M, S_D, I_UB, P66 | BOTH, A_VVVV),
    ROW(0x0b, "vroundsd", roundsd, F_M, S_Q, I_UB, P66 | BOTH, A_VVVV),
    XMM_IMM(0x0c, blendps),
    XMM_IMM(0x0d, blendpd),
    XMM_IMM(0x0e, pblendw),
    ROW(0x0f, "palignr", palignr_mmx, F_M, S_Q, I_UB, NP, A_MMX),
    XMM_IMM(0x0f, palignr),
    XMM_IMM2(0x14, pextrb, S_B, L0),
    ROW(0x15, "vpextrw", pextrw_mr, F_M, S_W, I_UB, P66 | L0 | BOTH, 0),
    XMM_IMM2(0x16, pextrd, S_Y, L0),
    XMM_IMM2(0x17, extractps, S_D, L0),
    AVX_IMM(0x18, vinsertf128, W0 | L1, A_VVVV),
    AVX_IMM(0x19, vextractf128, W0 | L1, 0),
    AVX_IMM(0x1d, vcvtps2ph, W0, 0),
    ROW(0x20, "vpinsrb", pinsrb, F_M, S_B, I_UB, P66 | L0 | BOTH, A_VVVV),
    ROW(0x21, "vinsertps", insertps, F_M, S_D, I_UB, P66 | L0 | BOTH, A_VVVV),
    ROW(0x22, "vpinsrd", pinsrd, F_M, S_Y, I_UB, P66 | L0 | BOTH, A_VVVV),
    AVX_IMM(0x38, vinserti128, W0 | L1, A_VVVV),
    AVX_IMM(0x39, vextracti128, W0 | L1, 0),
    XMM_IMM(0x40, dpps),
    ROW(0x41, "vdppd", dppd, F_M, S_O, I_UB, P66 | L0 | BOTH, A_VVVV),
    XMM_IMM(0x42, mpsadbw),
    ROW(0x44, "vpclmulqdq", pclmulqdq, F_M, S_O, I_UB, P66 | L0 | BOTH, A_VVVV),
    AVX_IMM(0x46, vperm2i128, W0 | L1, A_VVVV),
    AVX_IS4(0x4a, vblendvps),
    AVX_IS4(0x4b, vblendvpd),
    AVX_IS4(0x4c, vpblendvb),
    XMM_IMM2(0x60, pcmpestrm, S_O, L0),
    XMM_IMM2(0x61, pcmpestri, S_O, L0),
    XMM_IMM2(0x62, pcmpistrm, S_O, L0),
    XMM_IMM2(0x63, pcmpistri, S_O, L0),
    ROW(0xcc, "sha1rnds4", sha1rnds4, F_M, S_O, I_UB, NP, 0),
    XMM_IMM2(0xdf, aeskeygenassist, S_O, L0),
    ROW(0xf0, "rorx", rorx, F_M, S_Y, I_UB, PF2 | VEX | L0, 0),
};

const struct optab optab_0f3a = {rows3a, sizeof rows3a / sizeof rows3a[0]};
