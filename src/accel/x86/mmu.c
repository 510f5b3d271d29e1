// SPDX-License-Identifier: MIT
//
// Linear addresses to host memory: the two levels of translation caches described in mmu.h, the
// slow paths of mem.h, and the flushes that SDM vol. 3 section 4.10.4 and APM vol. 2 section 5.5
// ask for. Page walks are in mmu_walk.c, accesses in mmu_access.c.
#include "mmu_tlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"

#define NO_TAG (~0ull)
#define CONTEXTS 0xfffu /* numbers 0 to 0xffe: with 0xfff a tag could be NO_TAG */

/* --- contexts and address-space ids --- */

static void forget_contexts(struct mmu *m)
{
    for (unsigned n = 0; n < SPACES; n++)
        m->space[n].has_contexts = false;
}

static void level1_clear(struct mmu *m)
{
    memset(m->level1, 0xff, sizeof m->level1);
    memset(m->written, 0, sizeof m->written);
}

static void take_contexts(struct x86_cpu *cpu, struct space *s)
{
    struct mmu *m = cpu->mmu;
    if (m->next_context + (unsigned)VIEWS > CONTEXTS) {
        level1_clear(m);
        forget_contexts(m);
        m->next_context = 0;
        m->context_wraps++;
        cpu->env->code_mapping_changed(cpu->env->opaque);
    }
    s->first_context = m->next_context;
    s->has_contexts = true;
    m->next_context = (uint16_t)(m->next_context + VIEWS);
}

static enum view view_now(const struct x86_cpu *cpu)
{
    if (cpu->cpl != 3)
        return VIEW_SUPERVISOR;
    return mmu_checks_alignment(cpu) ? VIEW_USER_ALIGNED : VIEW_USER;
}

void mmu_end_user_access(struct x86_cpu *cpu)
{
    struct mmu *m = cpu->mmu;
    while (m->nlent) {
        struct tlb_entry *e = &m->level1[m->lent[--m->nlent]];
        e->read_tag = e->write_tag = NO_TAG;
    }
}

void mmu_use_context(struct x86_cpu *cpu)
{
    mmu_end_user_access(cpu);
    struct space *s = &cpu->mmu->space[cpu->mmu->current];
    if (__builtin_expect(!s->has_contexts, 0))
        take_contexts(cpu, s);
    cpu->tlb_context = s->first_context + (unsigned)view_now(cpu);
}

static uint32_t new_id(struct mmu *m)
{
    if (++m->last_id == 0) { /* after 2^32 flushes: nothing may be left of the first ones */
        memset(m->level2, 0, sizeof m->level2);
        for (unsigned n = 0; n < SPACES; n++)
            m->space[n].id = ++m->last_id;
        m->global_id = ++m->last_id;
        ++m->last_id;
    }
    return m->last_id;
}

static void renew_space(struct mmu *m, struct space *s)
{
    s->id = new_id(m);
    s->has_contexts = false;
}

static struct space *find_space(struct mmu *m, unsigned pcid)
{
    for (unsigned n = 0; n < SPACES; n++) {
        if (m->space[n].used && m->space[n].pcid == pcid)
            return &m->space[n];
    }
    return NULL;
}

/* An unused slot, or the one that was current longest ago: forgetting an address space is always
 * allowed. */
static struct space *claim_space(struct mmu *m, unsigned pcid)
{
    struct space *best = &m->space[0];
    for (unsigned n = 0; n < SPACES; n++) {
        struct space *s = &m->space[n];
        if (!s->used) {
            best = s;
            break;
        }
        if (s->last_use < best->last_use)
            best = s;
    }
    best->used = true;
    best->pcid = (uint16_t)pcid;
    renew_space(m, best);
    return best;
}

/* --- flushes --- */

void mmu_flush_rights(struct x86_cpu *cpu)
{
    forget_contexts(cpu->mmu);
    mmu_use_context(cpu);
}

void mmu_flush_not_global(struct x86_cpu *cpu)
{
    struct mmu *m = cpu->mmu;
    for (unsigned n = 0; n < SPACES; n++) {
        m->space[n].used = n == m->current;
        renew_space(m, &m->space[n]);
    }
    mmu_use_context(cpu);
}

void mmu_flush_all(struct x86_cpu *cpu)
{
    struct mmu *m = cpu->mmu;
    m->global_id = new_id(m);
    memset(m->large_4m, 0, sizeof m->large_4m);
    memset(m->large_1g, 0, sizeof m->large_1g);
    mmu_flush_not_global(cpu);
}

void mmu_switch_space(struct x86_cpu *cpu, unsigned pcid, bool flush)
{
    struct mmu *m = cpu->mmu;
    m->space[m->current].last_use = ++m->switches;
    struct space *s = find_space(m, pcid);
    if (!s)
        s = claim_space(m, pcid);
    else if (flush)
        renew_space(m, s);
    m->current = (unsigned)(s - m->space);
    mmu_use_context(cpu);
}

void mmu_flush_pcid(struct x86_cpu *cpu, unsigned pcid)
{
    struct mmu *m = cpu->mmu;
    struct space *s = find_space(m, pcid);
    if (s)
        renew_space(m, s);
    mmu_use_context(cpu);
}

