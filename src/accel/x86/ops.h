// SPDX-License-Identifier: MIT
//
// Every operation function the decoder can name, as X-macro lists by part and file: OPS_ALL(X)
// expands X(name) for each op_name. The suffix tells the operand form where a mnemonic has several:
// _rm reg <- r/m, _mr r/m <- reg, _mi r/m <- immediate, _m r/m, _r register of the opcode byte, _i
// immediate, _rmi reg <- r/m, immediate. One form: no suffix. How struct insn reaches an op beyond
// the rules in insn.h:
//  - Register in the opcode byte: both i->reg and i->rm are it, !INSN_MEM. So INC r (40+) is
//    op_inc, MOV r, imm (B0+, B8+) is op_mov_mi; XCHG rAX, r (91+) is op_xchg with rm = r, reg = 0.
//    Accumulator, immediate forms are _mi with rm = 0.
//  - imm is sign-extended from its encoded size, but zero-extended for: INT n, IN/OUT, ENTER, RET
//    n, AAM/AAD, far pointers, moffs, ALU of SSE (imm8 controls), shift counts, BT* bit numbers.
//    MOV r64, imm64 and moffs have all 64 bits.
//  - Segment registers by ModRM.reg (op_mov_from_sreg, op_mov_to_sreg) or opcode (op_push_sreg,
//    op_pop_sreg): enum cpu_sreg in i->reg, always valid. op_load_far (LDS..LGS): i->imm2 is the
//    segment register, i->reg the general one.
//  - Control and debug registers: i->reg is the CR/DR number (REX.R included; the decoder lets only
//    CR0, 2, 3, 4, 8 and DR0-7 through), i->rm the general register.
//  - opsize of stack and near branch operations is already 8 in 64-bit mode (2 with 66 on push and
//    pop; ignored on branches as Intel does).
//  - VEX forms that read or write general registers (BMI) are #UD in real and v8086 mode, as all
//    VEX: the op checks (x86_real_or_v86).
#pragma once

#include "insn.h"

/* --- integer --- */

#define OPS_MOV(X)                                                                                 \
    X(mov_mr) X(mov_rm) X(mov_mi) X(mov_load_moffs)                                                \
    X(mov_store_moffs) /* moffs: seg and i->imm; accumulator; !INSN_MEM */                         \
    X(movzx8) X(movzx16) X(movsx8) X(movsx16) X(movsxd) /* opsize is the destination's */          \
    X(xchg) X(lea) X(bswap) X(xlat) X(cmovcc) X(setcc) X(movbe_rm) X(movbe_mr) X(movnti)           \
    X(cmpxchg) X(xadd) X(cmpxchg8b) X(cmpxchg16b)                                                  \
    X(cbw) X(cwd) /* by opsize: CBW CWDE CDQE; CWD CDQ CQO */

#define OPS_ALU(X)                                                                                 \
    X(add_mr) X(add_rm) X(add_mi) X(or_mr) X(or_rm) X(or_mi) X(adc_mr) X(adc_rm) X(adc_mi)         \
    X(sbb_mr) X(sbb_rm) X(sbb_mi)                                                                  \
    X(and_mr) X(and_rm) X(and_mi) X(sub_mr) X(sub_rm) X(sub_mi) X(xor_mr) X(xor_rm) X(xor_mi)      \
    X(cmp_mr) X(cmp_rm) X(cmp_mi)                                                                  \
    X(test_mr) X(test_mi) X(inc) X(dec) X(not) X(neg) X(adcx) X(adox)                              \
    X(daa) X(das) X(aaa) X(aas) X(aam) X(aad) X(lahf) X(sahf) X(cmc) X(clc) X(stc) X(cld) X(std)   \
    X(salc)

#define OPS_SHIFT(X)                                                                               \
    X(rol_m1) X(rol_mcl) X(rol_mi) X(ror_m1) X(ror_mcl) X(ror_mi) X(rcl_m1) X(rcl_mcl) X(rcl_mi)   \
    X(rcr_m1) X(rcr_mcl) X(rcr_mi)                                                                 \
    X(shl_m1) X(shl_mcl) X(shl_mi) X(shr_m1) X(shr_mcl) X(shr_mi) X(sar_m1) X(sar_mcl) X(sar_mi)   \
    X(shld_mi) X(shld_mcl) X(shrd_mi) X(shrd_mcl) /* r/m <- r/m : reg */

