// SPDX-License-Identifier: MIT
//
// What the vector operations (op_sse_*.c, op_avx*.c, op_fma.c, op_crypto.c) share: may they run,
// operands, alignment, MXCSR. SDM vol. 1 chapters 10, 11, 14; vol. 2 section 2.4 (exception
// classes); vol. 3 chapter 13.
//
// The work itself is done by the host's own instruction with the same operands in the same order,
// so that NaNs, denormals, estimates and rounding are the hardware's. Integer operations on 256
// bits run as two 128-bit halves; floating-point ones as one 256-bit instruction.
//
// MXCSR. With all exceptions masked (everybody, nearly always) the host's MXCSR becomes the guest's
// at the first floating-point operation (cpu->fp_live) and stays: operations cost one test, sticky
// flags gather in the hardware, and vec_mxcsr_get collects them. The engine calls vec_fp_release
// before a vCPU's thread does anything else than run guest code (end of a slice, device access that
// might compute in floating point); the VMM then sees the default MXCSR and leaves no flags behind
// in the guest's. With an exception unmasked nothing stays live: each operation loads the guest's
// MXCSR as it is; the host traps precisely when the guest has to; the SIGFPE handler notes the
// flags, masks all and lets the instruction finish, and fp_end raises #XM in place of storing the
// result.
#pragma once

#include <emmintrin.h>
#include <string.h>

#include "mem.h"
#include "regs.h"

/* --- may it run? --- */

/*
 * What an operation needs, as bits of cpu->vec_blocked, where a set bit means it has to fault.
 * VEC_SSE and VEC_AVX stand for the control-register checks of the two encodings, the others for
 * what the host lacks.
 */
enum vec_need {
    VEC_SSE = 1 << 0,
    VEC_AVX = 1 << 1,
    VEC_SSE3 = 1 << 2,
    VEC_SSSE3 = 1 << 3,
    VEC_SSE41 = 1 << 4,
    VEC_SSE42 = 1 << 5,
    VEC_AES = 1 << 6,
    VEC_PCLMUL = 1 << 7,
    VEC_SHA = 1 << 8,
    VEC_AVX2 = 1 << 9,
    VEC_FMA = 1 << 10,
    VEC_F16C = 1 << 11,
};

/* What this host can execute, and so what CPUID may offer. */
uint32_t x86_host_vector_level(void);
/* To be called after each change of CR0, CR4, XCR0 or RFLAGS.VM, and at reset. */
void vec_update_access(struct x86_cpu *cpu);
_Noreturn void vec_fault(struct x86_cpu *cpu, uint32_t need);

#define VEC_INLINE static inline __attribute__((always_inline))

VEC_INLINE void vec_need(struct x86_cpu *cpu, uint32_t need)
{
    if (__builtin_expect(cpu->vec_blocked & need, 0))
        vec_fault(cpu, need);
}

VEC_INLINE bool vec_is_vex(const struct insn *i)
{
    return i->flags & INSN_VEX;
}

VEC_INLINE bool vec_is_256(const struct insn *i)
{
    return i->flags & INSN_VEX_L;
}

/* `feature` in either encoding; `wide` is what 256 bits need beyond that (AVX2 for integers). */
VEC_INLINE void vec_enter(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                          uint32_t wide)
{
    vec_need(cpu,
             vec_is_vex(i) ? VEC_AVX | feature | (vec_is_256(i) ? wide : 0) : VEC_SSE | feature);
}

/* --- MXCSR --- */

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_FLAGS 0x003fu
#define MXCSR_MASKS 0x1f80u
#define MXCSR_VALID 0xffffu /* MXCSR_MASK of FXSAVE: no misaligned-SSE mode */

void fp_begin_slow(struct x86_cpu *cpu);
void fp_end_slow(struct x86_cpu *cpu);
uint32_t vec_mxcsr_get(
    struct x86_cpu *cpu); /* with all flags up to now; for STMXCSR, FXSAVE, XSAVE, state */
void vec_mxcsr_set(struct x86_cpu *cpu, uint32_t val); /* caller checked it against MXCSR_VALID */
void vec_fp_release(struct x86_cpu *cpu);

/* Around the host instruction: after the operands are there, before the result is stored. Only asm
 * volatile in between. */
VEC_INLINE void fp_begin(struct x86_cpu *cpu)
{
    if (__builtin_expect(!cpu->fp_live, 0))
        fp_begin_slow(cpu);
}

