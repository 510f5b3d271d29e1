// SPDX-License-Identifier: MIT
//
// Compares x86_decode with Zydis, instruction by instruction: length, validity, mnemonic, sizes,
// registers, memory operand, immediates. For the unit test and the fuzzer (include once; link with
// -lZydis). What Zydis knows and our CPU model does not offer is listed below and must be #UD here.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "src/accel/x86/optab.h"

#define ORACLE_LEN 15

/* Operations that are not linked in yet. */
#define ORACLE_WEAK_OP(name)                                                                       \
    __attribute__((weak)) void op_##name(struct x86_cpu *cpu, const struct insn *i)                \
    {                                                                                              \
        (void)cpu, (void)i;                                                                        \
    }
OPS_ALL(ORACLE_WEAK_OP)

#define ORACLE_OP_NAME(name) {op_##name, #name},
static const struct {
    x86_op *op;
    const char *name;
} oracle_ops[] = {OPS_ALL(ORACLE_OP_NAME)};

struct oracle {
    ZydisDecoder decoder[3]; /* by enum x86_mode */
    char why[200];           /* the last difference */
    uint64_t valid, not_offered;
};

/* --- what the CPU model does not offer --- */

static const ZydisISAExt oracle_foreign_sets[] = {
    ZYDIS_ISA_EXT_AMD3DNOW,  ZYDIS_ISA_EXT_AMD_INVLPGB,
    ZYDIS_ISA_EXT_AMX_BF16,  ZYDIS_ISA_EXT_AMX_INT8,
    ZYDIS_ISA_EXT_AMX_TILE,  ZYDIS_ISA_EXT_AVX512EVEX,
    ZYDIS_ISA_EXT_AVX512VEX, ZYDIS_ISA_EXT_AVX_VNNI,
    ZYDIS_ISA_EXT_CET,       ZYDIS_ISA_EXT_CLZERO,
    ZYDIS_ISA_EXT_ENQCMD,    ZYDIS_ISA_EXT_FMA4,
    ZYDIS_ISA_EXT_GFNI,      ZYDIS_ISA_EXT_HRESET,
    ZYDIS_ISA_EXT_KEYLOCKER, ZYDIS_ISA_EXT_KEYLOCKER_WIDE,
    ZYDIS_ISA_EXT_KNC,       ZYDIS_ISA_EXT_KNCE,
    ZYDIS_ISA_EXT_KNCV,      ZYDIS_ISA_EXT_MCOMMIT,
    ZYDIS_ISA_EXT_MONITORX,  ZYDIS_ISA_EXT_MOVDIR,
    ZYDIS_ISA_EXT_PADLOCK,   ZYDIS_ISA_EXT_PCONFIG,
    ZYDIS_ISA_EXT_PKU,       ZYDIS_ISA_EXT_PT,
    ZYDIS_ISA_EXT_RDPRU,     ZYDIS_ISA_EXT_RTM,
    ZYDIS_ISA_EXT_SERIALIZE, ZYDIS_ISA_EXT_SGX,
    ZYDIS_ISA_EXT_SGX_ENCLV, ZYDIS_ISA_EXT_SMX,
    ZYDIS_ISA_EXT_SNP,       ZYDIS_ISA_EXT_SSE4A,
    ZYDIS_ISA_EXT_SVM,       ZYDIS_ISA_EXT_TBM,
    ZYDIS_ISA_EXT_TDX,       ZYDIS_ISA_EXT_TSX_LDTRK,
    ZYDIS_ISA_EXT_UINTR,     ZYDIS_ISA_EXT_VAES,
    ZYDIS_ISA_EXT_VMFUNC,    ZYDIS_ISA_EXT_VPCLMULQDQ,
    ZYDIS_ISA_EXT_VTX,       ZYDIS_ISA_EXT_WAITPKG,
    ZYDIS_ISA_EXT_XOP,
};

static bool oracle_not_offered(const ZydisDecodedInstruction *z)
{
    if (z->mnemonic == ZYDIS_MNEMONIC_VMCALL || z->mnemonic == ZYDIS_MNEMONIC_VMMCALL)
        return false;
    for (size_t n = 0; n < sizeof oracle_foreign_sets / sizeof oracle_foreign_sets[0]; n++)
        if (z->meta.isa_ext == oracle_foreign_sets[n])
            return true;
    return false;
}