static unsigned large_hash(uint64_t n)
{
    return (unsigned)(n ^ n >> LARGE_BITS) & ((1u << LARGE_BITS) - 1);
}

static bool maybe_large(const struct mmu *m, gva_t va)
{
    unsigned a = large_hash(va >> 22), b = large_hash(va >> 30);
    return (m->large_4m[a / 64] >> a % 64 | m->large_1g[b / 64] >> b % 64) & 1;
}

static void note_large(struct mmu *m, gva_t va, uint32_t rights)
{
    unsigned a = large_hash(va >> 22), b = large_hash(va >> 30);
    if (rights & XLAT_2M)
        m->large_4m[a / 64] |= 1ull << a % 64;
    if (rights & XLAT_1G)
        m->large_1g[b / 64] |= 1ull << b % 64;
}

static struct level2_entry *level2_set(struct mmu *m, gva_t va)
{
    uint64_t n = va >> 12;
    return m->level2[(n ^ n >> LEVEL2_BITS) & ((1u << LEVEL2_BITS) - 1)];
}

static void drop_page(struct x86_cpu *cpu, gva_t va, uint32_t id, uint32_t or_id)
{
    struct tlb_entry *e = tlb_at(cpu, va); /* the same place in all contexts */
    e->read_tag = e->write_tag = e->exec_tag = NO_TAG;
    struct level2_entry *set = level2_set(cpu->mmu, va);
    for (unsigned n = 0; n < LEVEL2_WAYS; n++) {
        if (set[n].page == (va & ~0xfffull) && (set[n].id == id || set[n].id == or_id))
            set[n].id = 0;
    }
    if (cpu->env->code_page_flushed)
        cpu->env->code_page_flushed(cpu->env->opaque, va);
    else
        cpu->env->code_mapping_changed(cpu->env->opaque);
}

void mmu_flush_page(struct x86_cpu *cpu, gva_t va)
{
    struct mmu *m = cpu->mmu;
    /* All of a large page must go; its pieces lie anywhere. */
    if (maybe_large(m, va))
        mmu_flush_all(cpu);
    else
        drop_page(cpu, va, m->space[m->current].id, m->global_id);
}

void mmu_flush_pcid_page(struct x86_cpu *cpu, unsigned pcid, gva_t va)
{
    struct mmu *m = cpu->mmu;
    struct space *s = find_space(m, pcid);
    if (!s)
        return;
    if (maybe_large(m, va))
        mmu_flush_pcid(cpu, pcid);
    else
        drop_page(cpu, va, s->id, s->id);
}

void mmu_protect_page(struct x86_cpu *cpu, gpa_t page)
{
    struct mmu *m = cpu->mmu;
    unsigned h = large_hash(page >> 12);
    if (!(m->written[h / 64] >> h % 64 & 1))
        return;
    uintptr_t host = (uintptr_t)gmem_ptr(cpu->env->gmem, page, 0x1000);
    for (unsigned n = 0; n < TLB_SIZE; n++) {
        struct tlb_entry *e = &m->level1[n];
        if (e->write_tag != NO_TAG && (e->write_tag & ~0xfffull) + e->addend == host)
            e->write_tag = NO_TAG;
    }
}

/* --- translation --- */

static struct level2_entry *level2_find(struct mmu *m, gva_t va)
{
    struct level2_entry *set = level2_set(m, va);
    uint32_t id = m->space[m->current].id;
    for (unsigned n = 0; n < LEVEL2_WAYS; n++) {
        if (set[n].page == (va & ~0xfffull) && (set[n].id == id || set[n].id == m->global_id))
            return &set[n];
    }
    return NULL;
}

/* Of a flush or an address space that is gone? */
static bool is_dead(const struct mmu *m, const struct level2_entry *e)
{
    return e->id != m->global_id && e->id != m->space[e->space].id;
}

static struct level2_entry *level2_victim(struct mmu *m, gva_t va)
{
    struct level2_entry *set = level2_set(m, va);
    for (unsigned n = 0; n < LEVEL2_WAYS; n++) {
        if (is_dead(m, &set[n]))
            return &set[n];
    }
    return &set[m->victim++ % LEVEL2_WAYS];
}

/* From a page walk into level 2. NULL: page fault. */
static struct level2_entry *walk_and_keep(struct x86_cpu *cpu, struct level2_entry *e, gva_t va,
                                          enum mmu_access access, enum mmu_as as, uint32_t *error)
{
    struct mmu *m = cpu->mmu;
    struct xlat x;
    if (!mmu_walk(cpu, m->pdpte, va, access, as, true, &x, error))
        return NULL;
    if (!e)
        e = level2_victim(m, va);
    note_large(m, va, x.rights);
    *e = (struct level2_entry){
        .page = va & ~0xfffull,
        .id = x.rights & XLAT_GLOBAL ? m->global_id : m->space[m->current].id,
        .space = (uint8_t)m->current,
        .rights = (uint16_t)x.rights,
        .gpa = x.page,
        .host = gmem_ptr(cpu->env->gmem, x.page, 0x1000),
    };
    return e;
}