#define OPS_MULDIV(X) X(mul) X(imul_m) X(imul_rm) X(imul_rmi) X(div) X(idiv)

#define OPS_BITS(X)                                                                                \
    X(bt_mr) X(bts_mr) X(btr_mr) X(btc_mr) X(bt_mi) X(bts_mi) X(btr_mi) X(btc_mi) X(bsf) X(bsr)    \
    X(tzcnt) X(lzcnt) X(popcnt)                                                                    \
    /* opsize is the source's; the destination is 32 bits (zero-extended) whatever REX.W says */   \
    X(crc32)                                                                                       \
    /* VEX; reg <- vvvv op r/m or reg <- r/m op vvvv; BLSx writes vvvv */                          \
    X(andn) X(bextr) X(blsi) X(blsmsk) X(blsr) X(bzhi) X(mulx) X(pdep) X(pext) X(rorx) X(sarx)     \
    X(shlx) X(shrx)

/* INSN_REP and INSN_REPNE: at most one is set, the last prefix wins. */
#define OPS_STRING(X) X(movs) X(cmps) X(stos) X(lods) X(scas)

#define OPS_FLOW(X)                                                                                \
    X(jcc) X(jmp_i) X(jmp_m) X(call_i) X(call_m) X(ret) X(ret_i) X(loop) X(loope) X(loopne)        \
    X(jcxz) /* counter by adsize */

#define OPS_STACK(X)                                                                               \
    X(push_r) X(push_m) X(push_i) X(pop_r) X(pop_m) X(pusha) X(popa) X(enter) X(leave) X(pushf)    \
    X(popf)

#define OPS_IO(X) X(in_i) X(in_dx) X(out_i) X(out_dx) X(ins) X(outs)

#define OPS_MISC(X)                                                                                \
    X(nop) X(pause) X(fence) /* LFENCE MFENCE SFENCE */                                            \
    X(clflush) /* CLFLUSHOPT, CLWB too: a byte read's checks */ X(bound)                           \
    X(rdrand) X(rdseed) X(ud) /* everything undefined */ X(too_long) /* over 15 bytes: #GP(0) */

#define OPS_INTEGER(X)                                                                             \
    OPS_MOV(X) OPS_ALU(X) OPS_SHIFT(X) OPS_MULDIV(X) OPS_BITS(X) OPS_STRING(X) OPS_FLOW(X)         \
    OPS_STACK(X) OPS_IO(X) OPS_MISC(X)

/* --- system --- */

#define OPS_SYS(X)                                                                                 \
    X(int3) X(int_i) X(into) X(int1) X(iret) X(ret_far) X(ret_far_i)                               \
    X(call_far_i) X(call_far_m) X(jmp_far_i)                                                       \
    X(jmp_far_m) /* _i: selector in imm2, offset in imm */                                         \
    X(syscall) X(sysret) X(sysenter)                                                               \
    X(sysexit) /* SYSRET, SYSEXIT: INSN_REXW selects a 64-bit target */                            \
    X(mov_from_sreg) X(mov_to_sreg) X(push_sreg) X(pop_sreg) X(load_far)                           \
    X(mov_from_cr) X(mov_to_cr) X(mov_from_dr) X(mov_to_dr) X(clts) X(lmsw) X(smsw)                \
    X(sgdt) X(sidt) X(lgdt) X(lidt) X(sldt) X(str) X(lldt) X(ltr) X(lar) X(lsl) X(verr) X(verw)    \
    X(arpl)                                                                                        \
    X(invlpg) X(invpcid) X(invd) X(wbinvd) X(rdmsr) X(wrmsr) X(rdtsc) X(rdtscp) X(rdpmc) X(rdpid)  \
    X(cpuid)                                                                                       \
    X(cli) X(sti) X(hlt) X(swapgs) X(clac) X(stac) X(rdfsbase) X(rdgsbase) X(wrfsbase)             \
    X(wrgsbase) /* base: r/m register */                                                           \
    X(monitor) X(mwait) X(rsm) X(vmcall) /* VMCALL, VMMCALL */

/* --- x87, MMX, XSAVE: ST(i) is i->rm (0-7) --- */