/* --- names --- */

static const char *oracle_op_name(x86_op *op)
{
    for (size_t n = 0; n < sizeof oracle_ops / sizeof oracle_ops[0]; n++)
        if (oracle_ops[n].op == op)
            return oracle_ops[n].name;
    return NULL;
}

static bool oracle_has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n > s && !strcmp(name + n - s, suffix);
}

/* Ours, size in bytes of the operand or (address) the counter, Zydis'. */
static const struct {
    const char *ours;
    unsigned size;
    const char *theirs;
} oracle_sized_names[] = {
    {"movs", 1, "movsb"},        {"movs", 2, "movsw"},
    {"movs", 4, "movsd"},        {"movs", 8, "movsq"},
    {"cmps", 1, "cmpsb"},        {"cmps", 2, "cmpsw"},
    {"cmps", 4, "cmpsd"},        {"cmps", 8, "cmpsq"},
    {"stos", 1, "stosb"},        {"stos", 2, "stosw"},
    {"stos", 4, "stosd"},        {"stos", 8, "stosq"},
    {"lods", 1, "lodsb"},        {"lods", 2, "lodsw"},
    {"lods", 4, "lodsd"},        {"lods", 8, "lodsq"},
    {"scas", 1, "scasb"},        {"scas", 2, "scasw"},
    {"scas", 4, "scasd"},        {"scas", 8, "scasq"},
    {"ins", 1, "insb"},          {"ins", 2, "insw"},
    {"ins", 4, "insd"},          {"outs", 1, "outsb"},
    {"outs", 2, "outsw"},        {"outs", 4, "outsd"},
    {"cbw", 2, "cbw"},           {"cbw", 4, "cwde"},
    {"cbw", 8, "cdqe"},          {"cwd", 2, "cwd"},
    {"cwd", 4, "cdq"},           {"cwd", 8, "cqo"},
    {"pusha", 2, "pusha"},       {"pusha", 4, "pushad"},
    {"popa", 2, "popa"},         {"popa", 4, "popad"},
    {"pushf", 2, "pushf"},       {"pushf", 4, "pushfd"},
    {"pushf", 8, "pushfq"},      {"popf", 2, "popf"},
    {"popf", 4, "popfd"},        {"popf", 8, "popfq"},
    {"iret", 2, "iret"},         {"iret", 4, "iretd"},
    {"iret", 8, "iretq"},        {"movd", 4, "movd"},
    {"movd", 8, "movq"},         {"vmovd", 4, "vmovd"},
    {"vmovd", 8, "vmovq"},       {"pextrd", 4, "pextrd"},
    {"pextrd", 8, "pextrq"},     {"vpextrd", 4, "vpextrd"},
    {"vpextrd", 8, "vpextrq"},   {"pinsrd", 4, "pinsrd"},
    {"pinsrd", 8, "pinsrq"},     {"vpinsrd", 4, "vpinsrd"},
    {"vpinsrd", 8, "vpinsrq"},   {"fxsave", 8, "fxsave64"},
    {"fxrstor", 8, "fxrstor64"}, {"xsave", 8, "xsave64"},
    {"xrstor", 8, "xrstor64"},   {"xsaveopt", 8, "xsaveopt64"},
    {"xsavec", 8, "xsavec64"},   {"xsaves", 8, "xsaves64"},
    {"xrstors", 8, "xrstors64"}, {"fxsave", 4, "fxsave"},
    {"fxrstor", 4, "fxrstor"},   {"xsave", 4, "xsave"},
    {"xrstor", 4, "xrstor"},     {"xsaveopt", 4, "xsaveopt"},
    {"xsavec", 4, "xsavec"},     {"xsaves", 4, "xsaves"},
    {"xrstors", 4, "xrstors"},
};

