// SPDX-License-Identifier: MIT
//
// The paravirtual clock of KVM guests (Linux: Documentation/virt/kvm/x86/msr.rst and cpuid.rst,
// asm/pvclock-abi.h), so that a guest need not measure its time-stamp counter against a timer. The
// guest names places in RAM: one gets the UTC of guest time 0, once; the other, of each CPU, a
// formula from that CPU's counter to guest time. The counter counts nanoseconds of guest time (see
// env.h), so the formula is one of adding, exact, and for ever, until the guest moves the counter.
//
// As KVM does it: any value can be written; a place that is not RAM gets nothing. Nobody sees a
// place half written, since all CPUs run on one thread: versions are always even. The wall clock's
// register is this CPU's own, while KVM has one for all.
#include "pvclock.h"

#include <stddef.h>
#include <string.h>

#include "env.h"
#include "util.h"

#define ENABLED 1u

struct wall_clock {
    uint32_t version, sec, nsec;
};

struct system_time {
    uint32_t version, pad;
    uint64_t tsc, ns; /* a value of the counter, and the guest time then */
    uint32_t mul;     /* ns since then: ((counter - tsc) << shift) * mul >> 32 */
    int8_t shift;
    uint8_t flags, pad_2[2];
};
_Static_assert(sizeof(struct wall_clock) == 12 && sizeof(struct system_time) == 32, "guest ABI");

#define MUL_HALF 0x80000000u
#define FLAG_TSC_STABLE 1 /* from every CPU's counter and formula comes the same time */

/* Odd is "being written", also when it is what was there before. */
static uint32_t version_after(uint32_t version)
{
    return (version | 1) + 1;
}

/* The CPU stores, as an instruction would: whoever watches stores or has code there is told. */
static void store(const struct x86_cpu *cpu, gpa_t at, void *structure, unsigned len)
{
    const struct x86_env *env = cpu->env;
    uint8_t *to = gmem_ptr(env->gmem, at, len);
    uint32_t version;
    if (!to)
        return;
    memcpy(&version, to, sizeof version);
    version = version_after(version);
    memcpy(structure, &version, sizeof version);
    memcpy(to, structure, len);
    if (env->page_has_code(env->opaque, at & ~0xfffull) ||
        env->page_has_code(env->opaque, (at + len - 1) & ~0xfffull))
        env->code_written(env->opaque, at, len);
}

void x86_pvclock_set_wall(struct x86_cpu *cpu, uint64_t val)
{
    cpu->msr.kvm_wall_clock = val;
    if (!val)
        return;
    uint64_t ns = cpu->env->utc_of_start(cpu->env->opaque);
    struct wall_clock wall = {.sec = (uint32_t)(ns / NS_PER_S), .nsec = (uint32_t)(ns % NS_PER_S)};
    store(cpu, val, &wall, sizeof wall);
}

void x86_pvclock_set_system(struct x86_cpu *cpu, uint64_t val)
{
    cpu->msr.kvm_system_time = val;
    x86_pvclock_renew(cpu);
}

void x86_pvclock_renew(struct x86_cpu *cpu)
{
    const struct x86_env *env = cpu->env;
    if (!(cpu->msr.kvm_system_time & ENABLED))
        return;
    uint64_t now = env->tsc(env->opaque);
    bool agree = !env->tscs_agree || env->tscs_agree(env->opaque);
    struct system_time time = {
        .tsc = now + cpu->msr.tsc_adjust,
        .ns = now,
        .mul = MUL_HALF,
        .shift = 1,
        .flags = agree ? FLAG_TSC_STABLE : 0,
    };
    store(cpu, cpu->msr.kvm_system_time & ~(uint64_t)ENABLED, &time, sizeof time);
}
