// SPDX-License-Identifier: MIT
//
// Reset values and text form of the architectural CPU state. SDM vol. 3 table 10-1 (state after
// power-up, RESET, INIT). Memory types are as firmware would have left them: MTRRs on, all of
// memory write-back, since no firmware runs here.
#include "cpu_state.h"

#include <stdarg.h>
#include <stdio.h>

#define APIC_BASE_RESET 0xfee00000ull
#define APIC_BASE_BSP 0x100ull
#define APIC_BASE_ENABLE 0x800ull

static const struct cpu_seg reset_code = {
    .sel = 0xf000,
    .base = 0xffff0000,
    .limit = 0xffff,
    .type = 0xb,
    .s = true,
    .present = true,
};
static const struct cpu_seg reset_data = {.limit = 0xffff, .type = 0x3, .s = true, .present = true};
static const struct cpu_seg reset_ldt = {.limit = 0xffff, .type = 0x2, .present = true};
static const struct cpu_seg reset_tss = {.limit = 0xffff, .type = 0xb, .present = true};

void cpu_state_reset(struct cpu_state *cpu, bool bootstrap)
{
    *cpu = (struct cpu_state){
        .rip = 0xfff0,
        .rflags = 0x2,
        .gdt = {.limit = 0xffff},
        .idt = {.limit = 0xffff},
        .cr0 = 0x60000010, /* cache disabled, not write-through, x87 present */
        .apic_base = APIC_BASE_RESET | APIC_BASE_ENABLE | (bootstrap ? APIC_BASE_BSP : 0),
        .run = bootstrap ? CPU_RUNNING : CPU_WAIT_FOR_SIPI,
        .xcr0 = 1,
        .dr = {[6] = 0xffff0ff0, [7] = 0x400},
        .msr = {.pat = 0x0007040600070406, .misc_enable = 1, .mtrr_def_type = 0x806},
        .x87 = {.control = 0x40},
        .mxcsr = 0x1f80,
    };
    for (unsigned i = 0; i < SEGS; i++)
        cpu->seg[i] = reset_data;
    cpu->seg[SEG_CS] = reset_code;
    cpu->seg[SEG_LDTR] = reset_ldt;
    cpu->seg[SEG_TR] = reset_tss;
    cpu->gpr[RDX] =
        0x600; /* family 6, as every x86-64 Intel CPU says; the engine's CPUID knows better */
}

static const char *const run_names[] = {
    [CPU_RUNNING] = "running",
    [CPU_HALTED] = "halted",
    [CPU_WAIT_FOR_SIPI] = "waiting for SIPI",
};
static const char *const gpr_names[GPRS] = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
    "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15",
};
static const char *const seg_names[SEGS] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};

struct text {
    char *buf;
    unsigned long len, used;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
    if (t->used >= t->len)
        return;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->buf + t->used, t->len - t->used, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->used += (unsigned long)n;
}

static void put_seg(struct text *t, const char *name, const struct cpu_seg *s)
{
    if (s->unusable) {
        put(t, "%-3s %04x unusable\n", name, s->sel);
        return;
    }
    put(t, "%-3s %04x base %016llx limit %08x type %x%s dpl %u%s%s%s%s%s\n", name, s->sel,
        (unsigned long long)s->base, s->limit, s->type, s->s ? "" : " system", s->dpl,
        s->present ? "" : " not-present", s->l ? " 64-bit" : "", s->db ? " 32-bit" : "",
        s->g ? " pages" : "", s->avl ? " avl" : "");
}

void cpu_state_format(const struct cpu_state *cpu, char *buf, unsigned long len)
{
    struct text t = {.buf = buf, .len = len};
    if (len)
        buf[0] = '\0';

    for (unsigned i = 0; i < GPRS; i++)
        put(&t, "%s %016llx%c", gpr_names[i], (unsigned long long)cpu->gpr[i],
            i % 4 == 3 ? '\n' : ' ');
    put(&t, "RIP %016llx RFLAGS %08llx %s\n", (unsigned long long)cpu->rip,
        (unsigned long long)cpu->rflags,
        (unsigned)cpu->run <= CPU_WAIT_FOR_SIPI ? run_names[cpu->run] : "?");
    for (unsigned i = 0; i < SEGS; i++)
        put_seg(&t, seg_names[i], &cpu->seg[i]);
    put(&t, "GDT %016llx limit %04x  IDT %016llx limit %04x\n", (unsigned long long)cpu->gdt.base,
        cpu->gdt.limit, (unsigned long long)cpu->idt.base, cpu->idt.limit);
    put(&t, "CR0 %08llx CR2 %016llx CR3 %016llx CR4 %08llx CR8 %llx\n",
        (unsigned long long)cpu->cr0, (unsigned long long)cpu->cr2, (unsigned long long)cpu->cr3,
        (unsigned long long)cpu->cr4, (unsigned long long)cpu->cr8);
    put(&t, "EFER %08llx APIC_BASE %08llx\n", (unsigned long long)cpu->efer,
        (unsigned long long)cpu->apic_base);
}