static bool oracle_names_agree(const struct insn *i, const ZydisDecodedInstruction *z)
{
    static const char cc[16][4] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                   "s", "ns", "p", "np", "l", "nl", "le", "nle"};
    const char *ours = x86_insn_name(i), *theirs = ZydisMnemonicGetString(z->mnemonic);
    char buf[24];
    bool sized = false;
    for (size_t n = 0; n < sizeof oracle_sized_names / sizeof oracle_sized_names[0]; n++) {
        if (strcmp(ours, oracle_sized_names[n].ours))
            continue;
        sized = true;
        if (i->opsize == oracle_sized_names[n].size &&
            !strcmp(theirs, oracle_sized_names[n].theirs))
            return true;
    }
    if (sized)
        return false;
    if (oracle_has_suffix(ours, "cc")) {
        snprintf(buf, sizeof buf, "%.*s%s", (int)strlen(ours) - 2, ours, cc[i->opcode & 15]);
        return !strcmp(buf, theirs);
    }
    if (i->op == op_jcxz)
        return !strcmp(theirs, i->adsize == 2 ? "jcxz" : i->adsize == 4 ? "jecxz" : "jrcxz");
    if (i->op == op_xchg && i->opcode == 0x90 && z->mnemonic == ZYDIS_MNEMONIC_PAUSE)
        return true; /* F3 with REX.B: CPUs exchange with R8 */
    if (i->op == op_nop)
        return z->meta.category == ZYDIS_CATEGORY_NOP ||
               z->meta.category == ZYDIS_CATEGORY_WIDENOP ||
               z->meta.category == ZYDIS_CATEGORY_PREFETCH ||
               z->meta.category == ZYDIS_CATEGORY_PREFETCHWT1;
    return !strcmp(ours, theirs);
}

/* --- operands --- */

static bool oracle_fail(struct oracle *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(o->why, sizeof o->why, fmt, ap);
    va_end(ap);
    return false;
}

/* Our number of a register; -1: none of ours. */
static int oracle_register(ZydisRegister reg, const struct insn *i, bool *rex_agrees)
{
    ZydisRegisterClass class = ZydisRegisterGetClass(reg);
    int id = ZydisRegisterGetId(reg);
    *rex_agrees = true;
    if (class == ZYDIS_REGCLASS_INVALID)
        return REG_NONE;
    if (class == ZYDIS_REGCLASS_IP)
        return REG_RIP;
    if (class != ZYDIS_REGCLASS_GPR8)
        return id;
    if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
        *rex_agrees = !(i->flags & INSN_REX);
        return (int)reg - ZYDIS_REGISTER_AH + 4;
    }
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_DIL) {
        *rex_agrees = i->flags & INSN_REX;
        return (int)reg - ZYDIS_REGISTER_SPL + 4;
    }
    return reg >= ZYDIS_REGISTER_R8B ? (int)reg - ZYDIS_REGISTER_R8B + 8
                                     : (int)reg - ZYDIS_REGISTER_AL;
}

static bool oracle_check_register(struct oracle *o, const struct insn *i,
                                  const ZydisDecodedOperand *op)
{
    bool rex_agrees;
    int want = oracle_register(op->reg.value, i, &rex_agrees), got;
    switch (op->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
        got = i->reg;
        break;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
        if (i->flags & INSN_MEM)
            return oracle_fail(o, "memory, not a register");
        got = i->rm;
        break;
    case ZYDIS_OPERAND_ENCODING_OPCODE:
        if (i->op != op_xchg && i->reg != i->rm)
            return oracle_fail(o, "register of the opcode: reg %u, rm %u", i->reg, i->rm);
        got = i->rm;
        break;
    case ZYDIS_OPERAND_ENCODING_NDSNDD:
        got = i->vvvv;
        break;
    case ZYDIS_OPERAND_ENCODING_IS4:
        got = (int)(i->imm >> 4);
        break;
    default:
        if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT)
            return (i->op == op_load_far ? i->imm2 : i->reg) == want ||
                   oracle_fail(o, "segment register");
        return true; /* implied by the operation */
    }
    if (got != want || !rex_agrees)
        return oracle_fail(o, "register %d, want %s (encoding %d)", got,
                           ZydisRegisterGetString(op->reg.value), op->encoding);
    return true;
}