VEC_INLINE void fp_end(struct x86_cpu *cpu)
{
    if (__builtin_expect(!cpu->fp_live, 0))
        fp_end_slow(cpu);
}

/* --- memory of 16 and 32 bytes --- */

VEC_INLINE void mem_write128(struct x86_cpu *cpu, gva_t va, __m128i v)
{
    const struct tlb_entry *e = tlb_at(cpu, va);
    if (__builtin_expect(e->write_tag == tlb_want(cpu, va, 16), 1))
        _mm_storeu_si128((__m128i *)(va + e->addend), v);
    else
        mmu_write(cpu, va, &v, sizeof v);
}

VEC_INLINE void mem_write256(struct x86_cpu *cpu, gva_t va, const union vec_reg *v)
{
    const struct tlb_entry *e = tlb_at(cpu, va);
    if (__builtin_expect(e->write_tag == tlb_want(cpu, va, 32), 1)) {
        _mm_storeu_si128((__m128i *)(va + e->addend), v->x[0]);
        _mm_storeu_si128((__m128i *)(va + 16 + e->addend), v->x[1]);
    } else {
        mmu_write(cpu, va, v, sizeof *v);
    }
}

VEC_INLINE gva_t vec_addr(struct x86_cpu *cpu, const struct insn *i, unsigned size, bool write,
                          bool aligned)
{
    gva_t va = insn_linear(cpu, i, size, write);
    if (aligned && __builtin_expect((va & (size - 1)) != 0, 0))
        x86_raise_error(cpu, X86_GP, 0);
    return va;
}

/* --- operands --- */

/* First source of a destructive legacy form and of its three-operand VEX twin. */
VEC_INLINE unsigned vec_src1(const struct insn *i)
{
    return vec_is_vex(i) ? i->vvvv : i->reg;
}

/* The memory operand: 32 to 128 bits, the latter with and without the alignment check, and 256
 * bits, which come to lie in cpu->vec_scratch. */
__m128i vec_load32(struct x86_cpu *cpu, const struct insn *i); /* these with zeros above */
__m128i vec_load64(struct x86_cpu *cpu, const struct insn *i);
__m128i vec_load128(struct x86_cpu *cpu, const struct insn *i);
__m128i vec_load128_slow(struct x86_cpu *cpu, const struct insn *i, bool aligned);
__m128i vec_load128_aligned(struct x86_cpu *cpu, const struct insn *i);
const union vec_reg *vec_load256(struct x86_cpu *cpu, const struct insn *i);
void vec_store128_slow(struct x86_cpu *cpu, const struct insn *i, unsigned reg, bool aligned);
void vec_store256(struct x86_cpu *cpu, const struct insn *i, unsigned reg, bool aligned);

/* Where the memory operand lies in the host, or NULL when anything is out of the ordinary. */
VEC_INLINE __m128i_u *vec_host(struct x86_cpu *cpu, const struct insn *i, unsigned size, bool write,
                               bool aligned)
{
    gva_t va = (cpu->seg_base[i->seg] + insn_offset(cpu, i)) & cpu->address_mask;
    const struct tlb_entry *e = tlb_at(cpu, va);
    bool plain = (cpu->flat_segs >> i->seg & 1) &&
                 (write ? e->write_tag : e->read_tag) == tlb_want(cpu, va, size) &&
                 (!aligned || !(va & (size - 1)));
    return __builtin_expect(plain, 1) ? (__m128i_u *)(va + e->addend) : NULL;
}

/* The r/m operand, 128 bits; legacy memory operands must be aligned (unless the instruction is one
 * of the lenient ones). */
VEC_INLINE __m128i vec_rm128(struct x86_cpu *cpu, const struct insn *i, bool aligned)
{
    if (!(i->flags & INSN_MEM))
        return cpu->ymm[i->rm].x[0];
    return aligned && !vec_is_vex(i) ? vec_load128_aligned(cpu, i) : vec_load128(cpu, i);
}

VEC_INLINE const union vec_reg *vec_rm256(struct x86_cpu *cpu, const struct insn *i)
{
    return i->flags & INSN_MEM ? vec_load256(cpu, i) : &cpu->ymm[i->rm];
}

/* Low 2, 4 or 8 bytes of r/m; what is above is zero from memory and whatever the register has
 * otherwise. */
