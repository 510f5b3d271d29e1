// SPDX-License-Identifier: MIT
//
// The stub's memory and breakpoints. Addresses are linear, through the page tables of the thread
// that is looked at, or physical on request. Only RAM is read and written: devices must not notice
// a debugger.
#include <string.h>

#include "src/accel/walk.h"
#include "src/gdb/stub.h"

#define READ_MAX (PACKET_MAX / 2 - 64)

struct view {
    const struct gmem *gm;
    struct cpu_state cpu;
    bool physical;
};

static bool open_view(struct stub *s, struct view *v)
{
    v->gm = s->accel->gmem;
    v->physical = s->physical;
    return stub_state(s, s->thread, &v->cpu);
}

static bool locate(const struct view *v, uint64_t at, gpa_t *gpa)
{
    *gpa = at;
    return v->physical || walk_linear(v->gm, &v->cpu, at, gpa);
}

/* Up to the end of the page. */
static size_t piece(uint64_t at, size_t left)
{
    size_t room = 0x1000 - (size_t)(at & 0xfff);
    return left < room ? left : room;
}

/* How much there was. */
static size_t read_some(const struct view *v, uint64_t at, uint8_t *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        gpa_t gpa;
        size_t n = piece(at + done, len - done);
        if (!locate(v, at + done, &gpa) || gmem_read(v->gm, gpa, buf + done, n))
            break;
        done += n;
    }
    return done;
}

/* All or, as far as can be told before, nothing. */
static bool write_all(struct stub *s, const struct view *v, uint64_t at, const uint8_t *buf,
                      size_t len)
{
    gpa_t gpa;
    for (size_t done = 0; done < len; done += piece(at + done, len - done)) {
        if (!locate(v, at + done, &gpa) || !gmem_ptr(v->gm, gpa, piece(at + done, len - done)))
            return false;
    }
    for (size_t done = 0; done < len;) {
        size_t n = piece(at + done, len - done);
        if (!locate(v, at + done, &gpa) || gmem_write(s->accel->gmem, gpa, buf + done, n))
            return false;
        done += n;
    }
    return true;
}

/* "addr,len" */
static bool parse_range(const char **p, uint64_t *at, uint64_t *len)
{
    return packet_number(p, at) && *(*p)++ == ',' && packet_number(p, len);
}

void stub_read_memory(struct stub *s, const char *args, size_t len)
{
    uint8_t buf[READ_MAX];
    uint64_t at, want;
    struct view v;
    (void)len;
    if (!parse_range(&args, &at, &want) || !open_view(s, &v)) {
        stub_error(s, 22);
        return;
    }
    size_t n = read_some(&v, at, buf, want < sizeof buf ? (size_t)want : sizeof buf);
    if (n || !want)
        packet_hex(&s->out, buf, n);
    else
        stub_error(s, 14);
}

static void write_memory(struct stub *s, uint64_t at, const uint8_t *buf, size_t len)
{
    struct view v;
    if (open_view(s, &v) && write_all(s, &v, at, buf, len))
        stub_ok(s);
    else
        stub_error(s, 14);
}

void stub_write_memory(struct stub *s, const char *args, size_t len)
{
    uint8_t buf[PACKET_MAX / 2];
    uint64_t at, want;
    const char *p = args;
    bool ok = parse_range(&p, &at, &want) && *p++ == ':';
    size_t left = len - (size_t)(ok ? p - args : 0);
    if (ok && left / 2 == want && left % 2 == 0 && want <= sizeof buf &&
        packet_unhex(p, buf, (size_t)want))
        write_memory(s, at, buf, (size_t)want);
    else
        stub_error(s, 22);
}

void stub_write_binary(struct stub *s, const char *args, size_t len)
{
    uint64_t at, want;
    const char *p = args;
    if (parse_range(&p, &at, &want) && *p++ == ':' && len - (size_t)(p - args) == want)
        write_memory(s, at, (const uint8_t *)p, (size_t)want);
    else
        stub_error(s, 22);
}

/* --- breakpoints --- */

static bool parse_point(const char *args, struct debug_point *p)
{
    static const enum debug_kind kinds[] = {DEBUG_BREAK, DEBUG_BREAK_HARD, DEBUG_WRITE, DEBUG_READ,
                                            DEBUG_ACCESS};
    uint64_t len;
    if (*args < '0' || *args > '4' || args[1] != ',')
        return false;
    *p = (struct debug_point){.kind = kinds[*args - '0']};
    args += 2;
    bool ok = parse_range(&args, &p->address, &len);
    bool data = p->kind >= DEBUG_WRITE;
    p->len = data ? len : 1; /* of breakpoints it is what the instruction set wants */
    return ok && p->len >= 1 && p->len <= 0x1000 && p->address <= UINT64_MAX - p->len;
}

static int find_point(const struct stub *s, const struct debug_point *p)
{
    for (unsigned n = 0; n < s->plan.npoints; n++) {
        const struct debug_point *q = &s->plan.points[n];
        if (q->kind == p->kind && q->address == p->address && q->len == p->len)
            return (int)n;
    }
    return -1;
}

static void forget_point(struct stub *s, unsigned n)
{
    s->plan.npoints--;
    memmove(&s->plan.points[n], &s->plan.points[n + 1],
            (s->plan.npoints - n) * sizeof s->plan.points[0]);
}

/* By the tables of the thread that is looked at, else by any that knows the address. */
void stub_locate_points(struct stub *s)
{
    for (unsigned t = 0; t < s->accel->nvcpus && s->plan.npoints; t++) {
        struct cpu_state cpu;
        if (!stub_state(s, (s->thread + t) % s->accel->nvcpus, &cpu))
            continue;
        for (unsigned n = 0; n < s->plan.npoints; n++) {
            struct debug_point *p = &s->plan.points[n];
            if (!t)
                p->mapped = false;
            if (!p->mapped)
                p->mapped = walk_linear(s->accel->gmem, &cpu, p->address, &p->gpa);
        }
    }
}

/* Can the engine do this? It is asked now, so that gdb hears it of the one that is too many. */
static bool try_plan(struct stub *s)
{
    struct err err = {0};
    stub_locate_points(s);
    if (s->accel->ops->set_debug(s->accel, &s->plan, &err))
        return false;
    s->accel->ops->set_debug(s->accel, NULL, &err);
    return true;
}

void stub_add_point(struct stub *s, const char *args, size_t len)
{
    struct debug_point p;
    (void)len;
    if (!parse_point(args, &p)) {
        stub_error(s, 22);
        return;
    }
    if (find_point(s, &p) >= 0) {
        stub_ok(s);
        return;
    }
    if (s->plan.npoints == DEBUG_POINTS_MAX) {
        stub_error(s, 28);
        return;
    }
    s->plan.points[s->plan.npoints++] = p;
    if (try_plan(s)) {
        stub_ok(s);
    } else {
        s->plan.npoints--;
        stub_error(s, 28);
    }
}

void stub_remove_point(struct stub *s, const char *args, size_t len)
{
    struct debug_point p;
    (void)len;
    int n = parse_point(args, &p) ? find_point(s, &p) : -1;
    if (n < 0) {
        stub_error(s, 22);
        return;
    }
    forget_point(s, (unsigned)n);
    stub_ok(s);
}
