// SPDX-License-Identifier: MIT
//
// MOVS, STOS, LODS, SCAS, CMPS with REP, REPE, REPNE. SDM vol. 2 and vol. 1 section 7.3.9. Repeated
// MOVS and STOS upwards go by spans of plain RAM inside one page where they can, everything else
// element by element. INS and OUTS are in op_io.c.
#include <string.h>

#include "ops.h"
#include "rep.h"

bool rep_pause(struct x86_cpu *cpu)
{
    if (cpu->env->pause)
        cpu->env->pause(cpu->env->opaque, cpu->id);
    return true;
}

/* --- spans: upwards, flat segments, within the address size and a page --- */

/* Elements that can be done at once from offset `off` of a flat segment, at most `count`; *host is
 * where they lie. */
static uint64_t span_elements(struct x86_cpu *cpu, const struct insn *i, unsigned seg,
                              uint64_t off, uint64_t count, bool write, uint8_t **host)
{
    off &= size_mask(i->adsize);
    uint64_t room = size_mask(i->adsize) - off, len = room < 0x1000 ? room : 0x1000;
    *host = mmu_span(cpu, (cpu->seg_base[seg] + off) & cpu->address_mask, &len, write);
    uint64_t fit = *host ? len / i->opsize : 0;
    return fit < count ? fit : count;
}

static bool segment_is_flat(const struct x86_cpu *cpu, unsigned seg)
{
    return cpu->flat_segs >> seg & 1;
}

static bool span_worthwhile(const struct x86_cpu *cpu, const struct insn *i)
{
    return rep_prefixed(i) && !(cpu->rflags & (FL_DF | FL_TF)) && segment_is_flat(cpu, SEG_ES) &&
           rep_count(cpu, i) >= 4;
}

/*
 * Copy as a loop over elements upwards would. Where the destination begins inside the source, what
 * was written is read again, so the first `distance` bytes repeat; each round then copies all there
 * is of that pattern.
 */
static void copy_upwards(uint8_t *dst, const uint8_t *src, uint64_t len, unsigned size)
{
    uintptr_t distance = (uintptr_t)dst - (uintptr_t)src;
    if (distance >= len) { /* disjoint, or the destination is below */
        memmove(dst, src, len);
        return;
    }
    if (distance < size) { /* elements overlap themselves */
        for (uint64_t n = 0; n < len; n += size)
            memmove(dst + n, src + n, size);
        return;
    }
    for (uint64_t done = 0; done < len;) {
        uint64_t part = distance + done < len - done ? distance + done : len - done;
        memcpy(dst + done, src, part);
        done += part;
    }
}

/* Elements moved, 0 when it must go element by element. */
static uint64_t movs_span(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t *src, *dst;
    if (!span_worthwhile(cpu, i) || !segment_is_flat(cpu, i->seg))
        return 0;
    uint64_t n = span_elements(cpu, i, i->seg, cpu->gpr[RSI], rep_count(cpu, i), false, &src);
    if (n)
        n = span_elements(cpu, i, SEG_ES, cpu->gpr[RDI], n, true, &dst);
    if (n) {
        copy_upwards(dst, src, n * i->opsize, i->opsize);
        string_advance(cpu, i, RSI, n * i->opsize);
        string_advance(cpu, i, RDI, n * i->opsize);
    }
    return n;
}

ALWAYS_INLINE void fill(uint8_t *dst, uint64_t v, uint64_t n, unsigned size)
{
    void *to = dst;
    if (size == 1)
        memset(dst, (uint8_t)v, n);
    else if (size == 2)
        __asm__ volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(v) : "memory");
    else if (size == 4)
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(v) : "memory");
    else
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(v) : "memory");
}

ALWAYS_INLINE uint64_t stos_span(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    uint8_t *dst;
    if (!span_worthwhile(cpu, i))
        return 0;
    uint64_t n = span_elements(cpu, i, SEG_ES, cpu->gpr[RDI], rep_count(cpu, i), true, &dst);
    if (n) {
        fill(dst, cpu->gpr[RAX], n, size);
        string_advance(cpu, i, RDI, n * size);
    }
    return n;
}

/* --- the instructions --- */

ALWAYS_INLINE void movs(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!rep_begin(cpu, i))
        return;
    uint64_t done;
    do {
        done = movs_span(cpu, i);
        if (done)
            continue;
        uint64_t v = mem_read(cpu, string_source(cpu, i, size), size);
        mem_write(cpu, string_dest(cpu, i, size, true), v, size);
        uint64_t step = string_step(cpu, size);
        string_advance(cpu, i, RSI, step);
        string_advance(cpu, i, RDI, step);
        done = 1;
    } while (rep_next(cpu, i, done));
}

ALWAYS_INLINE void stos(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!rep_begin(cpu, i))
        return;
    uint64_t done;
    do {
        done = stos_span(cpu, i, size);
        if (done)
            continue;
        mem_write(cpu, string_dest(cpu, i, size, true), cpu->gpr[RAX], size);
        string_advance(cpu, i, RDI, string_step(cpu, size));
        done = 1;
    } while (rep_next(cpu, i, done));
}

ALWAYS_INLINE void lods(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!rep_begin(cpu, i))
        return;
    do {
        gpr_write(cpu, RAX, mem_read(cpu, string_source(cpu, i, size), size), size);
        string_advance(cpu, i, RSI, string_step(cpu, size));
    } while (rep_next(cpu, i, 1));
}

/* REPE goes on while equal, REPNE while not. */
ALWAYS_INLINE bool compare_goes_on(const struct insn *i, bool equal)
{
    return equal == !(i->flags & INSN_REPNE);
}

/*
 * Flags are those of the last comparison, and stay as they were when an element faults: they are
 * set on the way out, not in the loop.
 */
ALWAYS_INLINE void scas(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!rep_begin(cpu, i))
        return;
    uint64_t a = gpr_read(cpu, RAX, size), b;
    bool more;
    do {
        b = mem_read(cpu, string_dest(cpu, i, size, false), size);
        string_advance(cpu, i, RDI, string_step(cpu, size));
        more = compare_goes_on(i, a == b);
        if (!more && rep_prefixed(i))
            gpr_write(cpu, RCX, cpu->gpr[RCX] - 1, i->adsize);
    } while (more && rep_next(cpu, i, 1));
    flags_sub(cpu, a, b, a - b, size * 8);
}

ALWAYS_INLINE void cmps(struct x86_cpu *cpu, const struct insn *i, unsigned size)
{
    if (!rep_begin(cpu, i))
        return;
    uint64_t a, b;
    bool more;
    do {
        a = mem_read(cpu, string_source(cpu, i, size), size);
        b = mem_read(cpu, string_dest(cpu, i, size, false), size);
        uint64_t step = string_step(cpu, size);
        string_advance(cpu, i, RSI, step);
        string_advance(cpu, i, RDI, step);
        more = compare_goes_on(i, a == b);
        if (!more && rep_prefixed(i))
            gpr_write(cpu, RCX, cpu->gpr[RCX] - 1, i->adsize);
    } while (more && rep_next(cpu, i, 1));
    flags_sub(cpu, a, b, a - b, size * 8);
}

OP_SIZES(movs)
OP_SIZES(stos)
OP_SIZES(lods)
OP_SIZES(scas)
OP_SIZES(cmps)
