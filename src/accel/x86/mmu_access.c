// SPDX-License-Identifier: MIT
//
// The slow paths of mem.h: whatever is not plain RAM within one page that level 1 knows. Both pages
// of a crossing access are checked before anything is read or written. Devices see accesses of up
// to 8 bytes. Data breakpoints (SDM vol. 3 section 17.2) are noticed here, since watched pages stay
// out of level 1.
#include <string.h>

#include "env.h"
#include "mmu_tlb.h"
#include "sys.h"

/* --- data breakpoints --- */

static bool overlap(gva_t a, uint64_t alen, gva_t b, uint64_t blen)
{
    return b - a < alen || a - b < blen;
}

/* Somebody, the guest or a debugger, watches some data. */
static inline bool watching(const struct x86_cpu *cpu)
{
    return __builtin_expect((cpu->dr[7] & DR7_ENABLES) || cpu->watch, 0);
}

static bool debugger_watches(const struct x86_cpu *cpu, gva_t page)
{
    for (unsigned n = 0; cpu->watch && n < cpu->watch->n; n++) {
        if (overlap(cpu->watch->range[n].at, cpu->watch->range[n].len, page, 0x1000))
            return true;
    }
    return false;
}

static void tell_debugger(struct x86_cpu *cpu, gva_t va, unsigned size, bool write)
{
    const struct x86_watch *w = cpu->watch;
    for (unsigned n = 0; w && n < w->n; n++) {
        bool kind = write ? w->range[n].writes : w->range[n].reads;
        if (kind && overlap(w->range[n].at, w->range[n].len, va, size))
            w->hit(cpu, n);
    }
}

static bool breakpoint_on(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (2 * n) & 3;
}

static unsigned breakpoint_kind(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (16 + 4 * n) & 3; /* 0 execution, 1 write, 2 I/O, 3 read or write */
}

static unsigned breakpoint_len(const struct x86_cpu *cpu, unsigned n)
{
    static const uint8_t len[] = {1, 2, 8, 4};
    return len[cpu->dr[7] >> (18 + 4 * n) & 3];
}

bool mmu_page_watched(const struct x86_cpu *cpu, gva_t va)
{
    if (!watching(cpu))
        return false;
    if (debugger_watches(cpu, va & ~0xfffull))
        return true;
    for (unsigned n = 0; n < 4; n++) {
        if (breakpoint_on(cpu, n) && breakpoint_kind(cpu, n) & 1 &&
            !((cpu->dr[n] ^ va) & cpu->address_mask & ~0xfffull))
            return true;
    }
    return false;
}

static void note_breakpoints(struct x86_cpu *cpu, gva_t va, unsigned size, bool write)
{
    for (unsigned n = 0; n < 4; n++) {
        unsigned kind = breakpoint_kind(cpu, n), len = breakpoint_len(cpu, n);
        gva_t at = cpu->dr[n] & ~(uint64_t)(len - 1);
        bool hit = at < va + size && va < at + len;
        if (breakpoint_on(cpu, n) && hit && (kind == 3 || (kind == 1 && write)))
            cpu->pending_db |= 1u << n;
    }
    tell_debugger(cpu, va, size, write);
}

/* --- places --- */

static _Noreturn void raise_page_fault(struct x86_cpu *cpu, gva_t va, uint32_t error)
{
    cpu->cr2 = va;
    x86_raise_error(cpu, X86_PF, error);
}

static bool canonical(const struct x86_cpu *cpu, gva_t va)
{
    unsigned shift = cpu->cr4 & CR4_LA57 ? 7 : 16;
    return (uint64_t)((int64_t)(va << shift) >> shift) == va;
}

/* Non-canonical addresses are #GP(0), in stack references #SS(0) (SDM vol. 1 section 3.3.7.1). */
static void check_canonical(struct x86_cpu *cpu, gva_t va, unsigned size, enum mmu_as as)
{
    if (__builtin_expect(canonical(cpu, va) && canonical(cpu, va + size - 1), 1))
        return;
    bool stack = as != MMU_IMPLICIT && !cpu->event_ext && x86_is_stack_reference(cpu, va);
    x86_raise_error(cpu, stack ? X86_SS : X86_GP, cpu->event_ext);
}

