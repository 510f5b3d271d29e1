// SPDX-License-Identifier: MIT
//
// FXSAVE, FXRSTOR and the XSAVE family for the components x87, SSE and AVX; XCR0. SDM vol. 1
// sections 10.5 and 13.
//
// Images are built and checked in full before memory or state changes. A component is "in use" when
// it differs from its initial configuration (hardware may say so more often). XSAVEOPT leaves out
// what is not in use and never compares with the last XRSTOR. No supervisor component exists:
// XSAVES and XRSTORS are the compacted forms for privilege level 0.
#include <string.h>

#include "cpuid.h"
#include "ops.h"
#include "vec.h"
#include "x87.h"

enum { X_X87 = 1 << 0, X_SSE = 1 << 1, X_AVX = 1 << 2 };
#define X_COMPACT (1ull << 63)

/* The legacy region. */
struct fx_image {
    uint16_t control, status;
    uint8_t valid, zero; /* tags: one bit per physical register */
    uint16_t opcode;
    uint64_t ip, dp; /* 32-bit forms: offset, selector */
    uint32_t mxcsr, mxcsr_mask;
    struct {
        uint64_t mantissa, sign_exp;
    } st[8];
    __m128i xmm[16];
    uint8_t free[96];
};

/* A whole area: with these three components AVX is at the same place in both formats. */
struct x_image {
    struct fx_image fx;
    uint64_t xstate_bv, xcomp_bv, reserved[6];
    __m128i ymm_high[16];
};
_Static_assert(sizeof(struct fx_image) == 512 && sizeof(struct x_image) == 832,
               "layout of SDM vol. 1 table 13-1");

#define FX_X87_HEAD 24u                              /* control word to data pointer */
#define FX_ST offsetof(struct fx_image, st)          /* 32 */
#define FX_XMM offsetof(struct fx_image, xmm)        /* 160 */
#define FX_MXCSR offsetof(struct fx_image, mxcsr)    /* 24 */
#define X_HEADER offsetof(struct x_image, xstate_bv) /* 512 */
#define X_AVX_AT                                                                                   \
    offsetof(struct x_image, ymm_high) /* 576 in either format: nothing comes before it */

/* --- parts of an image in memory --- */

struct area {
    struct x86_cpu *cpu;
    gva_t va;
};

static void area_write(const struct area *a, const void *image, size_t at, size_t size)
{
    const uint8_t *p = (const uint8_t *)image + at;
    for (size_t n = 0; n < size; n += 8) {
        uint64_t v;
        memcpy(&v, p + n, 8);
        mem_write64(a->cpu, (a->va + at + n) & a->cpu->address_mask, v);
    }
}

static void area_read(const struct area *a, void *image, size_t at, size_t size)
{
    uint8_t *p = (uint8_t *)image + at;
    for (size_t n = 0; n < size; n += 8) {
        uint64_t v = mem_read64(a->cpu, (a->va + at + n) & a->cpu->address_mask);
        memcpy(p + n, &v, 8);
    }
}

static struct area area_of(struct x86_cpu *cpu, const struct insn *i, unsigned size, unsigned align,
                           bool write)
{
    struct area a = {cpu, insn_linear(cpu, i, size, write)};
    if (a.va & (align - 1))
        x86_raise_error(cpu, X86_GP, 0);
    return a;
}

static unsigned vector_registers(const struct x86_cpu *cpu)
{
    return cpu->mode == X86_MODE64 ? 16 : 8;
}

/* --- state to image and back --- */

static void x87_to_image(const struct x86_cpu *cpu, const struct insn *i, struct fx_image *fx)
{
    const struct x87_state *x = &cpu->x87;
    fx->control = x->control;
    fx->status = x87_status_word(cpu);
    fx->valid = (uint8_t)~x->empty;
    fx->zero = 0;
    fx->opcode = x->opcode;
    bool wide = i->flags & INSN_REXW;
    fx->ip = wide ? x->ip : (uint32_t)x->ip | (uint64_t)x->cs << 32;
    fx->dp = wide ? x->dp : (uint32_t)x->dp | (uint64_t)x->ds << 32;
    for (unsigned n = 0; n < 8; n++) {
        const struct x87_reg *r = &x->st[(x->top + n) & 7];
        fx->st[n].mantissa = r->mantissa;
        fx->st[n].sign_exp = r->sign_exp;
    }
}

