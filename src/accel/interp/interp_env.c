// SPDX-License-Identifier: MIT
//
// What surrounds the interpreter's CPUs: ports and memory-mapped devices through the machine's exit
// handlers, the local APIC, time, and the news of written code.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/interp/interp_priv.h"
#include "src/accel/x86/cpuid.h"
#include "src/accel/x86/pvclock.h"
#include "src/accel/x86/vec.h"
#include "util.h"

/* The time stamp counter counts nanoseconds of guest time. */
#define TSC_HZ NS_PER_S

/* Devices answer through the very same handlers as for engines that exit for it. */
static void answer(struct interp *in, struct vm_exit *exit)
{
    struct interp_cpu *c = in->current;
    vec_fp_release(&c->cpu);
    in->a->io(in->a->io_opaque, c->vcpu, exit);
}

static uint64_t io_read(void *opaque, uint16_t port, unsigned size)
{
    uint64_t val = 0;
    struct vm_exit exit = {.kind = EXIT_PIO,
                           .pio = {.port = port, .size = (uint8_t)size, .count = 1, .data = &val}};
    answer(opaque, &exit);
    return val;
}

static void io_write(void *opaque, uint16_t port, unsigned size, uint64_t val)
{
    struct vm_exit exit = {
        .kind = EXIT_PIO,
        .pio = {.port = port, .size = (uint8_t)size, .write = true, .count = 1, .data = &val},
    };
    answer(opaque, &exit);
}

static void tell_apic_access(const struct interp *in)
{
    const struct accel_watch *watch = in->a->watch;
    if (watch && watch->apic)
        watch->apic(watch->opaque);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    struct interp *in = opaque;
    struct interp_cpu *c = in->current;
    uint64_t val = 0;
    if (lapic_claims(c->lapic, gpa)) {
        tell_apic_access(in);
        pthread_mutex_lock(in->a->lock);
        val = lapic_mmio_read(c->lapic, (unsigned)(gpa & (APIC_PAGE - 1)), size);
        pthread_mutex_unlock(in->a->lock);
        return val;
    }
    struct vm_exit exit = {.kind = EXIT_MMIO,
                           .mmio = {.addr = gpa, .size = (uint8_t)size, .data = &val}};
    answer(in, &exit);
    return val;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
    struct interp *in = opaque;
    struct interp_cpu *c = in->current;
    if (lapic_claims(c->lapic, gpa)) {
        tell_apic_access(in);
        pthread_mutex_lock(in->a->lock);
        lapic_mmio_write(c->lapic, (unsigned)(gpa & (APIC_PAGE - 1)), size, val);
        pthread_mutex_unlock(in->a->lock);
        return;
    }
    struct vm_exit exit = {
        .kind = EXIT_MMIO,
        .mmio = {.addr = gpa, .size = (uint8_t)size, .write = true, .data = &val},
    };
    answer(in, &exit);
}

static uint64_t tsc(void *opaque)
{
    const struct interp *in = opaque;
    return clock_now_ns(in->a->clock);
}

static uint64_t utc_of_start(void *opaque)
{
    const struct interp *in = opaque;
    pthread_mutex_lock(in->a->lock);
    uint64_t ns = clock_wall_ns(in->a->clock) - clock_now_ns(in->a->clock);
    pthread_mutex_unlock(in->a->lock);
    return ns;
}

static bool tscs_agree(void *opaque)
{
    const struct interp *in = opaque;
    for (unsigned i = 1; i < in->ncpus; i++) {
        if (in->cpus[i]->cpu.msr.tsc_adjust != in->cpus[0]->cpu.msr.tsc_adjust)
            return false;
    }
    return true;
}

static void tsc_changed(void *opaque, unsigned cpu)
{
    struct interp *in = opaque;
    pthread_mutex_lock(in->a->lock);
    lapic_tsc_changed(in->cpus[cpu]->lapic);
    pthread_mutex_unlock(in->a->lock);
    for (unsigned i = 0; i < in->ncpus; i++) /* whether they agree is told to each */
        x86_pvclock_renew(&in->cpus[i]->cpu);
}

static int apic_msr_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val)
{
    struct interp *in = opaque;
    pthread_mutex_lock(in->a->lock);
    int rc = lapic_msr_read(in->cpus[cpu]->lapic, msr, val);
    pthread_mutex_unlock(in->a->lock);
    return rc;
}

static int apic_msr_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t val)
{
    struct interp *in = opaque;
    pthread_mutex_lock(in->a->lock);
    int rc = lapic_msr_write(in->cpus[cpu]->lapic, msr, val);
    pthread_mutex_unlock(in->a->lock);
    return rc;
}

static uint64_t cr8_read(void *opaque, unsigned cpu)
{
    struct interp *in = opaque;
    pthread_mutex_lock(in->a->lock);
    uint64_t val = lapic_cr8_read(in->cpus[cpu]->lapic);
    pthread_mutex_unlock(in->a->lock);
    return val;
}

static void cr8_write(void *opaque, unsigned cpu, uint64_t val)
{
    struct interp *in = opaque;
    pthread_mutex_lock(in->a->lock);
    lapic_cr8_write(in->cpus[cpu]->lapic, val);
    pthread_mutex_unlock(in->a->lock);
}

static bool page_has_code(void *opaque, gpa_t page)
{
    const struct interp *in = opaque;
    const struct accel_watch *watch = in->a->watch;
    return (watch && watch->stored) || icache_page_has_code(&in->icache, page);
}

static void code_written(void *opaque, gpa_t gpa, unsigned len)
{
    struct interp *in = opaque;
    const struct accel_watch *watch = in->a->watch;
    if (watch && watch->stored)
        watch->stored(watch->opaque, gpa, len);
    icache_written(&in->icache, gpa, len);
}

