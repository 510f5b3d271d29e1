// SPDX-License-Identifier: MIT
//
// See cpu_rig.h.
#include "cpu_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/x86/core.h"
#include "src/accel/x86/sys.h"
#include "src/accel/x86/vec.h"

static uint64_t port_read(void *opaque, uint16_t port, unsigned size)
{
    struct cpu_rig *rig = opaque;
    if (rig->n_io < RIG_IO_LOG) {
        rig->io[rig->n_io].write = false;
        rig->io[rig->n_io].port = port;
        rig->io[rig->n_io].size = size;
        rig->io[rig->n_io++].val = rig->io_answer;
    }
    return rig->io_answer;
}

static void port_write(void *opaque, uint16_t port, unsigned size, uint64_t val)
{
    struct cpu_rig *rig = opaque;
    if (rig->n_io == RIG_IO_LOG)
        return;
    rig->io[rig->n_io].write = true;
    rig->io[rig->n_io].port = port;
    rig->io[rig->n_io].size = size;
    rig->io[rig->n_io++].val = val;
}

static uint64_t no_device_read(void *opaque, gpa_t gpa, unsigned size)
{
    (void)opaque, (void)gpa, (void)size;
    return ~0ull;
}

static void no_device_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
    (void)opaque, (void)gpa, (void)size, (void)val;
}

static uint64_t no_tsc(void *opaque)
{
    (void)opaque;
    return 0;
}

/* No local APIC. */
static int no_apic_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val)
{
    (void)opaque, (void)cpu, (void)msr, (void)val;
    return -1;
}

static int no_apic_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t val)
{
    (void)opaque, (void)cpu, (void)msr, (void)val;
    return -1;
}

static uint64_t no_cr8_read(void *opaque, unsigned cpu)
{
    (void)opaque, (void)cpu;
    return 0;
}

static void no_cr8_write(void *opaque, unsigned cpu, uint64_t val)
{
    (void)opaque, (void)cpu, (void)val;
}

static bool no_code(void *opaque, gpa_t page)
{
    (void)opaque, (void)page;
    return false;
}

static void code_written(void *opaque, gpa_t gpa, unsigned len)
{
    (void)opaque, (void)gpa, (void)len;
}

static void mapping_changed(void *opaque)
{
    (void)opaque;
}

void cpu_rig_init(struct cpu_rig *rig, uint64_t low_size, uint64_t high_base,
                  uint64_t high_size)
{
    struct err err = {0};
    memset(rig, 0, sizeof *rig);
    rig->env = (struct x86_env){.gmem = &rig->gmem,
                                .opaque = rig,
                                .io_read = port_read,
                                .io_write = port_write,
                                .mmio_read = no_device_read,
                                .mmio_write = no_device_write,
                                .tsc = no_tsc,
                                .utc_of_start = no_tsc,
                                .apic_msr_read = no_apic_read,
                                .apic_msr_write = no_apic_write,
                                .cr8_read = no_cr8_read,
                                .cr8_write = no_cr8_write,
                                .page_has_code = no_code,
                                .code_written = code_written,
                                .code_mapping_changed = mapping_changed,
                                .phys_bits = 40,
                                .ncpus = 1,
                                .tsc_hz = 1000000000};
    if (gmem_init(&rig->gmem, low_size + high_size, low_size, high_base, &err) < 0 ||
        x86_cpu_init(&rig->cpu, &rig->env, 0, &err) < 0) {
        fprintf(stderr, "cpu_rig: %s\n", err.msg);
        exit(1);
    }
}

void cpu_rig_fini(struct cpu_rig *rig)
{
    vec_fp_release(&rig->cpu);
    x86_cpu_fini(&rig->cpu);
    gmem_fini(&rig->gmem);
}

static struct cpu_seg flat_segment(enum x86_mode mode, bool code, uint8_t dpl)
{
    struct cpu_seg seg = {.type = code ? 11 : 3, .dpl = dpl, .s = true, .present = true};
    seg.limit = mode == X86_MODE16 ? 0xffff : 0xffffffff;
    seg.g = mode != X86_MODE16;
    seg.l = code && mode == X86_MODE64;
    seg.db = mode == X86_MODE32 || (mode == X86_MODE64 && !code);
    return seg;
}

void cpu_rig_mode(struct cpu_rig *rig, enum x86_mode mode)
{
    struct x86_cpu *cpu = &rig->cpu;
    vec_fp_release(cpu);
    x86_reset(cpu, true);
    memset(cpu->gpr, 0, sizeof cpu->gpr);
    cpu->cpl = mode == X86_MODE64 ? 3 : 0;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        cpu->seg[n] = flat_segment(mode, n == SEG_CS, cpu->cpl);
        cpu->seg[n].sel = mode == X86_MODE16 ? 0 : (uint16_t)(8 * (n + 1) | cpu->cpl);
    }
    cpu->cr0 = CR0_ET | CR0_NE | CR0_MP | (mode == X86_MODE16 ? 0 : CR0_PE);
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->xcr0 = 7;
    cpu->efer = mode == X86_MODE64 ? EFER_LME | EFER_LMA : 0;
    cpu->rflags = 2;
    flags_put(cpu, 0);
    x86_update_mode(cpu);
}

static enum rig_end run_steps(struct cpu_rig *rig, unsigned limit)
{
    struct x86_cpu *cpu = &rig->cpu;
    for (unsigned steps = 0; steps < limit; steps++) {
        uint64_t at = cpu->next_rip - rig->code_base;
        if (at >= rig->code_len)
            return RIG_DONE;
        uint8_t bytes[15] = {0};
        size_t left = rig->code_len - at;
        memcpy(bytes, rig->code + at, left < sizeof bytes ? left : sizeof bytes);
        cpu->rip = cpu->next_rip;
        x86_decode(&rig->insn, bytes, sizeof bytes, cpu->mode);
        if (rig->before && !rig->before(rig, rig->opaque))
            return RIG_STOPPED;
        cpu->next_rip = cpu->gpr[REG_RIP] = cpu->rip + rig->insn.len;
        rig->insn.op(cpu, &rig->insn);
    }
    return RIG_RUNAWAY;
}

enum rig_end cpu_rig_run(struct cpu_rig *rig, unsigned limit)
{
    rig->cpu.exception.pending = false;
    volatile enum rig_end end = RIG_FAULT;
    if (!setjmp(rig->cpu.fault_landing))
        end = run_steps(rig, limit);
    vec_fp_release(&rig->cpu);
    return end;
}

enum rig_end cpu_rig_exec(struct cpu_rig *rig, const uint8_t *code, size_t len)
{
    rig->code = code;
    rig->code_len = len;
    rig->code_base = 0x8000;
    rig->cpu.next_rip = rig->code_base;
    return cpu_rig_run(rig, 100000);
}
