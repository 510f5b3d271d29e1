// SPDX-License-Identifier: MIT
//
// May vector instructions run (control registers, host), and whose MXCSR is in the host's register.
// See vec.h for the scheme. SDM vol. 2 section 2.4 (exception classes of VEX), vol. 3
// sections 2.5, 2.6 and 13.1; vol. 1 section 11.5 (SIMD exceptions).
#include "vec.h"
#include "fp_trap.h"

#include <cpuid.h>
#include <pthread.h>

/* --- what there is --- */

static pthread_once_t host_once = PTHREAD_ONCE_INIT;
static uint32_t host_level;

static uint64_t host_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static uint32_t host_probe_level(void)
{
    uint32_t a, b, c1 = 0, d, b7 = 0, c;
    __get_cpuid(1, &a, &b, &c1, &d);
    __get_cpuid_count(7, 0, &a, &b7, &c, &d);
    uint32_t level = VEC_SSE | (c1 & bit_SSE3 ? VEC_SSE3 : 0u) | (c1 & bit_SSSE3 ? VEC_SSSE3 : 0u) |
                     (c1 & bit_SSE4_1 ? VEC_SSE41 : 0u) | (c1 & bit_SSE4_2 ? VEC_SSE42 : 0u) |
                     (c1 & bit_AES ? VEC_AES : 0u) | (c1 & bit_PCLMUL ? VEC_PCLMUL : 0u) |
                     (b7 & bit_SHA ? VEC_SHA : 0u);
    if (c1 & bit_OSXSAVE && c1 & bit_AVX && (host_xcr0() & 6) == 6)
        level |= VEC_AVX | (b7 & bit_AVX2 ? VEC_AVX2 : 0u) | (c1 & bit_FMA ? VEC_FMA : 0u) |
                 (c1 & bit_F16C ? VEC_F16C : 0u);
    return level;
}

static void host_init(void)
{
    host_level = host_probe_level();
    fp_trap_init();
}

uint32_t x86_host_vector_level(void)
{
    pthread_once(&host_once, host_init);
    return host_level;
}

/* --- access --- */

static uint32_t blocked(const struct x86_cpu *cpu, bool with_task_switched)
{
    uint32_t missing = ~x86_host_vector_level();
    bool ts = with_task_switched && cpu->cr0 & CR0_TS;
    if (ts || cpu->cr0 & CR0_EM || !(cpu->cr4 & CR4_OSFXSR))
        missing |= VEC_SSE;
    if (ts || !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6 || x86_real_or_v86(cpu))
        missing |= VEC_AVX;
    return missing;
}

void vec_update_access(struct x86_cpu *cpu)
{
    cpu->vec_blocked = blocked(cpu, true);
}

void vec_fault(struct x86_cpu *cpu, uint32_t need)
{
    x86_raise(cpu, blocked(cpu, false) & need ? X86_UD : X86_NM);
}

/* --- memory operands. Fast paths call nothing but in tail position, and so need no frame --- */

__attribute__((noinline)) __m128i vec_load128_slow(struct x86_cpu *cpu, const struct insn *i,
                                                   bool aligned)
{
    __m128i v;
    mmu_read(cpu, vec_addr(cpu, i, 16, false, aligned), &v, sizeof v);
    return v;
}

static __attribute__((noinline)) const union vec_reg *load256_slow(struct x86_cpu *cpu,
                                                                   const struct insn *i)
{
    mmu_read(cpu, vec_addr(cpu, i, 32, false, false), &cpu->vec_scratch, 32);
    return &cpu->vec_scratch;
}

static __attribute__((noinline)) __m128i load_low_slow(struct x86_cpu *cpu, const struct insn *i,
                                                       unsigned size)
{
    uint64_t v = 0;
    mmu_read(cpu, insn_linear(cpu, i, size, false), &v, size);
    return _mm_cvtsi64_si128((int64_t)v);
}

__m128i vec_load32(struct x86_cpu *cpu, const struct insn *i)
{
    const __m128i_u *p = vec_host(cpu, i, 4, false, false);
    return p ? _mm_loadu_si32(p) : load_low_slow(cpu, i, 4);
}

__m128i vec_load64(struct x86_cpu *cpu, const struct insn *i)
{
    const __m128i_u *p = vec_host(cpu, i, 8, false, false);
    return p ? _mm_loadu_si64(p) : load_low_slow(cpu, i, 8);
}

__m128i vec_load128(struct x86_cpu *cpu, const struct insn *i)
{
    const __m128i_u *p = vec_host(cpu, i, 16, false, false);
    return p ? _mm_loadu_si128(p) : vec_load128_slow(cpu, i, false);
}

__m128i vec_load128_aligned(struct x86_cpu *cpu, const struct insn *i)
{
    const __m128i_u *p = vec_host(cpu, i, 16, false, true);
    return p ? _mm_loadu_si128(p) : vec_load128_slow(cpu, i, true);
}

const union vec_reg *vec_load256(struct x86_cpu *cpu, const struct insn *i)
{
    const __m128i_u *p = vec_host(cpu, i, 32, false, false);
    if (!p)
        return load256_slow(cpu, i);
    cpu->vec_scratch.x[0] = _mm_loadu_si128(p);
    cpu->vec_scratch.x[1] = _mm_loadu_si128(p + 1);
    return &cpu->vec_scratch;
}

void vec_store128_slow(struct x86_cpu *cpu, const struct insn *i, unsigned reg, bool aligned)
{
    mmu_write(cpu, vec_addr(cpu, i, 16, true, aligned), &cpu->ymm[reg], 16);
}

void vec_store256(struct x86_cpu *cpu, const struct insn *i, unsigned reg, bool aligned)
{
    mem_write256(cpu, vec_addr(cpu, i, 32, true, aligned), &cpu->ymm[reg]);
}

/* --- MXCSR --- */

static uint32_t host_mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

static void host_set_mxcsr(uint32_t v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}

void fp_begin_slow(struct x86_cpu *cpu)
{
    if ((cpu->mxcsr & MXCSR_MASKS) == MXCSR_MASKS)
        cpu->fp_live = true;
    else
        fp_trap_arm();
    host_set_mxcsr(cpu->mxcsr);
}

/* Only with exceptions unmasked: otherwise fp_begin made the state live. */
void fp_end_slow(struct x86_cpu *cpu)
{
    uint32_t flags = host_mxcsr() & MXCSR_FLAGS, trap = fp_trap_disarm();
    host_set_mxcsr(MXCSR_DEFAULT);
    cpu->mxcsr |= trap & FP_TRAPPED ? trap & MXCSR_FLAGS : flags;
    if (trap & FP_TRAPPED)
        x86_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

uint32_t vec_mxcsr_get(struct x86_cpu *cpu)
{
    if (cpu->fp_live)
        cpu->mxcsr |= host_mxcsr() & MXCSR_FLAGS;
    return cpu->mxcsr;
}

void vec_fp_release(struct x86_cpu *cpu)
{
    if (!cpu->fp_live)
        return;
    vec_mxcsr_get(cpu);
    host_set_mxcsr(MXCSR_DEFAULT);
    cpu->fp_live = false;
}

void vec_mxcsr_set(struct x86_cpu *cpu, uint32_t val)
{
    vec_fp_release(cpu);
    cpu->mxcsr = val;
}
