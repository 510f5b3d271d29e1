// SPDX-License-Identifier: MIT
//
// The interpreter engine: making it, its turn-taking between vCPUs, interrupts, sleep. Emulation by
// fetch, decode, execute; the loop itself is interp_loop.c, the operations are src/accel/x86's.
// Works on any host.
#include "src/accel/interp/interp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "src/accel/interp/interp_priv.h"
#include "src/accel/x86/pvclock.h"
#include "src/accel/x86/vec.h"
#include "util.h"

#define ARENA_BYTES MIB(32)
#define DEBUG_SLICE 200000

static void interp_vm_fini(struct accel *a)
{
    struct interp *in = a->priv;
    if (!in)
        return;
    if (interp_is_counted(in))
        clock_attach_counter(a->clock, NULL, NULL, NULL);
    interp_env_fini(in);
    free(in->debug);
    icache_fini(&in->icache);
    free(in->cpus);
    pthread_mutex_destroy(&in->sleep_lock);
    pthread_mutex_destroy(&in->dma_lock);
    pthread_cond_destroy(&in->woken);
    free(in);
    a->priv = NULL;
}

static int interp_vm_init(struct accel *a, struct err *err)
{
    struct interp *in = calloc(1, sizeof *in);
    if (!in)
        return err_set(err, ENOMEM, "-accel interp: out of memory");
    a->priv = in;
    in->a = a;
    in->ncpus = a->nvcpus;
    in->mapping_generation = 1;
    pthread_mutex_init(&in->sleep_lock, NULL);
    pthread_mutex_init(&in->dma_lock, NULL);
    pthread_cond_init(&in->woken, NULL);
    if (interp_is_counted(in))
        clock_attach_counter(a->clock, interp_count, interp_rearmed, in);
    in->cpus = calloc(in->ncpus, sizeof in->cpus[0]);
    const struct ram_slot *top = &a->gmem->slots[a->gmem->nslots - 1];
    gpa_t ram_end = top->base + top->size;
    int rc = in->cpus ? icache_init(&in->icache, ARENA_BYTES, ram_end, interp_leave_block, err)
                      : err_set(err, ENOMEM, "-accel interp: out of memory");
    if (a->watch)
        in->icache.max_insns = 1;
    if (!rc)
        rc = interp_env_init(in, err);
    if (rc)
        interp_vm_fini(a);
    return rc;
}