/* Behind 4 GiB comes 0 outside 64-bit mode; but what reaches higher (system tables, stacks of
 * handlers) is never cut. */
static gva_t wrap(const struct x86_cpu *cpu, gva_t from, gva_t va)
{
    return from >> 32 ? va : va & cpu->address_mask;
}

static gva_t system_address(const struct x86_cpu *cpu, gva_t va)
{
    return x86_long_mode(cpu) ? va : va & 0xffffffffu;
}

/* One access in one or two pages. */
struct span {
    struct place part[2];
    unsigned len[2]; /* len[1] 0: one page */
};

static void find(struct x86_cpu *cpu, gva_t va, enum mmu_access access, enum mmu_as as,
                 struct place *out)
{
    uint32_t error;
    if (!mmu_translate(cpu, va, access, as, out, &error))
        raise_page_fault(cpu, va, error);
}

static struct span span_of(struct x86_cpu *cpu, gva_t va, unsigned size, enum mmu_access access,
                           enum mmu_as as)
{
    struct span s;
    unsigned room = 0x1000 - (va & 0xfff);
    check_canonical(cpu, va, size, as);
    s.len[0] = size < room ? size : room;
    s.len[1] = size - s.len[0];
    find(cpu, va, access, as, &s.part[0]);
    if (s.len[1])
        find(cpu, wrap(cpu, va, va + room), access, as, &s.part[1]);
    return s;
}

static void check_alignment(struct x86_cpu *cpu, gva_t va, unsigned size, enum mmu_as as)
{
    if (__builtin_expect(mmu_checks_alignment(cpu), 0) && as == MMU_USER && size <= 8 &&
        !(size & (size - 1)) && va & (size - 1))
        x86_raise_error(cpu, X86_AC, 0);
}

/* --- reading --- */

/* Single accesses where the size has one: other processors must not see halves. */
static void copy(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 1:
        memcpy(to, from, 1);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, size);
    }
}

static void read_place(struct x86_cpu *cpu, const struct place *p, uint8_t *buf, unsigned size)
{
    if (p->host) {
        copy(buf, p->host, size);
        return;
    }
    for (unsigned done = 0; done < size; done += 8) {
        unsigned n = size - done < 8 ? size - done : 8;
        uint64_t v = cpu->env->mmio_read(cpu->env->opaque, p->gpa + done, n);
        memcpy(buf + done, &v, n);
    }
}

static void read_access(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size,
                        enum mmu_access access, enum mmu_as as)
{
    struct span s = span_of(cpu, va, size, access, as);
    check_alignment(cpu, va, size, as);
    read_place(cpu, &s.part[0], buf, s.len[0]);
    if (s.len[1])
        read_place(cpu, &s.part[1], (uint8_t *)buf + s.len[0], s.len[1]);
    if (watching(cpu))
        note_breakpoints(cpu, va, size, false);
}

void mmu_read(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size)
{
    read_access(cpu, va, buf, size, MMU_READ, mmu_as_now(cpu));
}

void mmu_read_for_write(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size)
{
    read_access(cpu, va, buf, size, MMU_WRITE, mmu_as_now(cpu));
}

void mmu_read_as(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size, enum mmu_as as)
{
    read_access(cpu, va, buf, size, MMU_READ, as);
}

void mmu_read_system(struct x86_cpu *cpu, gva_t va, void *buf, unsigned size)
{
    read_access(cpu, system_address(cpu, va), buf, size, MMU_READ, MMU_IMPLICIT);
}

/* --- writing --- */

static void write_place(struct x86_cpu *cpu, const struct place *p, const uint8_t *buf,
                        unsigned size)
{
    const struct x86_env *env = cpu->env;
    if (p->host) {
        copy(p->host, buf, size);
        if (env->page_has_code(env->opaque, p->gpa & ~0xfffull))
            env->code_written(env->opaque, p->gpa, size);
        return;
    }
    for (unsigned done = 0; done < size; done += 8) {
        unsigned n = size - done < 8 ? size - done : 8;
        uint64_t v = 0;
        memcpy(&v, buf + done, n);
        env->mmio_write(env->opaque, p->gpa + done, n, v);
    }
}

