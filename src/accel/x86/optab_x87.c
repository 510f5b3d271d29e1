// SPDX-License-Identifier: MIT
//
// x87: opcodes D8 to DF. The key is (opcode & 7) * 8 + ModRM.reg; register forms are split by rm
// where it selects the operation. Undocumented aliases of the 8087 are the instructions they
// repeat, as on every CPU since. Mandatory prefixes do not exist here. Encoding: SDM vol. 2
// appendix A.5.
#include "optab.h"
#include "util.h"

// clang-format off

#define ESC(o, g) (((o) & 7) * 8 + (g))
#define FM(o, g, name, op, size) ROW(ESC(o, g), name, op, F_M, size, I_NO, MEM, 0)
#define FR(o, g, name, op) ROW(ESC(o, g), name, op, F_M, S_T, I_NO, REG, 0)
/* One instruction of eight: 'i' is its rm. */
#define F1(o, g, i, op) ROW(ESC(o, g), #op, op, F_M, S_T, I_NO, REG | RM(i), 0)
/* Memory form of an arithmetic instruction. */
#define ARITH(o, n, type, size, g) FM(o, g, #n, n##_##type, size)

static const struct optab_row rows[] = {
    /* D8 */
    ARITH(0xd8, fadd, m32, S_D, 0), FR(0xd8, 0, "fadd", fadd_st0_sti),
    ARITH(0xd8, fmul, m32, S_D, 1), FR(0xd8, 1, "fmul", fmul_st0_sti),
    ARITH(0xd8, fcom, m32, S_D, 2), FR(0xd8, 2, "fcom", fcom_sti),
    ARITH(0xd8, fcomp, m32, S_D, 3), FR(0xd8, 3, "fcomp", fcomp_sti),
    ARITH(0xd8, fsub, m32, S_D, 4), FR(0xd8, 4, "fsub", fsub_st0_sti),
    ARITH(0xd8, fsubr, m32, S_D, 5), FR(0xd8, 5, "fsubr", fsubr_st0_sti),
    ARITH(0xd8, fdiv, m32, S_D, 6), FR(0xd8, 6, "fdiv", fdiv_st0_sti),
    ARITH(0xd8, fdivr, m32, S_D, 7), FR(0xd8, 7, "fdivr", fdivr_st0_sti),
    /* D9 */
    FM(0xd9, 0, "fld", fld_m32, S_D), FR(0xd9, 0, "fld", fld_sti),
    FR(0xd9, 1, "fxch", fxch),
    FM(0xd9, 2, "fst", fst_m32, S_D), F1(0xd9, 2, 0, fnop),
    FM(0xd9, 3, "fstp", fstp_m32, S_D), FR(0xd9, 3, "fstpnce", fstp_sti),
    FM(0xd9, 4, "fldenv", fldenv, S_Z),
    F1(0xd9, 4, 0, fchs), F1(0xd9, 4, 1, fabs), F1(0xd9, 4, 4, ftst), F1(0xd9, 4, 5, fxam),
    FM(0xd9, 5, "fldcw", fldcw, S_W),
    F1(0xd9, 5, 0, fld1), F1(0xd9, 5, 1, fldl2t), F1(0xd9, 5, 2, fldl2e), F1(0xd9, 5, 3, fldpi),
    F1(0xd9, 5, 4, fldlg2), F1(0xd9, 5, 5, fldln2), F1(0xd9, 5, 6, fldz),
    FM(0xd9, 6, "fnstenv", fnstenv, S_Z),
    F1(0xd9, 6, 0, f2xm1), F1(0xd9, 6, 1, fyl2x), F1(0xd9, 6, 2, fptan), F1(0xd9, 6, 3, fpatan),
    F1(0xd9, 6, 4, fxtract), F1(0xd9, 6, 5, fprem1),
    F1(0xd9, 6, 6, fdecstp), F1(0xd9, 6, 7, fincstp),
    FM(0xd9, 7, "fnstcw", fnstcw, S_W),
    F1(0xd9, 7, 0, fprem), F1(0xd9, 7, 1, fyl2xp1), F1(0xd9, 7, 2, fsqrt), F1(0xd9, 7, 3, fsincos),
    F1(0xd9, 7, 4, frndint), F1(0xd9, 7, 5, fscale), F1(0xd9, 7, 6, fsin), F1(0xd9, 7, 7, fcos),
    /* DA */
    ARITH(0xda, fiadd, m32, S_D, 0), FR(0xda, 0, "fcmovb", fcmovb),
    ARITH(0xda, fimul, m32, S_D, 1), FR(0xda, 1, "fcmove", fcmove),
    ARITH(0xda, ficom, m32, S_D, 2), FR(0xda, 2, "fcmovbe", fcmovbe),
    ARITH(0xda, ficomp, m32, S_D, 3), FR(0xda, 3, "fcmovu", fcmovu),
    ARITH(0xda, fisub, m32, S_D, 4),
    ARITH(0xda, fisubr, m32, S_D, 5), F1(0xda, 5, 1, fucompp),
    ARITH(0xda, fidiv, m32, S_D, 6),
    ARITH(0xda, fidivr, m32, S_D, 7),
    /* DB */
    FM(0xdb, 0, "fild", fild_m32, S_D), FR(0xdb, 0, "fcmovnb", fcmovnb),
    FM(0xdb, 1, "fisttp", fisttp_m32, S_D), FR(0xdb, 1, "fcmovne", fcmovne),
    FM(0xdb, 2, "fist", fist_m32, S_D), FR(0xdb, 2, "fcmovnbe", fcmovnbe),
    FM(0xdb, 3, "fistp", fistp_m32, S_D), FR(0xdb, 3, "fcmovnu", fcmovnu),
    ROW(ESC(0xdb, 4), "feni8087_nop", fnop, F_M, S_T, I_NO, REG | RM(0), 0),
    ROW(ESC(0xdb, 4), "fdisi8087_nop", fnop, F_M, S_T, I_NO, REG | RM(1), 0),
    F1(0xdb, 4, 2, fnclex), F1(0xdb, 4, 3, fninit),
    ROW(ESC(0xdb, 4), "fsetpm287_nop", fnop, F_M, S_T, I_NO, REG | RM(4), 0),
    FM(0xdb, 5, "fld", fld_m80, S_T), FR(0xdb, 5, "fucomi", fucomi),
    FR(0xdb, 6, "fcomi", fcomi),
    FM(0xdb, 7, "fstp", fstp_m80, S_T),
    /* DC */
    ARITH(0xdc, fadd, m64, S_Q, 0), FR(0xdc, 0, "fadd", fadd_sti_st0),
    ARITH(0xdc, fmul, m64, S_Q, 1), FR(0xdc, 1, "fmul", fmul_sti_st0),
    ARITH(0xdc, fcom, m64, S_Q, 2), FR(0xdc, 2, "fcom", fcom_sti),
    ARITH(0xdc, fcomp, m64, S_Q, 3), FR(0xdc, 3, "fcomp", fcomp_sti),
    ARITH(0xdc, fsub, m64, S_Q, 4), FR(0xdc, 4, "fsubr", fsubr_sti_st0),
    ARITH(0xdc, fsubr, m64, S_Q, 5), FR(0xdc, 5, "fsub", fsub_sti_st0),
    ARITH(0xdc, fdiv, m64, S_Q, 6), FR(0xdc, 6, "fdivr", fdivr_sti_st0),
    ARITH(0xdc, fdivr, m64, S_Q, 7), FR(0xdc, 7, "fdiv", fdiv_sti_st0),
    /* DD */
    FM(0xdd, 0, "fld", fld_m64, S_Q), FR(0xdd, 0, "ffree", ffree),
    FM(0xdd, 1, "fisttp", fisttp_m64, S_Q), FR(0xdd, 1, "fxch", fxch),
    FM(0xdd, 2, "fst", fst_m64, S_Q), FR(0xdd, 2, "fst", fst_sti),
    FM(0xdd, 3, "fstp", fstp_m64, S_Q), FR(0xdd, 3, "fstp", fstp_sti),
    FM(0xdd, 4, "frstor", frstor, S_Z), FR(0xdd, 4, "fucom", fucom),
    FR(0xdd, 5, "fucomp", fucomp),
    FM(0xdd, 6, "fnsave", fnsave, S_Z),
    FM(0xdd, 7, "fnstsw", fnstsw_m, S_W),
    /* DE */
    ARITH(0xde, fiadd, m16, S_W, 0), FR(0xde, 0, "faddp", faddp),
    ARITH(0xde, fimul, m16, S_W, 1), FR(0xde, 1, "fmulp", fmulp),
    ARITH(0xde, ficom, m16, S_W, 2), FR(0xde, 2, "fcomp", fcomp_sti),
    ARITH(0xde, ficomp, m16, S_W, 3), F1(0xde, 3, 1, fcompp),
    ARITH(0xde, fisub, m16, S_W, 4), FR(0xde, 4, "fsubrp", fsubrp),
    ARITH(0xde, fisubr, m16, S_W, 5), FR(0xde, 5, "fsubp", fsubp),
    ARITH(0xde, fidiv, m16, S_W, 6), FR(0xde, 6, "fdivrp", fdivrp),
    ARITH(0xde, fidivr, m16, S_W, 7), FR(0xde, 7, "fdivp", fdivp),
    /* DF */
    FM(0xdf, 0, "fild", fild_m16, S_W), FR(0xdf, 0, "ffreep", ffreep),
    FM(0xdf, 1, "fisttp", fisttp_m16, S_W), FR(0xdf, 1, "fxch", fxch),
    FM(0xdf, 2, "fist", fist_m16, S_W), FR(0xdf, 2, "fstp", fstp_sti),
    FM(0xdf, 3, "fistp", fistp_m16, S_W), FR(0xdf, 3, "fstp", fstp_sti),
    FM(0xdf, 4, "fbld", fbld, S_T),
    ROW(ESC(0xdf, 4), "fnstsw", fnstsw_ax, F_M, S_W, I_NO, REG | RM(0), 0),
    FM(0xdf, 5, "fild", fild_m64, S_Q), FR(0xdf, 5, "fucomip", fucomip),
    FM(0xdf, 6, "fbstp", fbstp, S_T), FR(0xdf, 6, "fcomip", fcomip),
    FM(0xdf, 7, "fistp", fistp_m64, S_Q),
};

const struct optab optab_x87 = {rows, ARRAY_LEN(rows)};
