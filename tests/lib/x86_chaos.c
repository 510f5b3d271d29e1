// SPDX-License-Identifier: MIT
//
// See x86_chaos.h.
#include "tests/lib/x86_chaos.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "src/accel/interp/interp.h"
#include "src/accel/interp/interp_priv.h"
#include "src/accel/x86/vec.h"
#include "tests/lib/x86_rig.h"

#define STEPS 2000  /* by x86_step, at most */
#define SLICES 3    /* of the interpreter's loop */
#define AGAIN_MAX 2
#define REST_VECTOR 0x80
#define CODE_ROOM 0x1000

struct chaos {
    struct gmem gm; /* the interpreter's */
    struct accel accel;
    struct vcpu vcpu;
    pthread_mutex_t lock;
    struct bus pio, mmio;
    struct clock clock;
    struct interp *interp;
    struct chaos_counts counts;
    char why[512];
};

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* --- surroundings, the same for both: answers follow from the address alone --- */

static uint64_t io_read(void *opaque, uint16_t port, unsigned size)
{
    (void)opaque;
    return mix(port * 8u + size);
}

static void io_write(void *opaque, uint16_t port, unsigned size, uint64_t val)
{
    (void)opaque, (void)port, (void)size, (void)val;
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    (void)opaque;
    return mix(gpa * 8 + size);
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
    (void)opaque, (void)gpa, (void)size, (void)val;
}

static uint64_t tsc(void *opaque)
{
    (void)opaque;
    return 0x123456789a;
}

static int apic_msr_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *val)
{
    (void)opaque, (void)cpu;
    *val = mix(msr);
    return msr % 2 ? 0 : -1;
}

static int apic_msr_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t val)
{
    (void)opaque, (void)cpu, (void)val;
    return msr % 2 ? 0 : -1;
}

static uint64_t cr8_read(void *opaque, unsigned cpu)
{
    (void)opaque, (void)cpu;
    return 5;
}

static void cr8_write(void *opaque, unsigned cpu, uint64_t val)
{
    (void)opaque, (void)cpu, (void)val;
}

static void surround(struct x86_env *env)
{
    env->io_read = io_read;
    env->io_write = io_write;
    env->mmio_read = mmio_read;
    env->mmio_write = mmio_write;
    env->tsc = tsc;
    env->apic_msr_read = apic_msr_read;
    env->apic_msr_write = apic_msr_write;
    env->cr8_read = cr8_read;
    env->cr8_write = cr8_write;
    env->ncpus = 1;
}

/* --- life --- */

static void no_exit(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    (void)opaque, (void)v, (void)exit;
}

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "x86_chaos: %s\n", what);
    exit(1);
}

struct chaos *chaos_new(void)
{
    struct err err = {0};
    struct chaos *ch = calloc(1, sizeof *ch);
    need(ch, "out of memory");
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* each case begins with new memory */
    pthread_mutex_init(&ch->lock, NULL);
    bus_init(&ch->pio, "pio", 65536);
    bus_init(&ch->mmio, "mmio", 0);
    clock_init_stepped(&ch->clock, 0);
    need(!gmem_init(&ch->gm, 16u << 20, 3u << 30, 1ull << 32, &err), err.msg);
    ch->accel = (struct accel){.ops = &interp_accel,
                               .gmem = &ch->gm,
                               .lock = &ch->lock,
                               .pio = &ch->pio,
                               .mmio = &ch->mmio,
                               .clock = &ch->clock,
                               .io = no_exit,
                               .vcpus = &ch->vcpu,
                               .nvcpus = 1};
    ch->vcpu = (struct vcpu){.accel = &ch->accel};
    need(!interp_accel.vm_init(&ch->accel, &err), err.msg);
    need(!interp_accel.vcpu_init(&ch->vcpu, &err), err.msg);
    ch->interp = ch->accel.priv;
    surround(&ch->interp->env);
    return ch;
}

void chaos_free(struct chaos *ch)
{
    interp_accel.vcpu_fini(&ch->vcpu);
    interp_accel.vm_fini(&ch->accel);
    gmem_fini(&ch->gm);
    pthread_mutex_destroy(&ch->lock);
    free(ch);
}

const char *chaos_why(const struct chaos *ch)
{
    return ch->why;
}

struct chaos_counts chaos_counts(const struct chaos *ch)
{
    return ch->counts;
}

/* --- the beginning of a case --- */

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void put(struct x86_rig *r, gpa_t at, const void *bytes, size_t len)
{
    need(!gmem_write(&r->gm, at, bytes, len), "no RAM there");
}