/* No exit with an address in it holds any more. */
static void void_exits(struct interp *in)
{
    in->mapping_generation++;
    memset(in->fetched, 0, sizeof in->fetched);
}

static void code_mapping_changed(void *opaque)
{
    void_exits(opaque);
}

/* Most pages that are flushed hold data. */
static void code_page_flushed(void *opaque, gva_t va)
{
    struct interp *in = opaque;
    unsigned h = interp_fetched_hash(va);
    if (in->fetched[h / 64] >> h % 64 & 1)
        void_exits(in);
}

/* The CPU waited for runs on this very thread. */
static void pause_cpu(void *opaque, unsigned cpu)
{
    struct interp *in = opaque;
    if (in->ncpus == 1)
        return;
    atomic_fetch_or(&in->cpus[cpu]->cpu.attention, ATT_YIELD);
    if (interp_is_counted(in))
        interp_notice(in->cpus[cpu]);
}

/*
 * A device wrote to RAM, on whatever thread holds the device lock. Decoded code of those bytes is
 * dropped by the engine's own thread.
 */
static void dma_wrote(void *opaque, gpa_t pa, uint64_t len)
{
    struct interp *in = opaque;
    bool code = false;
    for (gpa_t page = pa & ~0xfffull; page < pa + len && !code; page += 0x1000)
        code = icache_page_has_code(&in->icache, page);
    if (!code)
        return;
    pthread_mutex_lock(&in->dma_lock);
    if (in->ndma < DMA_QUEUE) {
        in->dma[in->ndma].pa = pa;
        in->dma[in->ndma++].len = len;
    } else {
        in->dma_overflow = true;
    }
    pthread_mutex_unlock(&in->dma_lock);
    for (unsigned i = 0; i < in->ncpus; i++)
        interp_wake(in->cpus[i], ATT_DMA);
}

void interp_wake(struct interp_cpu *c, unsigned attention)
{
    struct interp *in = c->in;
    atomic_fetch_or(&c->cpu.attention, attention);
    if (interp_is_counted(in)) {
        interp_notice(c);
        return;
    }
    pthread_mutex_lock(&in->sleep_lock);
    in->wake_flag = true;
    pthread_cond_signal(&in->woken);
    pthread_mutex_unlock(&in->sleep_lock);
}

/* --- what local APICs tell --- */

/*
 * While the controllers are made, the CPUs are not there yet; they look at their APIC when they
 * begin.
 */
static void tell_cpu(void *opaque, unsigned cpu, unsigned attention)
{
    struct interp *in = opaque;
    if (in->cpus[cpu])
        interp_wake(in->cpus[cpu], attention);
}

static void on_wake(void *opaque, unsigned cpu)
{
    tell_cpu(opaque, cpu, ATT_IRQ);
}

static void on_init(void *opaque, unsigned cpu)
{
    tell_cpu(opaque, cpu, ATT_INIT);
}

static void on_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    struct interp *in = opaque;
    atomic_store(&in->cpus[cpu]->sipi_vector, vector);
    tell_cpu(opaque, cpu, ATT_SIPI);
}

static void on_nmi(void *opaque, unsigned cpu)
{
    tell_cpu(opaque, cpu, ATT_NMI);
}

static uint64_t tsc_to_ns(void *opaque, unsigned cpu, uint64_t val)
{
    const struct interp *in = opaque;
    return val - in->cpus[cpu]->cpu.msr.tsc_adjust;
}

static uint64_t tsc_from_ns(void *opaque, unsigned cpu, uint64_t ns)
{
    const struct interp *in = opaque;
    return ns + in->cpus[cpu]->cpu.msr.tsc_adjust;
}

int interp_env_init(struct interp *in, struct err *err)
{
    struct accel *a = in->a;
    in->env = (struct x86_env){
        .gmem = a->gmem,
        .opaque = in,
        .io_read = io_read,
        .io_write = io_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .tsc = tsc,
        .utc_of_start = utc_of_start,
        .tscs_agree = tscs_agree,
        .tsc_changed = tsc_changed,
        .apic_msr_read = apic_msr_read,
        .apic_msr_write = apic_msr_write,
        .cr8_read = cr8_read,
        .cr8_write = cr8_write,
        .page_has_code = page_has_code,
        .code_written = code_written,
        .code_mapping_changed = code_mapping_changed,
        .code_page_flushed = code_page_flushed,
        .pause = pause_cpu,
        .phys_bits = CPU_PHYS_BITS,
        .ncpus = in->ncpus,
        .tsc_hz = TSC_HZ,
        .x2apic = true,
        .tsc_deadline = true,
    };
    struct cpu_features can;
    x86_emulated_features(&in->env, &can);
    int rc = accel_resolve_cpu(a, &can, &in->features, err);
    if (rc)
        return rc;
    in->env.features = a->watch ? a->watch->features : &in->features;
    const struct intc_soft_config cfg = {
        .pio = a->pio,
        .mmio = a->mmio,
        .clock = a->clock,
        .ncpus = in->ncpus,
        .phys_bits = in->env.phys_bits,
        .sink = {on_wake, on_init, on_sipi, on_nmi, in},
        .tsc = {tsc_to_ns, tsc_from_ns, in},
    };
    in->intc = intc_soft_create(&cfg, err);
    if (!in->intc)
        return -ENOMEM;
    a->intc = in->intc;
    a->gmem->wrote = dma_wrote;
    a->gmem->wrote_opaque = in;
    return 0;
}

void interp_env_fini(struct interp *in)
{
    in->a->gmem->wrote = NULL;
    if (in->intc) {
        struct device *dev = intc_soft_device(in->intc);
        dev->ops->fini(dev);
    }
    in->a->intc = NULL;
}