#define OPS_X87(X)                                                                                 \
    /* st0 <- st0 op m; FIxxx: integer operand */                                                  \
    X(fadd_m32) X(fmul_m32) X(fcom_m32) X(fcomp_m32) X(fsub_m32) X(fsubr_m32) X(fdiv_m32)          \
    X(fdivr_m32)                                                                                   \
    X(fadd_m64) X(fmul_m64) X(fcom_m64) X(fcomp_m64) X(fsub_m64) X(fsubr_m64) X(fdiv_m64)          \
    X(fdivr_m64)                                                                                   \
    X(fiadd_m32) X(fimul_m32) X(ficom_m32) X(ficomp_m32) X(fisub_m32) X(fisubr_m32) X(fidiv_m32)   \
    X(fidivr_m32)                                                                                  \
    X(fiadd_m16) X(fimul_m16) X(ficom_m16) X(ficomp_m16) X(fisub_m16) X(fisubr_m16) X(fidiv_m16)   \
    X(fidivr_m16)                                                                                  \
    /* D8: st0 <- st0 op sti */                                                                    \
    X(fadd_st0_sti) X(fmul_st0_sti) X(fcom_sti) X(fcomp_sti) X(fsub_st0_sti) X(fsubr_st0_sti)      \
    X(fdiv_st0_sti) X(fdivr_st0_sti)                                                               \
    /* DC, DE: sti <- sti op st0 by the manual's mnemonics (DC E8 is FSUB: sti - st0; DC E0 is     \
     * FSUBR: st0 - sti) */                                                                        \
    X(fadd_sti_st0) X(fmul_sti_st0) X(fsub_sti_st0) X(fsubr_sti_st0) X(fdiv_sti_st0)               \
    X(fdivr_sti_st0)                                                                               \
    X(faddp) X(fmulp) X(fsubp) X(fsubrp) X(fdivp) X(fdivrp) X(fcompp) X(fucompp)                   \
    X(fucom) X(fucomp) X(fcomi) X(fcomip) X(fucomi) X(fucomip)                                     \
    X(fld_m32) X(fld_m64) X(fld_m80) X(fld_sti) X(fst_m32) X(fst_m64) X(fst_sti) X(fstp_m32)       \
    X(fstp_m64) X(fstp_m80) X(fstp_sti)                                                            \
    X(fild_m16) X(fild_m32) X(fild_m64) X(fist_m16) X(fist_m32) X(fistp_m16) X(fistp_m32)          \
    X(fistp_m64)                                                                                   \
    X(fisttp_m16) X(fisttp_m32) X(fisttp_m64) X(fbld) X(fbstp) X(fxch)                             \
    X(fcmovb) X(fcmove) X(fcmovbe) X(fcmovu) X(fcmovnb) X(fcmovne) X(fcmovnbe) X(fcmovnu)          \
    X(fchs) X(fabs) X(ftst) X(fxam) X(fld1) X(fldl2t) X(fldl2e) X(fldpi) X(fldlg2) X(fldln2)       \
    X(fldz)                                                                                        \
    X(f2xm1) X(fyl2x) X(fptan) X(fpatan) X(fxtract) X(fprem1) X(fdecstp) X(fincstp) X(fprem)       \
    X(fyl2xp1) X(fsqrt) X(fsincos)                                                                 \
    X(frndint) X(fscale) X(fsin) X(fcos)                                                           \
    X(ffree) X(ffreep) X(fnop) /* FNENI, FNDISI, FNSETPM too */ X(fnclex) X(fninit) X(fldcw)       \
    X(fnstcw) X(fnstsw_m) X(fnstsw_ax)                                                             \
    X(fldenv) X(fnstenv) X(frstor) X(fnsave) /* layout by opsize (2 or 4) and mode */ X(fwait)