static bool oracle_check_memory(struct oracle *o, const struct insn *i,
                                const ZydisDecodedOperand *op, const ZydisDecodedInstruction *z)
{
    bool unused;
    int base = oracle_register(op->mem.base, i, &unused),
        index = oracle_register(op->mem.index, i, &unused);
    if (op->mem.type != ZYDIS_MEMOP_TYPE_AGEN && op->mem.segment != ZYDIS_REGISTER_NONE &&
        ZydisRegisterGetId(op->mem.segment) != i->seg &&
        !(op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM && base == RDI))
        return oracle_fail(o, "segment %u, want %s", i->seg,
                           ZydisRegisterGetString(op->mem.segment));
    if (op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM) {
        if (op->encoding == ZYDIS_OPERAND_ENCODING_NONE)
            return true; /* string operand */
        uint64_t mask = i->adsize == 8 ? ~0ull : (1ull << 8 * i->adsize) - 1;
        if (i->flags & INSN_MEM || i->base != REG_NONE || i->index != REG_NONE || i->disp ||
            (uint64_t)i->imm != ((uint64_t)op->mem.disp.value & mask))
            return oracle_fail(o, "moffs %#llx, want %#llx", (long long)i->imm,
                               (long long)op->mem.disp.value);
        return true;
    }
    if (!(i->flags & INSN_MEM))
        return oracle_fail(o, "register, not memory");
    if (i->flags & INSN_VSIB ? op->mem.type != ZYDIS_MEMOP_TYPE_VSIB
                             : op->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
        return oracle_fail(o, "vector index");
    int64_t disp = op->mem.disp.value;
    /* A SIB byte without base has none whatever REX.B is: so do CPUs. Zydis 4.0 says R13D, no
     * displacement when 67 is there too. */
    if (op->mem.base == ZYDIS_REGISTER_R13D && z->raw.modrm.mod == 0 && z->raw.disp.size == 32) {
        base = REG_NONE;
        disp = z->raw.disp.value;
    }
    if (i->base != base || i->index != index ||
        (index != REG_NONE && 1u << i->scale != op->mem.scale))
        return oracle_fail(o, "base %u index %u scale %u, want %s %s %u", i->base, i->index,
                           1u << i->scale, ZydisRegisterGetString(op->mem.base),
                           ZydisRegisterGetString(op->mem.index), op->mem.scale);
    if (i->disp != disp && (i->adsize != 2 || (uint16_t)i->disp != (uint16_t)disp))
        return oracle_fail(o, "disp %d, want %lld", i->disp, (long long)disp);
    return true;
}

/* Zero-extended immediates: see ops.h. */
static bool oracle_zero_extended(const struct insn *i, const char *name)
{
    static const char *const names[] = {
        "int_i",  "in_i",   "out_i",   "ret_i",   "ret_far_i", "aam",    "aad",    "bt_mi",
        "bts_mi", "btr_mi", "btc_mi",  "rol_mi",  "ror_mi",    "rcl_mi", "rcr_mi", "shl_mi",
        "shr_mi", "sar_mi", "shld_mi", "shrd_mi", "rorx",      "enter"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        if (!strcmp(names[n], name))
            return true;
#define ORACLE_IS_OP(n) || i->op == op_##n
    return 0 OPS_VECTOR(ORACLE_IS_OP) OPS_MMX(ORACLE_IS_OP);
}

static bool oracle_check_immediate(struct oracle *o, const struct insn *i,
                                   const ZydisDecodedOperand *op, const ZydisDecodedInstruction *z,
                                   const char *name)
{
    int64_t want = op->imm.value.s;
    if (i->op == op_enter && op->encoding == ZYDIS_OPERAND_ENCODING_UIMM8)
        return i->imm2 == (uint64_t)want ||
               oracle_fail(o, "level %u, want %lld", i->imm2, (long long)want);
    unsigned bits = z->raw.imm[0].size;
    if (!bits) /* the 1 of shifts */
        return true;
    uint64_t raw =
        z->raw.imm[0].is_signed ? (uint64_t)z->raw.imm[0].value.s : z->raw.imm[0].value.u;
    want = (int64_t)(raw << (64 - bits)) >> (64 - bits);
    if (oracle_zero_extended(i, name))
        want = (int64_t)((uint64_t)want & (~0ull >> (64 - bits)));
    if (i->imm != want)
        return oracle_fail(o, "immediate %#llx, want %#llx", (long long)i->imm, (long long)want);
    return true;
}

static bool oracle_check_operand(struct oracle *o, const struct insn *i,
                                 const ZydisDecodedOperand *op, const ZydisDecodedInstruction *z,
                                 const char *name)
{
    switch (op->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return oracle_check_register(o, i, op);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return oracle_check_memory(o, i, op, z);
    case ZYDIS_OPERAND_TYPE_POINTER:
        if (i->imm2 != op->ptr.segment || i->imm != op->ptr.offset)
            return oracle_fail(o, "far pointer");
        return true;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return oracle_check_immediate(o, i, op, z, name);
    default:
        return true;
    }
}

/* The suffix of the operation against what the first operand is. */
static bool oracle_form_agrees(const struct insn *i, const ZydisDecodedInstruction *z,
                               const ZydisDecodedOperand *ops, const char *name)
{
    if (!z->operand_count_visible)
        return true;
    ZydisOperandEncoding first = ops[0].encoding;
    bool mmx = false;
    for (unsigned n = 0; n < z->operand_count_visible; n++)
        if (ops[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(ops[n].reg.value) == ZYDIS_REGCLASS_MMX)
            mmx = true;
    if (oracle_has_suffix(name, "_mmx"))
        return mmx;
    const ZydisDecodedOperand *last = &ops[z->operand_count_visible - 1];
    bool cl = last->type == ZYDIS_OPERAND_TYPE_REGISTER &&
              last->encoding == ZYDIS_OPERAND_ENCODING_NONE && last->reg.value == ZYDIS_REGISTER_CL;
    if (oracle_has_suffix(name, "_mcl") != cl)
        return false;
    if (oracle_has_suffix(name, "_m1") &&
        (last->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || z->raw.imm[0].size))
        return false;
    if (oracle_has_suffix(name, "_st0_sti"))
        return first == ZYDIS_OPERAND_ENCODING_NONE;
    if (oracle_has_suffix(name, "_sti_st0"))
        return first == ZYDIS_OPERAND_ENCODING_MODRM_RM;
    if (oracle_has_suffix(name, "_rm") || oracle_has_suffix(name, "_rmi"))
        return first == ZYDIS_OPERAND_ENCODING_MODRM_REG;
    if (oracle_has_suffix(name, "_mr") || oracle_has_suffix(name, "_m") ||
        oracle_has_suffix(name, "_m1") || oracle_has_suffix(name, "_mcl"))
        return first == ZYDIS_OPERAND_ENCODING_MODRM_RM;
    if (oracle_has_suffix(name, "_mi"))
        return first == ZYDIS_OPERAND_ENCODING_MODRM_RM || first == ZYDIS_OPERAND_ENCODING_OPCODE ||
               i->flags & INSN_VEX || (!(i->flags & INSN_MEM) && i->rm == RAX);
    return true;
}

/* Operand size of general instructions: that of the first operand, or of the instruction where
 * operands have sizes of their own. */
static bool oracle_integer_size_agrees(struct oracle *o, const struct insn *i,
                                       const ZydisDecodedInstruction *z,
                                       const ZydisDecodedOperand *ops)
{
    static x86_op *const fixed[] = {op_sahf, op_lahf,   op_daa,     op_das,    op_aaa,
                                    op_aas,  op_aam,    op_aad,     op_salc,   op_xlat,
                                    op_nop,  op_invlpg, op_clflush, op_sgdt,   op_sidt,
                                    op_lgdt, op_lidt,   op_vmcall,  op_syscall};
    const ZydisDecodedOperand *op = i->op == op_crc32 ? &ops[1] : &ops[0];
    unsigned want = z->operand_width;
    for (size_t n = 0; n < sizeof fixed / sizeof fixed[0]; n++)
        if (i->op == fixed[n])
            return true;
    bool gpr = op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
               ZydisRegisterGetClass(op->reg.value) >= ZYDIS_REGCLASS_GPR8 &&
               ZydisRegisterGetClass(op->reg.value) <= ZYDIS_REGCLASS_GPR64;
    bool own_size = i->op == op_sldt || i->op == op_str || i->op == op_smsw ||
                    i->op == op_mov_from_sreg || i->op == op_call_far_m || i->op == op_jmp_far_m ||
                    i->op == op_out_dx;
    if (z->operand_count_visible && (gpr || (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !own_size)) &&
        i->op != op_out_dx)
        want = op->size;
    if ((i->op == op_ins || i->op == op_outs) && want == 64) /* REX.W: there is no 8-byte port */
        want = 32;
    if (i->op == op_out_dx || i->op == op_out_i)
        want = ops[1].size;
    if (i->op == op_mov_to_cr || i->op == op_mov_to_dr)
        want = ops[1].size;
    return i->opsize * 8 == want || oracle_fail(o, "operand size %u, want %u", i->opsize, want / 8);
}

/* Vector instructions: 256 bits when an operand has them; scalars as their memory operand, where
 * that is the operand size. */
static bool oracle_vector_size_agrees(struct oracle *o, const struct insn *i,
                                      const ZydisDecodedInstruction *z,
                                      const ZydisDecodedOperand *ops)
{
    static x86_op *const other_memory[] = {
        op_cvttss2si,     op_cvttsd2si,     op_cvtss2si,  op_cvtsd2si, op_punpcklbw_mmx,
        op_punpcklwd_mmx, op_punpckldq_mmx, op_fldenv,    op_fnstenv,  op_frstor,
        op_fnsave,        op_fxsave,        op_fxrstor,   op_xsave,    op_xrstor,
        op_xsaveopt,      op_xsavec,        op_xsaves,    op_xrstors,  op_vextractf128,
        op_vextracti128,  op_vpgatherqd,    op_vgatherqps};
    unsigned widest = 0, mem = 0;
    for (unsigned n = 0; n < z->operand_count_visible; n++) {
        bool is_mem = ops[n].type == ZYDIS_OPERAND_TYPE_MEMORY;
        if (is_mem)
            mem = ops[n].size;
        if ((is_mem || ops[n].type == ZYDIS_OPERAND_TYPE_REGISTER) && ops[n].size > widest)
            widest = ops[n].size;
    }
    if (!(i->flags & INSN_VEX_L) != (i->opsize != 32))
        return oracle_fail(o, "256-bit flag with size %u", i->opsize);
    for (size_t n = 0; n < sizeof other_memory / sizeof other_memory[0]; n++)
        if (i->op == other_memory[n])
            return true;
    if (z->operand_count_visible && (widest == 256) != (i->opsize == 32))
        return oracle_fail(o, "vector size %u, want %u", i->opsize, widest / 8);
    if (mem && i->opsize < 16 && mem != i->opsize * 8u)
        return oracle_fail(o, "memory size %u, want %u", i->opsize, mem / 8);
    return true;
}

/* --- the whole --- */

static void oracle_init(struct oracle *o)
{
    static const ZydisMachineMode modes[3] = {
        ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth stacks[3] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                              ZYDIS_STACK_WIDTH_64};
    static const ZydisDecoderMode off[] = {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                                           ZYDIS_DECODER_MODE_KNC, ZYDIS_DECODER_MODE_WBNOINVD,
                                           ZYDIS_DECODER_MODE_CLDEMOTE};
    memset(o, 0, sizeof *o);
    for (unsigned m = 0; m < 3; m++) {
        ZydisDecoderInit(&o->decoder[m], modes[m], stacks[m]);
        for (size_t n = 0; n < sizeof off / sizeof off[0]; n++)
            ZydisDecoderEnableMode(&o->decoder[m], off[n], ZYAN_FALSE);
    }
}

static bool oracle_check_valid(struct oracle *o, const struct insn *i,
                               const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    const char *name = oracle_op_name(i->op);
    if (i->len != z->length)
        return oracle_fail(o, "length %u, want %u", i->len, z->length);
    if (!name)
        return oracle_fail(o, "operation without a name");
    if (i->op == op_ud)
        return !strncmp(x86_insn_name(i), "ud", 2) || oracle_fail(o, "undefined");
    if (!oracle_names_agree(i, z))
        return oracle_fail(o, "name %s", x86_insn_name(i));
    if (i->adsize * 8 != z->address_width)
        return oracle_fail(o, "address size %u, want %u", i->adsize, z->address_width / 8);
    if (!!(i->flags & INSN_LOCK) != !!(z->attributes & ZYDIS_ATTRIB_HAS_LOCK))
        return oracle_fail(o, "lock");
    if (z->attributes & ZYDIS_ATTRIB_ACCEPTS_REP &&
        !(i->flags & (INSN_REP | INSN_REPNE)) !=
            !(z->attributes &
              (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)))
        return oracle_fail(o, "rep");
    if (z->attributes & ZYDIS_ATTRIB_ACCEPTS_REPE &&
        (!(i->flags & INSN_REP) != !(z->attributes & ZYDIS_ATTRIB_HAS_REPE) ||
         !(i->flags & INSN_REPNE) != !(z->attributes & ZYDIS_ATTRIB_HAS_REPNE)))
        return oracle_fail(o, "repe");
    if (!!(i->flags & INSN_VEX) != (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX))
        return oracle_fail(o, "vex");
    bool branches = z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    if ((branches && !(i->flags & INSN_ENDS_BLOCK)) ||
        !(i->flags & INSN_COND_END) != (z->meta.category != ZYDIS_CATEGORY_COND_BR))
        return oracle_fail(o, "end of block");
    if (i->op == op_nop) /* its operands are not looked at */
        return true;
    for (unsigned n = 0; n < z->operand_count; n++) {
        bool loads = i->op == op_load_far && ops[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                     ZydisRegisterGetClass(ops[n].reg.value) == ZYDIS_REGCLASS_SEGMENT;
        if (n >= z->operand_count_visible && !loads)
            continue;
        if (!oracle_check_operand(o, i, &ops[n], z, name))
            return false;
    }
    if (!oracle_form_agrees(i, z, ops, name))
        return oracle_fail(o, "operand form: op_%s", name);
    bool vector = 0 OPS_VECTOR(ORACLE_IS_OP) OPS_FPU(ORACLE_IS_OP);
    return vector ? oracle_vector_size_agrees(o, i, z, ops)
                  : oracle_integer_size_agrees(o, i, z, ops);
}

/* False when the decoders differ: o->why says how. bytes: ORACLE_LEN of them. *len (may be NULL):
 * how far to go on. */
static bool oracle_check(struct oracle *o, const uint8_t *bytes, enum x86_mode mode, unsigned *len)
{
    struct insn i;
    ZydisDecodedInstruction z;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    char how[sizeof o->why];
    unsigned ours = x86_decode(&i, bytes, ORACLE_LEN, mode);
    ZyanStatus st = ZydisDecoderDecodeFull(&o->decoder[mode], bytes, ORACLE_LEN, &z, ops);
    bool faults = i.op == op_ud || i.op == op_too_long;
    if (len)
        *len = ZYAN_SUCCESS(st) ? z.length : ours;
    if (ours != i.len || ours < 1 || ours > ORACLE_LEN)
        return oracle_fail(o, "returned length %u", ours);
    if (!ZYAN_SUCCESS(st)) {
        if (faults)
            return true;
        return oracle_fail(o, "%s (%u bytes), Zydis says undefined (%#x)", x86_insn_name(&i), ours,
                           st & 0xff);
    }
    o->valid++;
    if (oracle_not_offered(&z)) {
        o->not_offered++;
        return faults || oracle_fail(o, "%s is not offered, but decoded as %s",
                                     ZydisMnemonicGetString(z.mnemonic), x86_insn_name(&i));
    }
    if (oracle_check_valid(o, &i, &z, ops))
        return true;
    memcpy(how, o->why, sizeof how);
    return oracle_fail(o, "%s: %.*s", ZydisMnemonicGetString(z.mnemonic), 120, how);
}