static void x87_from_image(struct x86_cpu *cpu, const struct insn *i, const struct fx_image *fx)
{
    struct x87_state *x = &cpu->x87;
    x87_set_words(cpu, fx->control, fx->status);
    x->empty = (uint8_t)~fx->valid;
    x->opcode = fx->opcode & 0x7ff;
    bool wide = i->flags & INSN_REXW;
    x->ip = wide ? fx->ip : (uint32_t)fx->ip;
    x->dp = wide ? fx->dp : (uint32_t)fx->dp;
    x->cs = wide ? 0 : (uint16_t)(fx->ip >> 32);
    x->ds = wide ? 0 : (uint16_t)(fx->dp >> 32);
    for (unsigned n = 0; n < 8; n++) {
        x87_st(cpu, n)->mantissa = fx->st[n].mantissa;
        x87_st(cpu, n)->sign_exp = (uint16_t)fx->st[n].sign_exp;
    }
}

static void x87_reset_state(struct x86_cpu *cpu)
{
    x87_init(cpu);
    memset(cpu->x87.st, 0, sizeof cpu->x87.st);
}

static void xmm_to_image(const struct x86_cpu *cpu, struct fx_image *fx)
{
    for (unsigned n = 0; n < 16; n++)
        fx->xmm[n] = cpu->ymm[n].x[0];
}

static void mxcsr_to_image(struct x86_cpu *cpu, struct fx_image *fx)
{
    fx->mxcsr = vec_mxcsr_get(cpu);
    fx->mxcsr_mask = MXCSR_VALID;
}

static void mxcsr_check(struct x86_cpu *cpu, uint32_t mxcsr)
{
    if (mxcsr & ~MXCSR_VALID)
        x86_raise_error(cpu, X86_GP, 0);
}

/* --- FXSAVE, FXRSTOR: what CR4.OSFXSR is not set for stays away --- */

void op_fxsave(struct x86_cpu *cpu, const struct insn *i)
{
    struct fx_image fx;
    x87_enter_no_wait(cpu);
    struct area a = area_of(cpu, i, sizeof fx, 16, true);
    x87_probe_image(cpu, a.va, sizeof fx, true);
    x87_to_image(cpu, i, &fx);
    area_write(&a, &fx, 0, FX_X87_HEAD);
    area_write(&a, &fx, FX_ST, sizeof fx.st);
    if (!(cpu->cr4 & CR4_OSFXSR))
        return;
    mxcsr_to_image(cpu, &fx);
    xmm_to_image(cpu, &fx);
    area_write(&a, &fx, FX_MXCSR, 8);
    area_write(&a, &fx, FX_XMM, vector_registers(cpu) * 16);
}

void op_fxrstor(struct x86_cpu *cpu, const struct insn *i)
{
    struct fx_image fx;
    x87_enter_no_wait(cpu);
    struct area a = area_of(cpu, i, sizeof fx, 16, false);
    x87_probe_image(cpu, a.va, sizeof fx, false);
    area_read(&a, &fx, 0, sizeof fx);
    if (cpu->cr4 & CR4_OSFXSR) {
        mxcsr_check(cpu, fx.mxcsr);
        vec_mxcsr_set(cpu, fx.mxcsr);
        for (unsigned n = 0; n < vector_registers(cpu); n++)
            cpu->ymm[n].x[0] = fx.xmm[n];
    }
    x87_from_image(cpu, i, &fx);
}

/* --- XSAVE --- */

static void x_enter(struct x86_cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        x86_raise(cpu, X86_UD);
    if (cpu->cr0 & CR0_TS)
        x86_raise(cpu, X86_NM);
}

static void x_enter_supervisor(struct x86_cpu *cpu)
{
    x_enter(cpu);
    if (cpu->cpl)
        x86_raise_error(cpu, X86_GP, 0);
}

/* EDX:EAX within XCR0. */
static uint64_t requested(const struct x86_cpu *cpu)
{
    return ((uint64_t)(uint32_t)cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX]) & cpu->xcr0;
}