#define OPS_MMX(X)                                                                                 \
    X(punpcklbw_mmx) X(punpcklwd_mmx) X(punpckldq_mmx) X(punpckhbw_mmx) X(punpckhwd_mmx)           \
    X(punpckhdq_mmx)                                                                               \
    X(packsswb_mmx) X(packssdw_mmx) X(packuswb_mmx) X(pcmpgtb_mmx) X(pcmpgtw_mmx) X(pcmpgtd_mmx)   \
    X(pcmpeqb_mmx) X(pcmpeqw_mmx)                                                                  \
    X(pcmpeqd_mmx) X(movd_rm_mmx) X(movd_mr_mmx) /* opsize 8: MOVQ mm, r/m64 */ X(movq_rm_mmx)     \
    X(movq_mr_mmx) X(movntq) X(maskmovq)                                                           \
    X(emms) X(pshufw) X(pinsrw_mmx) X(pextrw_mmx) X(pmovmskb_mmx)                                  \
    X(psrlw_mi_mmx) X(psrld_mi_mmx) X(psrlq_mi_mmx) X(psraw_mi_mmx) X(psrad_mi_mmx)                \
    X(psllw_mi_mmx) X(pslld_mi_mmx) X(psllq_mi_mmx)                                                \
    X(psrlw_rm_mmx) X(psrld_rm_mmx) X(psrlq_rm_mmx) X(psraw_rm_mmx) X(psrad_rm_mmx)                \
    X(psllw_rm_mmx) X(pslld_rm_mmx) X(psllq_rm_mmx)                                                \
    X(paddb_mmx) X(paddw_mmx) X(paddd_mmx) X(paddq_mmx) X(paddsb_mmx) X(paddsw_mmx)                \
    X(paddusb_mmx) X(paddusw_mmx)                                                                  \
    X(psubb_mmx) X(psubw_mmx) X(psubd_mmx) X(psubq_mmx) X(psubsb_mmx) X(psubsw_mmx)                \
    X(psubusb_mmx) X(psubusw_mmx)                                                                  \
    X(pmullw_mmx) X(pmulhw_mmx) X(pmulhuw_mmx) X(pmuludq_mmx) X(pmaddwd_mmx) X(psadbw_mmx)         \
    X(pavgb_mmx) X(pavgw_mmx)                                                                      \
    X(pminub_mmx) X(pmaxub_mmx) X(pminsw_mmx) X(pmaxsw_mmx) X(pand_mmx) X(pandn_mmx) X(por_mmx)    \
    X(pxor_mmx)                                                                                    \
    X(pshufb_mmx) X(phaddw_mmx) X(phaddd_mmx) X(phaddsw_mmx) X(pmaddubsw_mmx) X(phsubw_mmx)        \
    X(phsubd_mmx) X(phsubsw_mmx)                                                                   \
    X(psignb_mmx) X(psignw_mmx) X(psignd_mmx) X(pmulhrsw_mmx) X(pabsb_mmx) X(pabsw_mmx)            \
    X(pabsd_mmx) X(palignr_mmx)                                                                    \
    X(movq2dq) X(movdq2q)

/* The 64 forms have INSN_REXW. */
#define OPS_XSAVE(X)                                                                               \
    X(fxsave) X(fxrstor) X(xsave) X(xsaveopt) X(xsavec) X(xsaves) X(xrstor) X(xrstors) X(xgetbv)   \
    X(xsetbv)

#define OPS_FPU(X) OPS_X87(X) OPS_MMX(X) OPS_XSAVE(X)

/* --- vectors --- */

/*
 * SSE and VEX by one function (INSN_VEX, INSN_VEX_L); INSN_VEX_L is clear on scalar forms; imm8 is
 * zero-extended.
 */

#define OPS_SSE_MOVE(X)                                                                            \
    X(movups_rm) X(movups_mr) X(movupd_rm) X(movupd_mr) X(movaps_rm) X(movaps_mr) X(movapd_rm)     \
    X(movapd_mr)                                                                                   \
    X(movdqa_rm) X(movdqa_mr) X(movdqu_rm) X(movdqu_mr) X(lddqu)                                   \
    X(movss_rm) X(movss_mr) X(movsd_rm) X(movsd_mr) /* register forms merge (VEX: vvvv) */         \
    X(movlps_rm) X(movlps_mr) X(movlpd_rm) X(movlpd_mr) X(movhps_rm) X(movhps_mr) X(movhpd_rm)     \
    X(movhpd_mr) X(movhlps) X(movlhps)                                                             \
    X(movsldup) X(movshdup) X(movddup) X(movntps) X(movntpd) X(movntdq) X(movntdqa)                \
    X(movd_rm) X(movd_mr) /* opsize 4 or 8 (MOVQ xmm, r/m64) */ X(movq_rm) X(movq_mr) X(movmskps)  \
    X(movmskpd) X(maskmovdqu)                                                                      \
    X(ldmxcsr) X(stmxcsr)