/* Of RDRAND and RDSEED: from the host, or, when runs are to be equal, from what the user said. */
static uint64_t random_seed(const struct interp *in, unsigned cpu)
{
    uint64_t seed = in->a->random_seed;
    if (!interp_is_counted(in) && getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = (uintptr_t)in ^ clock_wall_ns(in->a->clock);
    return seed + 0x9e3779b97f4a7c15ull * (cpu + 1) * (cpu + 1);
}

static int interp_vcpu_init(struct vcpu *v, struct err *err)
{
    struct interp *in = v->accel->priv;
    struct interp_cpu *c = aligned_alloc(64, align_up(sizeof *c, 64));
    if (!c)
        return err_set(err, ENOMEM, "-accel interp: out of memory for vCPU %u", v->id);
    memset(c, 0, sizeof *c);
    c->in = in;
    c->vcpu = v;
    c->lapic = intc_soft_lapic(in->intc, v->id);
    int rc = x86_cpu_init(&c->cpu, &in->env, v->id, err);
    if (rc) {
        free(c);
        return rc;
    }
    c->cpu.random_state = random_seed(in, v->id);
    in->cpus[v->id] = c;
    in->current = in->cpus[0];
    v->priv = c;
    x86_reset(&c->cpu, v->id == 0);
    return 0;
}

static void interp_vcpu_fini(struct vcpu *v)
{
    struct interp *in = v->accel->priv;
    struct interp_cpu *c = v->priv;
    if (!c)
        return;
    x86_cpu_fini(&c->cpu);
    in->cpus[v->id] = NULL;
    if (in->current == c)
        in->current = NULL;
    free(c);
    v->priv = NULL;
}

static int interp_reset(struct accel *a, struct err *err)
{
    (void)err;
    struct interp *in = a->priv;
    struct device *dev = intc_soft_device(in->intc);
    pthread_mutex_lock(a->lock);
    dev->ops->reset(dev);
    pthread_mutex_unlock(a->lock);
    icache_flush(&in->icache);
    interp_forget_targets(in);
    in->ndma = 0;
    for (unsigned i = 0; i < in->ncpus; i++) {
        x86_reset(&in->cpus[i]->cpu, i == 0);
        atomic_store(&in->cpus[i]->cpu.attention, 0);
    }
    in->turn = 0;
    in->turn_begun = false;
    return 0;
}

/* --- between slices --- */

static void drop_written_code(struct interp *in)
{
    pthread_mutex_lock(&in->dma_lock);
    for (unsigned i = 0; i < in->ndma; i++)
        icache_written(&in->icache, in->dma[i].pa, in->dma[i].len);
    if (in->dma_overflow) {
        icache_flush(&in->icache);
        interp_forget_targets(in);
    }
    in->ndma = 0;
    in->dma_overflow = false;
    pthread_mutex_unlock(&in->dma_lock);
}

static void take_init(struct interp_cpu *c, unsigned attention)
{
    if (attention & ATT_INIT)
        x86_init_ipi(&c->cpu);
    if (attention & ATT_SIPI)
        x86_sipi(&c->cpu, (uint8_t)atomic_load(&c->sipi_vector));
}

/* Deliver at most one interrupt; the request stays in `attention` while the CPU cannot take it. */
static void take_interrupt(struct interp_cpu *c)
{
    struct x86_cpu *cpu = &c->cpu;
    if (x86_can_nmi(cpu)) {
        x86_nmi(cpu);
        return;
    }
    int vector = -1;
    pthread_mutex_lock(c->in->a->lock);
    bool pending = lapic_pending(c->lapic);
    if (pending && x86_can_interrupt(cpu))
        vector = lapic_intack(c->lapic);
    pending = lapic_pending(c->lapic);
    pthread_mutex_unlock(c->in->a->lock);
    if (pending)
        atomic_fetch_or(&cpu->attention, ATT_IRQ);
    if (vector >= 0)
        x86_interrupt(cpu, (uint8_t)vector);
}

void interp_look_at_requests(struct interp_cpu *c)
{
    if (!atomic_load(&c->cpu.attention) && !c->cpu.nmi_pending)
        return;
    unsigned attention = atomic_exchange(&c->cpu.attention, 0);
    if (attention & ATT_DMA)
        drop_written_code(c->in);
    if (attention & (ATT_INIT | ATT_SIPI))
        take_init(c, attention);
    if (attention & ATT_NMI)
        c->cpu.nmi_pending = true;
    if (attention & ATT_IRQ || c->cpu.nmi_pending)
        take_interrupt(c);
}

bool interp_can_run(const struct interp_cpu *c)
{
    return !c->cpu.halted && !c->cpu.wait_for_sipi && !c->cpu.shutdown;
}

/* All CPUs wait for something: so do we. */
void interp_sleep(struct interp *in)
{
    pthread_mutex_lock(&in->sleep_lock);
    while (!in->wake_flag && !atomic_load(&in->kicked))
        pthread_cond_wait(&in->woken, &in->sleep_lock);
    in->wake_flag = false;
    pthread_mutex_unlock(&in->sleep_lock);
}

/* One CPU's turn with a debugger's plan. True when it could run; *told: the debugger has to be. */
static bool take_debug_turn(struct interp *in, struct interp_cpu *c, bool *told)
{
    in->current = c;
    if (interp_debug_stays(c))
        return false;
    if (!interp_debug_steps(c) || !interp_can_run(c))
        interp_look_at_requests(c);
    if (!interp_can_run(c))
        return false;
    c->slice_end = c->cpu.icount + DEBUG_SLICE;
    *told = interp_debug_run(c);
    vec_fp_release(&c->cpu);
    return true;
}

/* One CPU's turn. True when it could run. */
static bool take_turn(struct interp *in, struct interp_cpu *c, bool *told)
{
    if (in->a->debug)
        return take_debug_turn(in, c, told);
    in->current = c;
    interp_look_at_requests(c);
    if (!interp_can_run(c))
        return false;
    interp_run_cpu(c);
    vec_fp_release(&c->cpu);
    return true;
}

static void interp_run(struct vcpu *v, struct vm_exit *out)
{
    struct interp *in = v->accel->priv;
    unsigned idle = 0;
    if (interp_is_counted(in)) {
        interp_run_counted(in, out);
        return;
    }
    while (!atomic_exchange(&in->kicked, false)) {
        struct interp_cpu *c = in->cpus[in->turn];
        bool told = false;
        idle = take_turn(in, c, &told) ? 0 : idle + 1;
        if (told) {
            interp_debug_tell(in, out);
            return;
        }
        if (c->cpu.shutdown) {
            out->kind = EXIT_SHUTDOWN;
            return;
        }
        /* A CPU with something to answer goes on; else the next one. */
        if (!interp_can_run(c) || interp_debug_stays(c) || !atomic_load(&c->cpu.attention) ||
            in->ncpus > 1)
            in->turn = (in->turn + 1) % in->ncpus;
        if (idle > in->ncpus) {
            interp_sleep(in);
            idle = 0;
        }
    }
    out->kind = EXIT_INTR;
}

static void interp_kick(struct vcpu *v)
{
    struct interp *in = v->accel->priv;
    if (interp_is_counted(in)) {
        interp_kick_counted(in);
        return;
    }
    atomic_store(&in->kicked, true);
    for (unsigned i = 0; i < in->ncpus; i++)
        interp_wake(in->cpus[i], ATT_KICK);
}

static int interp_get_state(struct vcpu *v, struct cpu_state *out, struct err *err)
{
    (void)err;
    struct interp_cpu *c = v->priv;
    x86_get_state(&c->cpu, out);
    return 0;
}

static int interp_set_state(struct vcpu *v, const struct cpu_state *in, struct err *err)
{
    struct interp_cpu *c = v->priv;
    int rc = x86_put_state(&c->cpu, in);
    if (rc)
        return err_set(err, -rc, "-accel interp: vCPU %u: this is not a state a CPU can be in",
                       v->id);
    if (!v->accel->watch) /* under lockstep RAM is as it should be already */
        x86_pvclock_renew(&c->cpu);
    return 0;
}

static uint64_t interp_rip(struct vcpu *v)
{
    const struct interp_cpu *c = v->priv;
    return c->cpu.rip;
}

/* Decoded code is shared by all CPUs: the first tells of it. */
static unsigned interp_counters(struct vcpu *v, struct accel_counter *out, unsigned most)
{
    const struct interp_cpu *c = v->priv;
    const struct icache *ic = &c->in->icache;
    const struct accel_counter all[] = {
        {"instructions", c->cpu.icount},
        {"code blocks decoded", ic->blocks},
        {"code blocks overwritten", ic->killed},
        {"times all code was thrown away", ic->flushes},
    };
    unsigned n = v->id ? 1 : ARRAY_LEN(all);
    if (n > most)
        n = most;
    memcpy(out, all, n * sizeof all[0]);
    return n;
}

const struct accel_ops interp_accel = {
    .name = "interp",
    .help = "emulation by fetch, decode, execute: on any host",
    .caps = ACCEL_CAP_CPU | ACCEL_CAP_IRQCHIP | ACCEL_CAP_LEAD | ACCEL_CAP_FOLLOW |
            ACCEL_CAP_COUNTS,
    .vm_init = interp_vm_init,
    .vm_fini = interp_vm_fini,
    .reset = interp_reset,
    .vcpu_init = interp_vcpu_init,
    .vcpu_fini = interp_vcpu_fini,
    .run = interp_run,
    .kick = interp_kick,
    .look = interp_look,
    .get_state = interp_get_state,
    .set_state = interp_set_state,
    .rip = interp_rip,
    .counters = interp_counters,
    .set_debug = interp_set_debug,
    .step = interp_step,
};