VEC_INLINE __m128i vec_rm_low(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!(i->flags & INSN_MEM))
        return cpu->ymm[i->rm].x[0];
    if (size == 2)
        return _mm_cvtsi32_si128(mem_read16(cpu, insn_linear(cpu, i, 2, false)));
    return size == 8 ? vec_load64(cpu, i) : vec_load32(cpu, i);
}

VEC_INLINE __m128i vec_zero(void)
{
    return _mm_setzero_si128();
}

/* Store a 128-bit result: VEX clears the upper half, legacy SSE keeps it. */
VEC_INLINE void vec_put128(struct x86_cpu *cpu, const struct insn *i, unsigned reg, __m128i v)
{
    cpu->ymm[reg].x[0] = v;
    if (vec_is_vex(i))
        cpu->ymm[reg].x[1] = vec_zero();
}

/* --- MMX registers: mantissas of the physical x87 registers --- */

VEC_INLINE uint64_t mmx_reg(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->x87.st[n & 7].mantissa;
}

VEC_INLINE void mmx_put(struct x86_cpu *cpu, unsigned n, uint64_t v)
{
    cpu->x87.st[n & 7].mantissa = v;
    cpu->x87.st[n & 7].sign_exp = 0xffff;
}

/* A pending x87 exception comes first. */
VEC_INLINE void mmx_check(struct x86_cpu *cpu)
{
    if (__builtin_expect(cpu->x87.status & 0x80, 0))
        x86_raise(cpu, X86_MF);
}

VEC_INLINE void mmx_enter(struct x86_cpu *cpu)
{
    cpu->x87.top = 0;
    cpu->x87.empty = 0;
}

/* --- templates: one row of a table makes one op --- */

/* What a lane function does to its 128 bits. Unary operations ignore `a`. */
typedef __m128i vec_lane(__m128i a, __m128i b);
typedef void vec_wide(union vec_reg *r, const union vec_reg *a, const union vec_reg *b);

/* Integer and bitwise: op reg, rm; aligned in legacy form; 256 bits as two lanes. */
VEC_INLINE void vec_lanes(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                          uint32_t wide, vec_lane *lane)
{
    union vec_reg *dst = &cpu->ymm[i->reg];
    if (!vec_is_vex(i)) {
        vec_need(cpu, VEC_SSE | feature);
        __m128i b = vec_rm128(cpu, i, true);
        dst->x[0] = lane(dst->x[0], b);
        return;
    }
    vec_enter(cpu, i, feature, wide);
    const union vec_reg *a = &cpu->ymm[i->vvvv];
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i);
        __m128i high = lane(a->x[1], b->x[1]);
        dst->x[0] = lane(a->x[0], b->x[0]);
        dst->x[1] = high;
    } else {
        dst->x[0] = lane(a->x[0], vec_rm128(cpu, i, true));
        dst->x[1] = vec_zero();
    }
}

/* Packed floating point. */
VEC_INLINE void vec_fp_packed(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                              vec_lane *lane, vec_wide *wide)
{
    union vec_reg *dst = &cpu->ymm[i->reg];
    if (!vec_is_vex(i)) {
        vec_need(cpu, VEC_SSE | feature);
        __m128i b = vec_rm128(cpu, i, true);
        fp_begin(cpu);
        __m128i r = lane(dst->x[0], b);
        fp_end(cpu);
        dst->x[0] = r;
        return;
    }
    vec_need(cpu, VEC_AVX | feature);
    const union vec_reg *a = &cpu->ymm[i->vvvv];
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i);
        fp_begin(cpu);
        wide(&cpu->vec_scratch, a, b);
        fp_end(cpu);
        *dst = cpu->vec_scratch;
    } else {
        __m128i b = vec_rm128(cpu, i, true);
        fp_begin(cpu);
        __m128i r = lane(a->x[0], b);
        fp_end(cpu);
        dst->x[0] = r;
        dst->x[1] = vec_zero();
    }
}

/* Scalar floating point; memory operands of `size` bytes; what is above the element comes from the
 * first source. */