#define OPS_SSE_FLOAT(X)                                                                           \
    X(addps) X(addpd) X(addss) X(addsd) X(mulps) X(mulpd) X(mulss) X(mulsd) X(subps) X(subpd)      \
    X(subss) X(subsd)                                                                              \
    X(minps) X(minpd) X(minss) X(minsd) X(divps) X(divpd) X(divss) X(divsd) X(maxps) X(maxpd)      \
    X(maxss) X(maxsd)                                                                              \
    X(sqrtps) X(sqrtpd) X(sqrtss) X(sqrtsd) X(rsqrtps) X(rsqrtss) X(rcpps) X(rcpss)                \
    X(andps) X(andpd) X(andnps) X(andnpd) X(orps) X(orpd) X(xorps) X(xorpd)                        \
    X(cmpps) X(cmppd) X(cmpss) X(cmpsd) X(ucomiss) X(ucomisd) X(comiss) X(comisd)                  \
    X(addsubps) X(addsubpd) X(haddps) X(haddpd) X(hsubps) X(hsubpd)                                \
    X(roundps) X(roundpd) X(roundss) X(roundsd) X(dpps) X(dppd)

/* cvt*si: opsize 4 or 8 is the general register's. The *pi* forms have an MMX operand. */
#define OPS_SSE_CVT(X)                                                                             \
    X(cvtpi2ps) X(cvtpi2pd) X(cvttps2pi) X(cvttpd2pi) X(cvtps2pi) X(cvtpd2pi)                      \
    X(cvtsi2ss) X(cvtsi2sd) X(cvttss2si) X(cvttsd2si) X(cvtss2si) X(cvtsd2si)                      \
    X(cvtps2pd) X(cvtpd2ps) X(cvtss2sd) X(cvtsd2ss) X(cvtdq2ps) X(cvtps2dq) X(cvttps2dq)           \
    X(cvttpd2dq) X(cvtdq2pd) X(cvtpd2dq)                                                           \
    X(vcvtph2ps) X(vcvtps2ph)

#define OPS_SSE_SHUFFLE(X)                                                                         \
    X(unpcklps) X(unpcklpd) X(unpckhps) X(unpckhpd) X(shufps) X(shufpd) X(pshufd) X(pshufhw)       \
    X(pshuflw) X(pshufb) X(palignr)                                                                \
    X(punpcklbw) X(punpcklwd) X(punpckldq) X(punpcklqdq) X(punpckhbw) X(punpckhwd) X(punpckhdq)    \
    X(punpckhqdq)                                                                                  \
    X(packsswb) X(packssdw) X(packuswb) X(packusdw) X(pinsrb) X(pinsrw)                            \
    X(pinsrd) /* and PINSRQ */ X(pextrb)                                                           \
    X(pextrw_rm) /* 0F C5 */ X(pextrw_mr) /* 0F3A 15 */ X(pextrd) /* and PEXTRQ */ X(insertps)     \
    X(extractps)                                                                                   \
    X(blendps) X(blendpd) X(pblendw) X(blendvps) X(blendvpd) X(pblendvb) /* mask XMM0 */           \
    X(vblendvps) X(vblendvpd)                                                                      \
    /* mask: register imm >> 4 (imm has only that nibble, bit 7 clear outside 64-bit mode) */      \
    X(vpblendvb)                                                                                   \
    X(pmovsxbw) X(pmovsxbd) X(pmovsxbq) X(pmovsxwd) X(pmovsxwq) X(pmovsxdq)                        \
    X(pmovzxbw) X(pmovzxbd) X(pmovzxbq) X(pmovzxwd) X(pmovzxwq) X(pmovzxdq)

#define OPS_SSE_INT(X)                                                                             \
    X(paddb) X(paddw) X(paddd) X(paddq) X(paddsb) X(paddsw) X(paddusb) X(paddusw)                  \
    X(psubb) X(psubw) X(psubd) X(psubq) X(psubsb) X(psubsw) X(psubusb) X(psubusw)                  \
    X(pmullw) X(pmulld) X(pmulhw) X(pmulhuw) X(pmulhrsw) X(pmuludq) X(pmuldq) X(pmaddwd)           \
    X(pmaddubsw) X(psadbw) X(mpsadbw)                                                              \
    X(pavgb) X(pavgw) X(pminub) X(pminuw) X(pminud) X(pminsb) X(pminsw) X(pminsd) X(pmaxub)        \
    X(pmaxuw) X(pmaxud) X(pmaxsb) X(pmaxsw)                                                        \
    X(pmaxsd) X(phminposuw) X(pand) X(pandn) X(por) X(pxor) X(ptest) X(pmovmskb)                   \
    X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpeqq) X(pcmpgtb) X(pcmpgtw) X(pcmpgtd) X(pcmpgtq)        \
    X(psrlw_mi) X(psrld_mi) X(psrlq_mi) X(psrldq) X(psraw_mi) X(psrad_mi) X(psllw_mi) X(pslld_mi)  \
    X(psllq_mi) X(pslldq) /* VEX: vvvv <- r/m */                                                   \
    X(psrlw_rm) X(psrld_rm) X(psrlq_rm) X(psraw_rm) X(psrad_rm) X(psllw_rm) X(pslld_rm)            \
    X(psllq_rm)                                                                                    \
    X(phaddw) X(phaddd) X(phaddsw) X(phsubw) X(phsubd) X(phsubsw) X(psignb) X(psignw) X(psignd)    \
    X(pabsb) X(pabsw) X(pabsd)