void mmu_write_as(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size, enum mmu_as as)
{
    struct span s = span_of(cpu, va, size, MMU_WRITE, as);
    check_alignment(cpu, va, size, as);
    write_place(cpu, &s.part[0], buf, s.len[0]);
    if (s.len[1])
        write_place(cpu, &s.part[1], (const uint8_t *)buf + s.len[0], s.len[1]);
    if (watching(cpu))
        note_breakpoints(cpu, va, size, true);
}

void mmu_write(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size)
{
    mmu_write_as(cpu, va, buf, size, mmu_as_now(cpu));
}

void mmu_write_system(struct x86_cpu *cpu, gva_t va, const void *buf, unsigned size)
{
    mmu_write_as(cpu, system_address(cpu, va), buf, size, MMU_IMPLICIT);
}

/* --- probes and spans --- */

void mmu_probe_as(struct x86_cpu *cpu, gva_t va, unsigned size, enum mmu_access access,
                  enum mmu_as as)
{
    struct place p;
    check_canonical(cpu, va, size, as);
    gva_t last_page = (va + size - 1) & ~0xfffull;
    find(cpu, va, access, as, &p);
    for (gva_t page = (va & ~0xfffull) + 0x1000; page <= last_page && page > va; page += 0x1000)
        find(cpu, wrap(cpu, va, page), access, as, &p);
    check_alignment(cpu, va, size, as);
}

void mmu_probe_write(struct x86_cpu *cpu, gva_t va, unsigned size)
{
    mmu_probe_as(cpu, va, size, MMU_WRITE, mmu_as_now(cpu));
}

void mmu_probe_read(struct x86_cpu *cpu, gva_t va, unsigned size)
{
    mmu_probe_as(cpu, va, size, MMU_READ, mmu_as_now(cpu));
}

uint8_t *mmu_span(struct x86_cpu *cpu, gva_t va, uint64_t *len, bool write)
{
    const struct tlb_entry *e = tlb_at(cpu, va);
    uint64_t room = 0x1000 - (va & 0xfff);
    if (*len > room)
        *len = room;
    if ((write ? e->write_tag : e->read_tag) == tlb_want(cpu, va, 1))
        return (uint8_t *)(va + e->addend);
    struct place p;
    uint32_t error;
    if (!canonical(cpu, va) || mmu_page_watched(cpu, va) || mmu_checks_alignment(cpu) ||
        !mmu_translate(cpu, va, write ? MMU_WRITE : MMU_READ, mmu_as_now(cpu), &p, &error))
        return NULL;
    if (write && p.host && cpu->env->page_has_code(cpu->env->opaque, p.gpa & ~0xfffull))
        return NULL;
    return p.host;
}

/* --- code --- */

static gpa_t gpa_of_host(const struct gmem *gm, const uint8_t *host)
{
    unsigned n = 0;
    while (n + 1 < gm->nslots &&
           (host < gm->slots[n].host || host >= gm->slots[n].host + gm->slots[n].size))
        n++;
    return gm->slots[n].base + (uint64_t)(host - gm->slots[n].host);
}

const uint8_t *mmu_fetch(struct x86_cpu *cpu, gva_t va, gpa_t *gpa)
{
    const struct tlb_entry *e = tlb_at(cpu, va);
    if (e->exec_tag == tlb_want(cpu, va, 1)) {
        const uint8_t *host = (const uint8_t *)(va + e->addend);
        *gpa = gpa_of_host(cpu->env->gmem, host);
        return host;
    }
    if (!canonical(cpu, va))
        x86_raise_error(cpu, X86_GP, 0);
    struct place p;
    find(cpu, va, MMU_EXEC, mmu_as_now(cpu), &p);
    *gpa = p.gpa;
    return p.host;
}