/* Handlers of exceptions go on one byte further; double faults rest, as all other vectors do. */
static void resuming_handlers(struct x86_rig *r, bool real, bool wide)
{
    static const uint8_t code16[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
    static const uint8_t code32[] = {0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf};
    static const uint8_t code64[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    for (unsigned v = 0; v < 32; v++) {
        gpa_t at = x86_rig_handler(v);
        unsigned skip = has_error_code(v) ? 0 : wide ? 4 : 3;
        if (v == X86_DF)
            continue;
        if (real)
            put(r, at, code16, sizeof code16);
        else if (wide)
            put(r, at, code64 + skip, sizeof code64 - skip);
        else
            put(r, at, code32 + skip, sizeof code32 - skip);
    }
}

static void real_vectors(struct x86_rig *r)
{
    for (unsigned v = 0; v < 256; v++)
        x86_rig_poke(r, v * 4, (uint64_t)RIG_HANDLERS << 12 | v * 16, 4);
}

/* Page tables of the legacy formats for the first 2 MiB. */
static void page_legacy(struct x86_rig *r, bool pae)
{
    struct x86_cpu *cpu = &r->cpu;
    unsigned entry = pae ? 8 : 4;
    if (pae)
        x86_rig_poke(r, RIG_PML4, RIG_PD | 1, 8);
    else
        x86_rig_poke(r, RIG_PML4, RIG_PT | 7, 4);
    x86_rig_poke(r, RIG_PD, RIG_PT | 7, 8);
    for (unsigned n = 0; n < 4096 / entry; n++)
        x86_rig_poke(r, RIG_PT + n * entry, n << 12 | 7, entry);
    cpu->cr3 = RIG_PML4;
    x86_write_cr4(cpu, cpu->cr4 | (pae ? CR4_PAE : 0) | CR4_PGE);
    x86_write_cr0(cpu, cpu->cr0 | CR0_PG | CR0_WP);
}

static void set_code_segment(struct x86_rig *r, uint64_t desc, uint16_t sel)
{
    x86_rig_gdt(r, sel, desc);
    r->cpu.seg[SEG_CS] = seg_from_desc(sel, desc);
    x86_update_mode(&r->cpu);
}

static void set_mode(struct x86_rig *r, unsigned mode)
{
    if (mode == 0) { /* real */
        real_vectors(r);
        return;
    }
    if (mode >= 6 && mode <= 8)
        x86_rig_long(r); /* 6: ring 0 */
    else
        x86_rig_protected(r); /* 1: ring 0 */
    if (mode == 2 || mode == 7 || mode == 8 || mode == 11)
        x86_rig_user(r);
    if (mode == 8)
        set_code_segment(r, DESC(0, 0xfffff, 0xfb, 0xc), SEL_FREE | 3);
    if (mode == 3)
        set_code_segment(r, DESC(0, 0xfffff, 0x9b, 0x8), SEL_FREE);
    if (mode == 4 || mode == 5)
        x86_rig_v86(r, mode == 4 ? 3 : 0);
    if (mode >= 9)
        page_legacy(r, mode == 10);
    if (r->cpu.efer & EFER_LMA)
        x86_rig_gate64(r, REST_VECTOR, SEL_CODE64, x86_rig_handler(REST_VECTOR), 0xee, 0);
    else
        x86_rig_gate(r, REST_VECTOR, GATE(SEL_CODE, x86_rig_handler(REST_VECTOR), 0xee));
}

static void set_registers(struct x86_cpu *cpu, uint64_t seed)
{
    for (unsigned n = 0; n < GPRS; n++) {
        uint64_t x = mix(seed + n), kind = x & 7;
        if (n == RSP)
            continue;
        cpu->gpr[n] = kind < 3   ? RIG_DATA + (x >> 8 & 0xfff)
                      : kind < 5 ? x >> 8 & 0xff
                      : kind < 6 ? RIG_CODE + (x >> 8 & 0xff)
                      : kind < 7 ? (uint64_t)((int64_t)x >> 56)
                                 : x;
        if (cpu->mode != X86_MODE64)
            cpu->gpr[n] &= 0xffffffff;
    }
    for (unsigned n = 0; n < 16; n++)
        cpu->ymm[n] = (union vec_reg){.u64 = {mix(seed + 4 * n), mix(n), mix(~seed + n), seed}};
}

static struct x86_rig *begin(const uint8_t *data, const uint8_t *code, size_t len)
{
    struct x86_rig *r = x86_rig_new();
    unsigned mode = data[0] % CHAOS_MODES;
    uint8_t options = data[1];
    uint8_t room[CODE_ROOM];
    uint64_t seed;
    surround(&r->env);
    set_mode(r, mode);
    if (options & 1)
        resuming_handlers(r, mode == 0, mode >= 6 && mode <= 8);
    if (options & 2)
        x86_write_cr4(&r->cpu, r->cpu.cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
    if (options & 4)
        r->cpu.rflags |= FL_IF;
    if (options & 2 && options & 8)
        r->cpu.xcr0 = 7;
    vec_update_access(&r->cpu);
    memcpy(&seed, data + 2, sizeof seed);
    set_registers(&r->cpu, seed);
    for (unsigned n = 0; n < CODE_ROOM; n += 2)
        memcpy(room + n, (uint8_t[]){0xcd, REST_VECTOR}, 2);
    memcpy(room, code, len);
    put(r, RIG_CODE, room, sizeof room);
    return r;
}

/* --- both engines --- */

static const struct {
    gpa_t at, len;
} used[] = {{0, 0x4000}, {RIG_PML4, 0x4000}, {RIG_CODE, 0x2000}, {RIG_STACK - 0x1000, 0x1000},
            {RIG_USER_STACK - 0x1000, 0x1000}, {RIG_IST - 0x1000, 0x1000}, {RIG_HANDLERS, 0x1000},
            {RIG_DATA, 0x2000}, {RIG_CODE + 0x7000, 0x2000}};

static struct interp_cpu *copy_to_interp(struct chaos *ch, struct x86_rig *r)
{
    struct err err;
    struct cpu_state state;
    struct interp_cpu *c = ch->vcpu.priv;
    gmem_zero(&ch->gm);
    interp_accel.reset(&ch->accel, &err);
    for (unsigned n = 0; n < sizeof used / sizeof *used; n++)
        memcpy(gmem_ptr(&ch->gm, used[n].at, used[n].len),
               gmem_ptr(&r->gm, used[n].at, used[n].len), used[n].len);
    x86_get_state(&r->cpu, &state);
    need(!x86_put_state(&c->cpu, &state), "x86_put_state refused the state of a CPU");
    c->cpu.random_state = r->cpu.random_state;
    c->cpu.icount = 0;
    return c;
}

static bool rests(const struct x86_cpu *cpu)
{
    return cpu->halted || cpu->shutdown || cpu->wait_for_sipi;
}

/* How often it stayed where it was: a repetition paused, a jump led to itself. Not for ever. */
static unsigned step(struct chaos *ch, struct x86_cpu *cpu)
{
    unsigned again = 0;
    for (unsigned n = 0; n < STEPS && again < AGAIN_MAX && !rests(cpu); n++, ch->counts.stepped++) {
        uint64_t at = cpu->next_rip;
        x86_step(cpu);
        again += cpu->next_rip == at;
    }
    vec_fp_release(cpu);
    return again;
}

static void loop(struct chaos *ch, struct interp_cpu *c, unsigned slices)
{
    for (unsigned n = 0; n < slices && !rests(&c->cpu); n++) {
        interp_run_cpu(c);
        vec_fp_release(&c->cpu);
    }
    ch->counts.looped += c->cpu.icount;
}

/* Whoever writes page tables without flushing sees old or new ones, as it comes. */
static bool tables_changed(struct x86_rig *r, const uint8_t *before)
{
    const uint8_t *now = gmem_ptr(&r->gm, RIG_PML4, 0x4000);
    if (!memcmp(now, before, 0x4000))
        return false;
    for (unsigned n = 0; n < 0x4000; n++) {
        if ((now[n] ^ before[n]) & (n % 4 ? 0xff : 0x9f))
            return true;
    }
    return false;
}

/* --- comparison --- */

static bool differ(struct chaos *ch, const char *what, uint64_t stepped, uint64_t looped)
{
    snprintf(ch->why, sizeof ch->why, "%s: by step %llx, by loop %llx", what,
             (unsigned long long)stepped, (unsigned long long)looped);
    return false;
}

#define SAME(field)                                                                                \
    if (a->field != b->field)                                                                      \
    return differ(ch, #field, (uint64_t)a->field, (uint64_t)b->field)

static bool same_segments(struct chaos *ch, const struct cpu_state *a, const struct cpu_state *b)
{
    for (unsigned n = 0; n < SEGS; n++) {
        SAME(seg[n].sel);
        SAME(seg[n].base);
        SAME(seg[n].limit);
        SAME(seg[n].type);
        SAME(seg[n].present);
        SAME(seg[n].unusable);
    }
    return true;
}

static bool same_state(struct chaos *ch, const struct cpu_state *a, const struct cpu_state *b)
{
    for (unsigned n = 0; n < GPRS; n++)
        SAME(gpr[n]);
    SAME(rip);
    SAME(rflags);
    SAME(cr0);
    SAME(cr2);
    SAME(cr3);
    SAME(cr4);
    SAME(efer);
    SAME(run);
    SAME(mxcsr);
    SAME(x87.status);
    SAME(x87.control);
    SAME(x87.empty);
    for (unsigned n = 0; n < 16; n++)
        SAME(ymm[n][0]);
    for (unsigned n = 0; n < 8; n++) {
        SAME(dr[n]);
        SAME(x87.st[n].mantissa);
    }
    return same_segments(ch, a, b);
}

static bool same_bytes(struct chaos *ch, const uint8_t *stepped, const uint8_t *looped, gpa_t at,
                       gpa_t len)
{
    char what[40];
    gpa_t n = 0;
    if (!memcmp(stepped, looped, len))
        return true;
    while (stepped[n] == looped[n])
        n++;
    snprintf(what, sizeof what, "memory at %llx", (unsigned long long)(at + n));
    return differ(ch, what, stepped[n], looped[n]);
}

static bool same_memory(struct chaos *ch, struct x86_rig *r)
{
    for (unsigned n = 0; n < sizeof used / sizeof *used; n++) {
        gpa_t at = used[n].at, len = used[n].len;
        if (!same_bytes(ch, gmem_ptr(&r->gm, at, len), gmem_ptr(&ch->gm, at, len), at, len))
            return false;
    }
    return true;
}

static bool compare(struct chaos *ch, struct x86_rig *r, struct interp_cpu *c)
{
    struct cpu_state stepped, looped;
    if (!rests(&c->cpu))
        return differ(ch, "the loop does not come to rest; rip", r->cpu.next_rip, c->cpu.next_rip);
    if (r->cpu.shutdown != c->cpu.shutdown)
        return differ(ch, "shutdown", r->cpu.shutdown, c->cpu.shutdown);
    ch->counts.compared++;
    x86_get_state(&r->cpu, &stepped);
    x86_get_state(&c->cpu, &looped);
    return same_state(ch, &stepped, &looped) && same_memory(ch, r);
}

bool chaos_run(struct chaos *ch, const uint8_t *data, size_t size)
{
    uint8_t tables[0x4000];
    if (size <= CHAOS_HEAD)
        return true;
    size = size < CHAOS_MAX ? size : CHAOS_MAX;
    struct x86_rig *r = begin(data, data + CHAOS_HEAD, size - CHAOS_HEAD);
    struct interp_cpu *c = copy_to_interp(ch, r);
    bool same = true;
    memcpy(tables, gmem_ptr(&r->gm, RIG_PML4, sizeof tables), sizeof tables);
    ch->counts.cases++;
    unsigned again = step(ch, &r->cpu);
    if (rests(&r->cpu)) {
        loop(ch, c, SLICES);
        /* A repetition that overwrites itself ends where it happens to pause. */
        same = again || tables_changed(r, tables) || compare(ch, r, c);
    } else if (again < AGAIN_MAX && data[2] == 0) {
        loop(ch, c, 1); /* not comparable, but nothing may break */
    }
    x86_rig_free(r);
    return same;
}

/* --- cases by chance --- */

size_t chaos_make(uint64_t seed, uint8_t data[static CHAOS_MAX])
{
    static const uint8_t favourites[] = {
        0x0f, 0x0f, 0x0f, 0x66, 0x67, 0xf2, 0xf3, 0x48, 0x4c, 0x41, 0xc4, 0xc5, 0xf0, 0x2e,
        0x64, 0x65, 0xcf, 0x9d, 0x9c, 0x8e, 0xcd, 0xff, 0x9a, 0xea, 0xcb, 0xca, 0xc8, 0xc9,
        0xa4, 0xa5, 0xaa, 0x6c, 0x6e, 0xd9, 0xdb, 0xdd, 0xdf, 0xfb, 0xfa, 0x22, 0x20, 0x01,
        0x00, 0x30, 0x32, 0xae, 0xc7, 0x05, 0xa2, 0xf4, 0xc3, 0xe8, 0x75, 0xeb, 0xe2, 0x17};
    uint64_t x = mix(seed);
    size_t len = CHAOS_HEAD + 8 + x % (x >> 60 ? 120 : CHAOS_MAX - CHAOS_HEAD - 8);
    for (size_t n = 0; n < len; n++) {
        x = mix(x);
        data[n] = x % 4 || n < CHAOS_HEAD ? (uint8_t)(x >> 8)
                                          : favourites[(x >> 8) % sizeof favourites];
    }
    return len;
}