VEC_INLINE void vec_fp_scalar(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                              unsigned size, vec_lane *lane)
{
    union vec_reg *dst = &cpu->ymm[i->reg];
    if (!vec_is_vex(i)) {
        vec_need(cpu, VEC_SSE | feature);
        __m128i b = vec_rm_low(cpu, i, size);
        fp_begin(cpu);
        __m128i r = lane(dst->x[0], b);
        fp_end(cpu);
        dst->x[0] = r;
        return;
    }
    vec_need(cpu, VEC_AVX | feature);
    __m128i b = vec_rm_low(cpu, i, size);
    fp_begin(cpu);
    __m128i r = lane(cpu->ymm[i->vvvv].x[0], b);
    fp_end(cpu);
    dst->x[0] = r;
    dst->x[1] = vec_zero();
}

/* Host instructions. Floating-point ones are volatile: they read and write MXCSR. */
#define LANE_ASM(name, mnemonic)                                                                   \
    VEC_INLINE __m128i lane_##name(__m128i a, __m128i b)                                           \
    {                                                                                              \
        __asm__(mnemonic " %1, %0" : "+x"(a) : "x"(b));                                            \
        return a;                                                                                  \
    }
#define LANE_ASM1(name, mnemonic)                                                                  \
    VEC_INLINE __m128i lane_##name(__m128i a, __m128i b)                                           \
    {                                                                                              \
        __asm__(mnemonic " %1, %0" : "=x"(a) : "x"(b));                                            \
        return a;                                                                                  \
    }
#define LANE_ASM_VEX(name, mnemonic)                                                               \
    VEC_INLINE __m128i lane_##name(__m128i a, __m128i b)                                           \
    {                                                                                              \
        __asm__(mnemonic " %1, %0, %0" : "+x"(a) : "x"(b));                                        \
        return a;                                                                                  \
    }
#define LANE_FP(name, mnemonic)                                                                    \
    VEC_INLINE __m128i lane_##name(__m128i a, __m128i b)                                           \
    {                                                                                              \
        __asm__ volatile(mnemonic " %1, %0" : "+x"(a) : "x"(b));                                   \
        return a;                                                                                  \
    }
#define LANE_FP1(name, mnemonic)                                                                   \
    VEC_INLINE __m128i lane_##name(__m128i a, __m128i b)                                           \
    {                                                                                              \
        __asm__ volatile(mnemonic " %1, %0" : "=x"(a) : "x"(b));                                   \
        return a;                                                                                  \
    }

/* 256-bit instructions work on memory and leave no upper halves behind: the compiler around knows
 * nothing of AVX. */
#define YMM_CLOBBERS                                                                               \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define WIDE_FP(name, mnemonic)                                                                    \
    VEC_INLINE void wide_##name(union vec_reg *r, const union vec_reg *a, const union vec_reg *b)  \
    {                                                                                              \
        __asm__ volatile("vmovups %1, %%ymm0\n\t" mnemonic " %2, %%ymm0, %%ymm0\n\t"               \
                         "vmovups %%ymm0, %0\n\tvzeroupper"                                        \
                         : "=m"(*r)                                                                \
                         : "m"(*a), "m"(*b)                                                        \
                         : YMM_CLOBBERS);                                                          \
    }
#define WIDE_FP1(name, mnemonic) WIDE_FP1_TO(name, mnemonic, "ymm0")
#define WIDE_FP1_TO(name, mnemonic, reg)                                                           \
    VEC_INLINE void wide_##name(union vec_reg *r, const union vec_reg *a, const union vec_reg *b)  \
    {                                                                                              \
        (void)a;                                                                                   \
        __asm__ volatile(mnemonic " %1, %%" reg "\n\tvmovups %%ymm0, %0\n\tvzeroupper"             \
                         : "=m"(*r)                                                                \
                         : "m"(*b)                                                                 \
                         : YMM_CLOBBERS);                                                          \
    }

/* The ops themselves. */
#define OP_LANES(name, feature, wide, lane)                                                        \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_lanes(cpu, i, feature, wide, lane_##lane);                                             \
    }
/* Integer operation that SSE has under `mnemonic`, AVX for 128 bits and AVX2 for 256. */
#define OP_INT(name, mnemonic, feature)                                                            \
    LANE_ASM(name, mnemonic) OP_LANES(name, feature, VEC_AVX2, name)
#define OP_INT1(name, mnemonic, feature)                                                           \
    LANE_ASM1(name, mnemonic) OP_LANES(name, feature, VEC_AVX2, name)
