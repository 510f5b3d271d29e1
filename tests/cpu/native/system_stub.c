// SPDX-License-Identifier: MIT
//
// The least system part under which user-mode operations run: linear addresses are physical ones,
// RAM is all there is, anything else is a page fault. So the comparison with the host CPU tests
// operations alone, not the MMU.
#include <stdlib.h>
#include <string.h>

#include "src/accel/x86/core.h"
#include "src/accel/x86/env.h"
#include "src/accel/x86/mem.h"
#include "src/accel/x86/ops.h"
#include "src/accel/x86/sys.h"
#include "src/accel/x86/vec.h"

/* System instructions are no part of this comparison. */
#define NOT_HERE(name)                                                                             \
    void op_##name(struct x86_cpu *cpu, const struct insn *i)                                      \
    {                                                                                              \
        (void)i;                                                                                   \
        x86_raise(cpu, X86_UD);                                                                    \
    }
OPS_SYS(NOT_HERE)

/* --- exceptions --- */

static _Noreturn void raise(struct x86_cpu *cpu, unsigned vector, bool has_error, uint32_t error)
{
    cpu->exception.pending = true;
    cpu->exception.vector = (uint8_t)vector;
    cpu->exception.has_error = has_error;
    cpu->exception.error = error;
    longjmp(cpu->fault_landing, 1);
}

void x86_raise(struct x86_cpu *cpu, unsigned vector)
{
    raise(cpu, vector, false, 0);
}

void x86_raise_error(struct x86_cpu *cpu, unsigned vector, uint32_t error)
{
    raise(cpu, vector, true, error);
}

/* --- memory --- */

static bool is_canonical(gva_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* Every byte is RAM, or it faults at the first that is not. Fills the TLB with what it found. */
static void need_ram(struct x86_cpu *cpu, gva_t va, unsigned size, bool write)
{
    if (!is_canonical(va) || !is_canonical(va + size - 1))
        raise(cpu, X86_GP, true, 0);
    for (gva_t at = va; at - va < size; at = (at | 0xfff) + 1) {
        gva_t page = at & ~0xfffull;
        uint8_t *host = gmem_ptr(cpu->env->gmem, page, 4096);
        if (!host) {
            cpu->cr2 = at;
            raise(cpu, X86_PF, true, (write ? 2u : 0u) | (cpu->cpl == 3 ? 4u : 0u));
        }
        struct tlb_entry *e = tlb_at(cpu, page);
        e->read_tag = e->write_tag = page ^ cpu->tlb_context;
        e->addend = (uintptr_t)host - page;
    }
}

void mmu_read(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size)
{
    need_ram(cpu, va, size, false);
    gmem_read(cpu->env->gmem, va, buf, size);
}

void mmu_read_for_write(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size)
{
    need_ram(cpu, va, size, true);
    gmem_read(cpu->env->gmem, va, buf, size);
}

void mmu_write(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size)
{
    need_ram(cpu, va, size, true);
    gmem_write(cpu->env->gmem, va, buf, size);
}

void mmu_probe_read(struct x86_cpu *cpu, gva_t va, unsigned size)
{
    need_ram(cpu, va, size, false);
}

void mmu_probe_write(struct x86_cpu *cpu, gva_t va, unsigned size)
{
    need_ram(cpu, va, size, true);
}

uint8_t *mmu_span(struct x86_cpu *cpu, gva_t va, uint64_t *len, bool write)
{
    (void)write;
    uint64_t room = 0x1000 - (va & 0xfff);
    if (*len > room)
        *len = room;
    return *len ? gmem_ptr(cpu->env->gmem, va, *len) : NULL;
}

/* --- segments: flat, or limits alone --- */

void seg_check(struct x86_cpu *cpu, unsigned seg, uint64_t off, unsigned size, bool write)
{
    (void)write;
    if (off + size - 1 > cpu->seg[seg].limit)
        raise(cpu, seg == SEG_SS ? X86_SS : X86_GP, true, 0);
}

void x86_update_mode(struct x86_cpu *cpu)
{
    bool wide = (cpu->efer & EFER_LMA) && cpu->seg[SEG_CS].l;
    cpu->mode = wide ? X86_MODE64 : cpu->seg[SEG_CS].db ? X86_MODE32 : X86_MODE16;
    cpu->address_mask = wide ? ~0ull : 0xffffffff;
    cpu->tlb_context = 0;
    cpu->flat_segs = 0;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        cpu->seg_base[n] = wide && n < SEG_FS ? 0 : cpu->seg[n].base;
        if (wide || cpu->seg[n].limit == 0xffffffff)
            cpu->flat_segs |= 1u << n;
    }
    vec_update_access(cpu);
}

void io_check(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    (void)port, (void)size;
    if (cpu->cpl > (cpu->rflags >> 12 & 3))
        raise(cpu, X86_GP, true, 0);
}

/* --- life --- */

int x86_cpu_init(struct x86_cpu *cpu, struct x86_env *env, unsigned id, struct err *err)
{
    (void)err;
    memset(cpu, 0, sizeof *cpu);
    cpu->env = env;
    cpu->id = id;
    cpu->tlb = malloc(TLB_SIZE * sizeof *cpu->tlb);
    if (!cpu->tlb)
        return -1;
    memset(cpu->tlb, 0xff, TLB_SIZE * sizeof *cpu->tlb);
    return 0;
}

void x86_cpu_fini(struct x86_cpu *cpu)
{
    free(cpu->tlb);
}

void x86_reset(struct x86_cpu *cpu, bool bootstrap)
{
    (void)bootstrap;
    cpu->x87 = (struct x87_state){.control = 0x37f, .empty = 0xff};
    memset(cpu->ymm, 0, sizeof cpu->ymm);
    vec_mxcsr_set(cpu, MXCSR_DEFAULT);
}