/* Into level 1, as far as its rules (mmu.h) let. */
static void level1_fill(struct x86_cpu *cpu, gva_t va, const struct level2_entry *from,
                        enum mmu_as as)
{
    if (!from->host || as != mmu_as_now(cpu) || mmu_page_watched(cpu, va))
        return;
    struct mmu *m = cpu->mmu;
    bool lend = as == MMU_SUPERVISOR && from->rights & XLAT_USER && cpu->cr4 & CR4_SMAP &&
                cpu->rflags & FL_AC;
    bool data = view_now(cpu) != VIEW_USER_ALIGNED && !(lend && m->nlent == LENT_MAX);
    if (lend && data)
        m->lent[m->nlent++] = (uint16_t)(tlb_at(cpu, va) - m->level1);
    uint64_t tag = (va & ~0xfffull) ^ cpu->tlb_context;
    bool write = data && from->rights & XLAT_DIRTY &&
                 mmu_allowed(cpu, from->rights, MMU_WRITE, as) &&
                 !cpu->env->page_has_code(cpu->env->opaque, from->gpa);
    *tlb_at(cpu, va) = (struct tlb_entry){
        .read_tag = data && mmu_allowed(cpu, from->rights, MMU_READ, as) ? tag : NO_TAG,
        .write_tag = write ? tag : NO_TAG,
        .exec_tag = mmu_allowed(cpu, from->rights, MMU_EXEC, as) ? tag : NO_TAG,
        .addend = (uintptr_t)from->host - (va & ~0xfffull),
    };
    if (write) {
        unsigned h = large_hash(from->gpa >> 12);
        m->written[h / 64] |= 1ull << h % 64;
    }
}

bool mmu_translate(struct x86_cpu *cpu, gva_t va, enum mmu_access access, enum mmu_as as,
                   struct place *out, uint32_t *error)
{
    struct level2_entry flat, *e;
    if (cpu->cr0 & CR0_PG) {
        e = level2_find(cpu->mmu, va);
        /* A fault is never taken from the cache: the tables may allow by now what they did not
         * before. */
        if (!e || (access == MMU_WRITE && !(e->rights & XLAT_DIRTY)) ||
            !mmu_allowed(cpu, e->rights, access, as))
            e = walk_and_keep(cpu, e, va, access, as, error);
        if (!e)
            return false;
    } else {
        flat = (struct level2_entry){.gpa = va & ~0xfffull,
                                     .rights = XLAT_WRITE | XLAT_DIRTY,
                                     .host = gmem_ptr(cpu->env->gmem, va & ~0xfffull, 0x1000)};
        if (cpu->cpl == 3)
            flat.rights |= XLAT_USER;
        e = &flat;
    }
    level1_fill(cpu, va, e, as);
    unsigned off = va & 0xfff;
    *out = (struct place){.host = e->host ? e->host + off : NULL, .gpa = e->gpa + off};
    return true;
}

bool mmu_peek(struct x86_cpu *cpu, gva_t va, gpa_t *gpa)
{
    struct xlat x;
    uint32_t error;
    va &= cpu->address_mask;
    if (!(cpu->cr0 & CR0_PG))
        x.page = va & ~0xfffull;
    else if (!mmu_walk(cpu, cpu->mmu->pdpte, va, MMU_READ, MMU_SUPERVISOR, false, &x, &error))
        return false;
    *gpa = x.page | (va & 0xfff);
    return true;
}

bool mmu_load_pdptes(struct x86_cpu *cpu, uint64_t cr3)
{
    uint64_t pdpte[4];
    uint64_t reserved = 0x1e6 | ~((1ull << cpu->env->phys_bits) - 1);
    const uint8_t *p = gmem_ptr(cpu->env->gmem, cr3 & 0xffffffe0u, sizeof pdpte);
    if (p)
        memcpy(pdpte, p, sizeof pdpte);
    else
        memset(pdpte, 0xff, sizeof pdpte);
    for (unsigned n = 0; n < 4; n++) {
        if (pdpte[n] & 1 && pdpte[n] & reserved)
            return false;
    }
    memcpy(cpu->mmu->pdpte, pdpte, sizeof pdpte);
    return true;
}

/* --- life --- */

int mmu_init(struct x86_cpu *cpu, struct err *err)
{
    struct mmu *m = aligned_alloc(64, (sizeof *m + 63) & ~63ull);
    if (!m)
        return err_set(err, ENOMEM, "vCPU %u: no memory for its translation caches", cpu->id);
    memset(m, 0, sizeof *m);
    level1_clear(m);
    m->space[0].used = true;
    m->space[0].id = new_id(m);
    m->global_id = new_id(m);
    cpu->mmu = m;
    cpu->tlb = m->level1;
    mmu_use_context(cpu);
    return 0;
}

void mmu_fini(struct x86_cpu *cpu)
{
    free(cpu->mmu);
    cpu->mmu = NULL;
    cpu->tlb = NULL;
}

uint64_t mmu_context_wraps(const struct x86_cpu *cpu)
{
    return cpu->mmu->context_wraps;
}