/* PCMPxSTRx: REX.W widens the length registers of the explicit-length forms. */
#define OPS_SSE_TEXT_CRYPTO(X)                                                                     \
    X(pcmpestrm) X(pcmpestri) X(pcmpistrm) X(pcmpistri) X(aesimc) X(aesenc) X(aesenclast)          \
    X(aesdec) X(aesdeclast) X(aeskeygenassist)                                                     \
    X(pclmulqdq) X(sha1rnds4) X(sha1nexte) X(sha1msg1) X(sha1msg2) X(sha256rnds2) X(sha256msg1)    \
    X(sha256msg2)

#define OPS_AVX(X)                                                                                 \
    X(vzeroupper) X(vzeroall) X(vbroadcastss) X(vbroadcastsd) X(vbroadcastf128) X(vbroadcasti128)  \
    X(vpbroadcastb) X(vpbroadcastw)                                                                \
    X(vpbroadcastd) X(vpbroadcastq) X(vpermilps_rm) X(vpermilps_rmi) X(vpermilpd_rm)               \
    X(vpermilpd_rmi) X(vperm2f128) X(vperm2i128)                                                   \
    X(vpermd) X(vpermps) X(vpermq) X(vpermpd) X(vinsertf128) X(vinserti128) X(vextractf128)        \
    X(vextracti128)                                                                                \
    X(vmaskmovps_rm) X(vmaskmovps_mr) X(vmaskmovpd_rm) X(vmaskmovpd_mr) X(vpmaskmovd_rm)           \
    X(vpmaskmovd_mr) X(vpmaskmovq_rm) X(vpmaskmovq_mr)                                             \
    X(vpblendd) X(vpsllvd) X(vpsllvq) X(vpsrlvd) X(vpsrlvq) X(vpsravd) X(vtestps) X(vtestpd)       \
    /* INSN_VSIB: i->index is a vector register; mask vvvv */                                      \
    X(vpgatherdd) X(vpgatherdq) X(vpgatherqd) X(vpgatherqq) X(vgatherdps) X(vgatherdpd)            \
    X(vgatherqps) X(vgatherqpd)

#define OPS_FMA_FORMS(X, what, s) X(v##what##132##s) X(v##what##213##s) X(v##what##231##s)
#define OPS_FMA_TYPES(X, what)                                                                     \
    OPS_FMA_FORMS(X, what, ps) OPS_FMA_FORMS(X, what, pd) OPS_FMA_FORMS(X, what, ss)               \
    OPS_FMA_FORMS(X, what, sd)
#define OPS_FMA(X) /* vfmadd132ps, ... */                                                          \
    OPS_FMA_TYPES(X, fmadd) OPS_FMA_TYPES(X, fmsub) OPS_FMA_TYPES(X, fnmadd)                       \
    OPS_FMA_TYPES(X, fnmsub)                                                                       \
    OPS_FMA_FORMS(X, fmaddsub, ps) OPS_FMA_FORMS(X, fmaddsub, pd) OPS_FMA_FORMS(X, fmsubadd, ps)   \
    OPS_FMA_FORMS(X, fmsubadd, pd)

#define OPS_VECTOR(X)                                                                              \
    OPS_SSE_MOVE(X) OPS_SSE_FLOAT(X) OPS_SSE_CVT(X) OPS_SSE_SHUFFLE(X) OPS_SSE_INT(X)              \
    OPS_SSE_TEXT_CRYPTO(X) OPS_AVX(X) OPS_FMA(X)

#define OPS_ALL(X) OPS_INTEGER(X) OPS_SYS(X) OPS_FPU(X) OPS_VECTOR(X)

#define OPS_DECLARE(name) x86_op op_##name;
OPS_ALL(OPS_DECLARE)
#undef OPS_DECLARE
