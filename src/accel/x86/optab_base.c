// SPDX-License-Identifier: MIT
//
// One-byte opcodes. Prefixes, the escapes 0F and D8-DF, VEX (C4, C5 with a register form) and EVEX
// never get here. Encoding: SDM vol. 2 appendix A.3, table A-2, groups 1 to 5 and 11.
#include "optab.h"
#include "util.h"

// clang-format off

/* ADD to CMP: six forms. */
#define ALU(o, name, n, lock)                                                                      \
    ROW((o) + 0, name, n##_mr, F_M, S_B, I_NO, 0, lock),                                           \
    ROW((o) + 1, name, n##_mr, F_M, S_V, I_NO, 0, lock),                                           \
    ROW((o) + 2, name, n##_rm, F_M, S_B, I_NO, 0, 0),                                              \
    ROW((o) + 3, name, n##_rm, F_M, S_V, I_NO, 0, 0),                                              \
    ROW((o) + 4, name, n##_mi, F_NONE, S_B, I_B, 0, 0),                                            \
    ROW((o) + 5, name, n##_mi, F_NONE, S_V, I_Z, 0, 0)

/* Group 1. */
#define GROUP1(o, size, imm, accept)                                                               \
    ROW(o, "add", add_mi, F_M, size, imm, (accept) | G(0), A_LOCK),                                \
    ROW(o, "or", or_mi, F_M, size, imm, (accept) | G(1), A_LOCK),                                  \
    ROW(o, "adc", adc_mi, F_M, size, imm, (accept) | G(2), A_LOCK),                                \
    ROW(o, "sbb", sbb_mi, F_M, size, imm, (accept) | G(3), A_LOCK),                                \
    ROW(o, "and", and_mi, F_M, size, imm, (accept) | G(4), A_LOCK),                                \
    ROW(o, "sub", sub_mi, F_M, size, imm, (accept) | G(5), A_LOCK),                                \
    ROW(o, "xor", xor_mi, F_M, size, imm, (accept) | G(6), A_LOCK),                                \
    ROW(o, "cmp", cmp_mi, F_M, size, imm, (accept) | G(7), 0)

/* Group 2: by 1, by CL, by immediate. */
#define GROUP2(o, size, imm, by)                                                                   \
    ROW(o, "rol", rol_##by, F_M, size, imm, G(0), 0),                                              \
    ROW(o, "ror", ror_##by, F_M, size, imm, G(1), 0),                                              \
    ROW(o, "rcl", rcl_##by, F_M, size, imm, G(2), 0),                                              \
    ROW(o, "rcr", rcr_##by, F_M, size, imm, G(3), 0),                                              \
    ROW(o, "shl", shl_##by, F_M, size, imm, G(4) | G(6), 0),                                       \
    ROW(o, "shr", shr_##by, F_M, size, imm, G(5), 0),                                              \
    ROW(o, "sar", sar_##by, F_M, size, imm, G(7), 0)

/* Group 3. */
#define GROUP3(o, size, imm)                                                                       \
    ROW(o, "test", test_mi, F_M, size, imm, G(0) | G(1), 0),                                       \
    ROW(o, "not", not, F_M, size, I_NO, G(2), A_LOCK),                                             \
    ROW(o, "neg", neg, F_M, size, I_NO, G(3), A_LOCK),                                             \
    ROW(o, "mul", mul, F_M, size, I_NO, G(4), 0),                                                  \
    ROW(o, "imul", imul_m, F_M, size, I_NO, G(5), 0),                                              \
    ROW(o, "div", div, F_M, size, I_NO, G(6), 0),                                                  \
    ROW(o, "idiv", idiv, F_M, size, I_NO, G(7), 0)

static const struct optab_row rows[] = {
    ALU(0x00, "add", add, A_LOCK),
    ROW(0x06, "push", push_sreg, F_SREG, S_V, I_NO, M32, 0),
    ROW(0x07, "pop", pop_sreg, F_SREG, S_V, I_NO, M32, A_END),
    ALU(0x08, "or", or, A_LOCK),
    ROW(0x0e, "push", push_sreg, F_SREG, S_V, I_NO, M32, 0),
    ALU(0x10, "adc", adc, A_LOCK),
    ROW(0x16, "push", push_sreg, F_SREG, S_V, I_NO, M32, 0),
    ROW(0x17, "pop", pop_sreg, F_SREG, S_V, I_NO, M32, A_END),
    ALU(0x18, "sbb", sbb, A_LOCK),
    ROW(0x1e, "push", push_sreg, F_SREG, S_V, I_NO, M32, 0),
    ROW(0x1f, "pop", pop_sreg, F_SREG, S_V, I_NO, M32, A_END),
    ALU(0x20, "and", and, A_LOCK),
    ROW(0x27, "daa", daa, F_NONE, S_B, I_NO, M32, 0),
    ALU(0x28, "sub", sub, A_LOCK),
    ROW(0x2f, "das", das, F_NONE, S_B, I_NO, M32, 0),
    ALU(0x30, "xor", xor, A_LOCK),
    ROW(0x37, "aaa", aaa, F_NONE, S_B, I_NO, M32, 0),
    ALU(0x38, "cmp", cmp, 0),
    ROW(0x3f, "aas", aas, F_NONE, S_B, I_NO, M32, 0),
    ROWS(0x40, 0x47, "inc", inc, F_OP, S_V, I_NO, M32, 0),
    ROWS(0x48, 0x4f, "dec", dec, F_OP, S_V, I_NO, M32, 0),
    ROWS(0x50, 0x57, "push", push_r, F_OP, S_D64, I_NO, 0, 0),
    ROWS(0x58, 0x5f, "pop", pop_r, F_OP, S_D64, I_NO, 0, 0),
    ROW(0x60, "pusha", pusha, F_NONE, S_V, I_NO, M32, 0),
    ROW(0x61, "popa", popa, F_NONE, S_V, I_NO, M32, 0),
    ROW(0x62, "bound", bound, F_M, S_V, I_NO, M32 | MEM, 0),
    ROW(0x63, "arpl", arpl, F_M, S_W, I_NO, M32, 0),
    ROW(0x63, "movsxd", movsxd, F_M, S_V, I_NO, M64, 0),
    ROW(0x68, "push", push_i, F_NONE, S_D64, I_Z, 0, 0),
    ROW(0x69, "imul", imul_rmi, F_M, S_V, I_Z, 0, 0),
    ROW(0x6a, "push", push_i, F_NONE, S_D64, I_B, 0, 0),
    ROW(0x6b, "imul", imul_rmi, F_M, S_V, I_B, 0, 0),
    ROW(0x6c, "ins", ins, F_NONE, S_B, I_NO, 0, A_END),
    ROW(0x6d, "ins", ins, F_NONE, S_Z, I_NO, 0, A_END),
    ROW(0x6e, "outs", outs, F_NONE, S_B, I_NO, 0, A_END),
    ROW(0x6f, "outs", outs, F_NONE, S_Z, I_NO, 0, A_END),
    ROWS(0x70, 0x7f, "jcc", jcc, F_NONE, S_F64, I_B, 0, A_BRANCH),
    GROUP1(0x80, S_B, I_B, 0),
    GROUP1(0x81, S_V, I_Z, 0),
    GROUP1(0x82, S_B, I_B, M32),
    GROUP1(0x83, S_V, I_B, 0),
    ROW(0x84, "test", test_mr, F_M, S_B, I_NO, 0, 0),
    ROW(0x85, "test", test_mr, F_M, S_V, I_NO, 0, 0),
    ROW(0x86, "xchg", xchg, F_M, S_B, I_NO, 0, A_LOCK),
    ROW(0x87, "xchg", xchg, F_M, S_V, I_NO, 0, A_LOCK),
    ROW(0x88, "mov", mov_mr, F_M, S_B, I_NO, 0, 0),
    ROW(0x89, "mov", mov_mr, F_M, S_V, I_NO, 0, 0),
    ROW(0x8a, "mov", mov_rm, F_M, S_B, I_NO, 0, 0),
    ROW(0x8b, "mov", mov_rm, F_M, S_V, I_NO, 0, 0),
    ROW(0x8c, "mov", mov_from_sreg, F_M, S_V, I_NO, G(0) | G(1) | G(2) | G(3) | G(4) | G(5),
        A_SREG),
    ROW(0x8d, "lea", lea, F_M, S_V, I_NO, MEM, 0),
    ROW(0x8e, "mov", mov_to_sreg, F_M, S_V, I_NO, G(0) | G(2) | G(3) | G(4) | G(5), A_SREG | A_END),
    ROW(0x8f, "pop", pop_m, F_M, S_D64, I_NO, G(0), 0),
    ROW(0x90, "nop", nop, F_NONE, S_V, I_NO, NP | P66 | PF2 | B0, 0),
    ROW(0x90, "pause", pause, F_NONE, S_V, I_NO, PF3 | B0, 0),
    ROW(0x90, "xchg", xchg, F_OP, S_V, I_NO, B1, 0),
    ROWS(0x91, 0x97, "xchg", xchg, F_OP, S_V, I_NO, 0, 0),
    ROW(0x98, "cbw", cbw, F_NONE, S_V, I_NO, 0, 0),
    ROW(0x99, "cwd", cwd, F_NONE, S_V, I_NO, 0, 0),
    ROW(0x9a, "call", call_far_i, F_NONE, S_V, I_FAR, M32, A_END),
    ROW(0x9b, "fwait", fwait, F_NONE, S_V, I_NO, 0, 0),
    ROW(0x9c, "pushf", pushf, F_NONE, S_D64, I_NO, 0, 0),
    ROW(0x9d, "popf", popf, F_NONE, S_D64, I_NO, 0, A_END),
    ROW(0x9e, "sahf", sahf, F_NONE, S_B, I_NO, 0, 0),
    ROW(0x9f, "lahf", lahf, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xa0, "mov", mov_load_moffs, F_NONE, S_B, I_MOFFS, 0, 0),
    ROW(0xa1, "mov", mov_load_moffs, F_NONE, S_V, I_MOFFS, 0, 0),
    ROW(0xa2, "mov", mov_store_moffs, F_NONE, S_B, I_MOFFS, 0, 0),
    ROW(0xa3, "mov", mov_store_moffs, F_NONE, S_V, I_MOFFS, 0, 0),
    ROW(0xa4, "movs", movs, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xa5, "movs", movs, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xa6, "cmps", cmps, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xa7, "cmps", cmps, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xa8, "test", test_mi, F_NONE, S_B, I_B, 0, 0),
    ROW(0xa9, "test", test_mi, F_NONE, S_V, I_Z, 0, 0),
    ROW(0xaa, "stos", stos, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xab, "stos", stos, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xac, "lods", lods, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xad, "lods", lods, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xae, "scas", scas, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xaf, "scas", scas, F_NONE, S_V, I_NO, 0, 0),
    ROWS(0xb0, 0xb7, "mov", mov_mi, F_OP, S_B, I_B, 0, 0),
    ROWS(0xb8, 0xbf, "mov", mov_mi, F_OP, S_V, I_V, 0, 0),
    GROUP2(0xc0, S_B, I_UB, mi),
    GROUP2(0xc1, S_V, I_UB, mi),
    ROW(0xc2, "ret", ret_i, F_NONE, S_F64, I_UW, 0, A_END),
    ROW(0xc3, "ret", ret, F_NONE, S_F64, I_NO, 0, A_END),
    ROW(0xc4, "les", load_far, F_M, S_V, I_NO, M32 | MEM, A_END | A_SEG(SEG_ES)),
    ROW(0xc5, "lds", load_far, F_M, S_V, I_NO, M32 | MEM, A_END | A_SEG(SEG_DS)),
    ROW(0xc6, "mov", mov_mi, F_M, S_B, I_B, G(0), 0),
    ROW(0xc7, "mov", mov_mi, F_M, S_V, I_Z, G(0), 0),
    ROW(0xc8, "enter", enter, F_NONE, S_D64, I_ENTER, 0, 0),
    ROW(0xc9, "leave", leave, F_NONE, S_D64, I_NO, 0, 0),
    ROW(0xca, "ret", ret_far_i, F_NONE, S_V, I_UW, 0, A_END),
    ROW(0xcb, "ret", ret_far, F_NONE, S_V, I_NO, 0, A_END),
    ROW(0xcc, "int3", int3, F_NONE, S_V, I_NO, 0, A_END),
    ROW(0xcd, "int", int_i, F_NONE, S_V, I_UB, 0, A_END),
    ROW(0xce, "into", into, F_NONE, S_V, I_NO, M32, A_END),
    ROW(0xcf, "iret", iret, F_NONE, S_V, I_NO, 0, A_END),
    GROUP2(0xd0, S_B, I_NO, m1),
    GROUP2(0xd1, S_V, I_NO, m1),
    GROUP2(0xd2, S_B, I_NO, mcl),
    GROUP2(0xd3, S_V, I_NO, mcl),
    ROW(0xd4, "aam", aam, F_NONE, S_B, I_UB, M32, 0),
    ROW(0xd5, "aad", aad, F_NONE, S_B, I_UB, M32, 0),
    ROW(0xd6, "salc", salc, F_NONE, S_B, I_NO, M32, 0),
    ROW(0xd7, "xlat", xlat, F_NONE, S_B, I_NO, 0, 0),
    ROW(0xe0, "loopne", loopne, F_NONE, S_F64, I_B, 0, A_BRANCH),
    ROW(0xe1, "loope", loope, F_NONE, S_F64, I_B, 0, A_BRANCH),
    ROW(0xe2, "loop", loop, F_NONE, S_F64, I_B, 0, A_BRANCH),
    ROW(0xe3, "jcxz", jcxz, F_NONE, S_F64, I_B, 0, A_BRANCH),
    ROW(0xe4, "in", in_i, F_NONE, S_B, I_UB, 0, A_END),
    ROW(0xe5, "in", in_i, F_NONE, S_Z, I_UB, 0, A_END),
    ROW(0xe6, "out", out_i, F_NONE, S_B, I_UB, 0, A_END),
    ROW(0xe7, "out", out_i, F_NONE, S_Z, I_UB, 0, A_END),
    ROW(0xe8, "call", call_i, F_NONE, S_F64, I_J, 0, A_END),
    ROW(0xe9, "jmp", jmp_i, F_NONE, S_F64, I_J, 0, A_END),
    ROW(0xea, "jmp", jmp_far_i, F_NONE, S_V, I_FAR, M32, A_END),
    ROW(0xeb, "jmp", jmp_i, F_NONE, S_F64, I_B, 0, A_END),
    ROW(0xec, "in", in_dx, F_NONE, S_B, I_NO, 0, A_END),
    ROW(0xed, "in", in_dx, F_NONE, S_Z, I_NO, 0, A_END),
    ROW(0xee, "out", out_dx, F_NONE, S_B, I_NO, 0, A_END),
    ROW(0xef, "out", out_dx, F_NONE, S_Z, I_NO, 0, A_END),
    ROW(0xf1, "int1", int1, F_NONE, S_V, I_NO, 0, A_END),
    ROW(0xf4, "hlt", hlt, F_NONE, S_V, I_NO, 0, A_END),
    ROW(0xf5, "cmc", cmc, F_NONE, S_V, I_NO, 0, 0),
    GROUP3(0xf6, S_B, I_B),
    GROUP3(0xf7, S_V, I_Z),
    ROW(0xf8, "clc", clc, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xf9, "stc", stc, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xfa, "cli", cli, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xfb, "sti", sti, F_NONE, S_V, I_NO, 0, A_END),
    ROW(0xfc, "cld", cld, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xfd, "std", std, F_NONE, S_V, I_NO, 0, 0),
    ROW(0xfe, "inc", inc, F_M, S_B, I_NO, G(0), A_LOCK),
    ROW(0xfe, "dec", dec, F_M, S_B, I_NO, G(1), A_LOCK),
    ROW(0xff, "inc", inc, F_M, S_V, I_NO, G(0), A_LOCK),
    ROW(0xff, "dec", dec, F_M, S_V, I_NO, G(1), A_LOCK),
    ROW(0xff, "call", call_m, F_M, S_F64, I_NO, G(2), A_END),
    ROW(0xff, "call", call_far_m, F_M, S_V, I_NO, MEM | G(3), A_END),
    ROW(0xff, "jmp", jmp_m, F_M, S_F64, I_NO, G(4), A_END),
    ROW(0xff, "jmp", jmp_far_m, F_M, S_V, I_NO, MEM | G(5), A_END),
    ROW(0xff, "push", push_m, F_M, S_D64, I_NO, G(6), 0),
};

const struct optab optab_base = {rows, ARRAY_LEN(rows)};