static bool is_zero(const union vec_reg *regs, unsigned count, unsigned half)
{
    uint64_t any = 0;
    for (unsigned n = 0; n < count; n++)
        any |= regs[n].u64[half * 2] | regs[n].u64[half * 2 + 1];
    return !any;
}

/* Outside 64-bit mode registers 8 to 15 are no part of it. */
static uint64_t in_use(const struct x86_cpu *cpu)
{
    const struct x87_state *x = &cpu->x87;
    uint64_t any = x->ip | x->dp | x->cs | x->ds | x->opcode | x->status | x->top;
    for (unsigned n = 0; n < 8; n++)
        any |= x->st[n].mantissa | x->st[n].sign_exp;
    bool x87 = any || x->control != X87_CONTROL_DEFAULT || x->empty != 0xff;
    unsigned count = vector_registers(cpu);
    return (x87 ? X_X87 : 0u) | (is_zero(cpu->ymm, count, 0) ? 0u : X_SSE) |
           (is_zero(cpu->ymm, count, 1) ? 0u : X_AVX);
}

/* `what` was probed; header and MXCSR are the callers'. */
static void write_components(const struct area *a, const struct insn *i, struct x_image *x,
                             uint64_t what)
{
    struct x86_cpu *cpu = a->cpu;
    if (what & X_X87) {
        x87_to_image(cpu, i, &x->fx);
        area_write(a, x, 0, FX_X87_HEAD);
        area_write(a, x, FX_ST, sizeof x->fx.st);
    }
    if (what & X_SSE) {
        xmm_to_image(cpu, &x->fx);
        area_write(a, x, FX_XMM, vector_registers(cpu) * 16);
    }
    if (what & X_AVX) {
        for (unsigned n = 0; n < 16; n++)
            x->ymm_high[n] = cpu->ymm[n].x[1];
        area_write(a, x, X_AVX_AT, vector_registers(cpu) * 16);
    }
}

static unsigned area_size(uint64_t components)
{
    return components & X_AVX ? sizeof(struct x_image) : X_AVX_AT;
}

static void save_standard(struct x86_cpu *cpu, const struct insn *i, bool optimise)
{
    struct x_image x;
    x_enter(cpu);
    uint64_t what = requested(cpu), used = in_use(cpu);
    struct area a = area_of(cpu, i, area_size(what), 64, true);
    x87_probe_image(cpu, a.va, area_size(what), true);
    uint64_t bv = mem_rmw64(cpu, a.va + X_HEADER);
    write_components(&a, i, &x, optimise ? what & used : what);
    if (what & (X_SSE | X_AVX)) {
        mxcsr_to_image(cpu, &x.fx);
        area_write(&a, &x, FX_MXCSR, 8);
    }
    x.xstate_bv = (bv & ~what) | (used & what);
    area_write(&a, &x, X_HEADER, 8);
}

void op_xsave(struct x86_cpu *cpu, const struct insn *i)
{
    save_standard(cpu, i, false);
}

void op_xsaveopt(struct x86_cpu *cpu, const struct insn *i)
{
    save_standard(cpu, i, true);
}

/* Compacted: MXCSR belongs to SSE, which is in use when MXCSR is not the initial one too. */
static void save_compacted(struct x86_cpu *cpu, const struct insn *i)
{
    struct x_image x;
    uint64_t what = requested(cpu), used = in_use(cpu);
    if (vec_mxcsr_get(cpu) != MXCSR_DEFAULT)
        used |= X_SSE;
    struct area a = area_of(cpu, i, area_size(what), 64, true);
    x87_probe_image(cpu, a.va, area_size(what), true);
    write_components(&a, i, &x, what & used);
    if (what & used & X_SSE) {
        mxcsr_to_image(cpu, &x.fx);
        area_write(&a, &x, FX_MXCSR, 8);
    }
    x.xstate_bv = what & used;
    x.xcomp_bv = what | X_COMPACT;
    area_write(&a, &x, X_HEADER, 16);
}

void op_xsavec(struct x86_cpu *cpu, const struct insn *i)
{
    x_enter(cpu);
    save_compacted(cpu, i);
}

void op_xsaves(struct x86_cpu *cpu, const struct insn *i)
{
    x_enter_supervisor(cpu);
    save_compacted(cpu, i);
}

/* --- XRSTOR --- */