/* Bitwise and shuffling operations of the floating-point kind: AVX has them in both widths. */
#define OP_BITS(name, mnemonic, feature) LANE_ASM(name, mnemonic) OP_LANES(name, feature, 0, name)
#define OP_PACKED(name, mnemonic, feature)                                                         \
    LANE_FP(name, mnemonic)                                                                        \
    WIDE_FP(name, "v" mnemonic)                                                                    \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_fp_packed(cpu, i, feature, lane_##name, wide_##name);                                  \
    }
#define OP_PACKED1(name, mnemonic, feature)                                                        \
    LANE_FP1(name, mnemonic)                                                                       \
    WIDE_FP1(name, "v" mnemonic)                                                                   \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_fp_packed(cpu, i, feature, lane_##name, wide_##name);                                  \
    }
#define OP_SCALAR(name, mnemonic, size)                                                            \
    LANE_FP(name, mnemonic)                                                                        \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_fp_scalar(cpu, i, 0, size, lane_##name);                                               \
    }

/* --- instructions with an immediate: a row of host functions, one per value --- */

/*
 * Immediates are part of the instruction, so there is one small function per value, laid out at a
 * fixed stride by the assembler; they follow the C calling convention (a in xmm0, b in xmm1, result
 * in xmm0). An instruction that does not fit its slot fails to assemble.
 */
typedef __m128i vec_imm(__m128i a, __m128i b);

#define IMM_STUBS(name, count, stride, ...)                                                        \
    extern const uint8_t stubs_##name[] __attribute__((visibility("hidden")));                     \
    __asm__(".pushsection .text\n\t.balign 64\n\t.hidden stubs_" #name "\nstubs_" #name ":\n\t"    \
            ".set stub_imm, 0\n\t.rept " #count "\n\t" __VA_ARGS__ "\n\tret\n\t"                   \
            ".org stubs_" #name " + (stub_imm + 1) * " #stride ", 0xcc\n\t"                        \
            ".set stub_imm, stub_imm + 1\n\t.endr\n\t.popsection");
/* Lane functions with an immediate: at most 7 bytes of code. */
typedef __m128i vec_lane_imm(__m128i a, __m128i b, unsigned imm);

#define IMM_STUBS2(name, mnemonic, count)                                                          \
    IMM_STUBS(name, count, 8, mnemonic " $stub_imm, %xmm1, %xmm0")                                 \
    VEC_INLINE __m128i imm_##name(__m128i a, __m128i b, unsigned imm)                              \
    {                                                                                              \
        return ((vec_imm *)(uintptr_t)(stubs_##name + (imm & (count - 1)) * 8))(a, b);             \
    }
/* 256 bits by way of memory: r in rdi, a in rsi, b in rdx; `code` leaves its result in ymm0. */
#define IMM_STUBS_WIDE(name, code, count)                                                          \
    IMM_STUBS(wide_##name, count, 32, code "\n\tvmovups %ymm0, (%rdi)\n\tvzeroupper")              \
    VEC_INLINE void imm_wide_##name(union vec_reg *r, const union vec_reg *a,                      \
                                    const union vec_reg *b, unsigned imm)                          \
    {                                                                                              \
        ((vec_wide *)(uintptr_t)(stubs_wide_##name + (imm & (count - 1)) * 32))(r, a, b);          \
    }

/* As vec_lanes; `shift` is how far the upper lane's immediate lies above the lower one's (0: the
 * same for both). */
VEC_INLINE void vec_lanes_imm(struct x86_cpu *cpu, const struct insn *i, uint32_t feature,
                              uint32_t wide, vec_lane_imm *lane, unsigned shift)
{
    vec_enter(cpu, i, feature, wide);
    unsigned imm = (uint8_t)i->imm;
    if (vec_is_256(i)) {
        const union vec_reg *b = vec_rm256(cpu, i), *a = &cpu->ymm[i->vvvv];
        __m128i high = lane(a->x[1], b->x[1], imm >> shift);
        cpu->ymm[i->reg].x[0] = lane(a->x[0], b->x[0], imm);
        cpu->ymm[i->reg].x[1] = high;
    } else {
        __m128i b = vec_rm128(cpu, i, true);
        vec_put128(cpu, i, i->reg, lane(cpu->ymm[vec_src1(i)].x[0], b, imm));
    }
}

#define OP_LANES_IMM(name, feature, wide, shift)                                                   \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        vec_lanes_imm(cpu, i, feature, wide, imm_##name, shift);                                   \
    }