/* #GP for a header that is not one; returns the components the image knows of. */
static uint64_t check_header(struct x86_cpu *cpu, const struct x_image *x, bool compact_only)
{
    bool compact = x->xcomp_bv & X_COMPACT;
    uint64_t known = compact ? x->xcomp_bv & ~X_COMPACT : cpu->xcr0;
    uint64_t bad = (known & ~cpu->xcr0) | (x->xstate_bv & ~known) | x->reserved[0];
    if (compact)
        bad |= x->reserved[1] | x->reserved[2] | x->reserved[3] | x->reserved[4] | x->reserved[5];
    else
        bad |= x->xcomp_bv;
    if (bad || (compact_only && !compact))
        x86_raise_error(cpu, X86_GP, 0);
    return known;
}

static void restore(struct x86_cpu *cpu, const struct insn *i, bool compact_only)
{
    struct x_image x;
    struct area a = area_of(cpu, i, X_AVX_AT, 64, false);
    uint64_t what = requested(cpu);
    area_read(&a, &x, X_HEADER, X_AVX_AT - X_HEADER);
    check_header(cpu, &x, compact_only);
    bool compact = x.xcomp_bv & X_COMPACT;
    uint64_t load = what & x.xstate_bv;

    /* Everything that may fault; then the state. */
    if (load & X_AVX) {
        insn_linear(cpu, i, sizeof x, false);
        x87_probe_image(cpu, a.va, sizeof x, false);
        area_read(&a, &x, X_AVX_AT, vector_registers(cpu) * 16);
    }
    if (load & X_X87) {
        area_read(&a, &x, 0, FX_X87_HEAD);
        area_read(&a, &x, FX_ST, sizeof x.fx.st);
    }
    if (load & X_SSE)
        area_read(&a, &x, FX_XMM, vector_registers(cpu) * 16);
    x.fx.mxcsr = MXCSR_DEFAULT;
    bool set_mxcsr = what & (compact ? X_SSE : X_SSE | X_AVX);
    if (compact ? load & X_SSE : set_mxcsr) {
        area_read(&a, &x, FX_MXCSR, 8);
        mxcsr_check(cpu, x.fx.mxcsr);
    }

    if (set_mxcsr)
        vec_mxcsr_set(cpu, x.fx.mxcsr);
    if (load & X_X87)
        x87_from_image(cpu, i, &x.fx);
    else if (what & X_X87)
        x87_reset_state(cpu);
    for (unsigned n = 0; n < vector_registers(cpu); n++) {
        if (what & X_SSE)
            cpu->ymm[n].x[0] = load & X_SSE ? x.fx.xmm[n] : vec_zero();
        if (what & X_AVX)
            cpu->ymm[n].x[1] = load & X_AVX ? x.ymm_high[n] : vec_zero();
    }
}

void op_xrstor(struct x86_cpu *cpu, const struct insn *i)
{
    x_enter(cpu);
    restore(cpu, i, false);
}

void op_xrstors(struct x86_cpu *cpu, const struct insn *i)
{
    x_enter_supervisor(cpu);
    restore(cpu, i, true);
}

/* --- XCR0 --- */

void op_xgetbv(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        x86_raise(cpu, X86_UD);
    uint32_t which = (uint32_t)cpu->gpr[RCX];
    if (which > 1)
        x86_raise_error(cpu, X86_GP, 0);
    uint64_t v = cpu->xcr0;
    if (which == 1) {
        v &= in_use(cpu) | (vec_mxcsr_get(cpu) != MXCSR_DEFAULT ? X_SSE : 0u);
    }
    cpu->gpr[RAX] = (uint32_t)v;
    cpu->gpr[RDX] = v >> 32;
}

/* x87 always; AVX only with SSE, and where the model has it. */
void op_xsetbv(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        x86_raise(cpu, X86_UD);
    uint64_t v = (uint64_t)(uint32_t)cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
    if (cpu->cpl || (uint32_t)cpu->gpr[RCX] || v & ~x86_xcr0_supported(cpu) || !(v & X_X87) ||
        (v & X_AVX && !(v & X_SSE)))
        x86_raise_error(cpu, X86_GP, 0);
    cpu->xcr0 = v;
    vec_update_access(cpu);
}
