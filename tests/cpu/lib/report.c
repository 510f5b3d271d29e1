// SPDX-License-Identifier: MIT
//
// Counts the cases of a CPU test and puts down what failed: "topic: case LINE what: want X got Y", then the sum. Everything is
// written at the end, so that a case never waits for a device. No vector or x87 register is touched (-mgeneral-regs-only).
#include "report.h"

#define ROOM 16384
#define MAX_FAILURES 60

static char text[ROOM + 1]; /* and a NUL */
static unsigned len, passed, failed, skipped;

static void put(const char *s)
{
    while (*s && len < ROOM)
        text[len++] = *s++;
}

static void put_number(uint64_t v, unsigned base)
{
    char digits[24], *d = digits + sizeof digits - 1;
    *d = 0;
    do {
        *--d = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    if (base == 16)
        put("0x");
    put(d);
}

static void put_flags(uint64_t flags)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {0x1, "CF"},      {0x4, "PF"},      {0x10, "AF"},     {0x40, "ZF"}, {0x80, "SF"},
        {0x100, "TF"},    {0x200, "IF"},    {0x400, "DF"},    {0x800, "OF"}, {0x4000, "NT"},
        {0x10000, "RF"}, {0x40000, "AC"}, {0x200000, "ID"},
    };
    const char *between = "";
    put("[");
    for (unsigned n = 0; n < sizeof names / sizeof names[0]; n++) {
        if (flags & names[n].bit) {
            put(between);
            put(names[n].name);
            between = " ";
        }
    }
    put("]");
}

static void judge(const struct check_frame *c, void (*show)(uint64_t))
{
    if (!((c->got ^ c->want) & c->mask)) {
        passed++;
        return;
    }
    if (failed++ >= MAX_FAILURES)
        return;
    put(cpu_topic);
    put(": case ");
    put_number(c->line, 10);
    put(" ");
    put(c->what);
    put(": want ");
    show(c->want & c->mask);
    put(" got ");
    show(c->got & c->mask);
    put("\n");
}

static void show_hex(uint64_t v)
{
    put_number(v, 16);
}

void report_check(const struct check_frame *c)
{
    judge(c, show_hex);
}

void report_check_flags(const struct check_frame *c)
{
    judge(c, put_flags);
}

void report_unexpected(const struct cpu_fault *f)
{
    failed++;
    put(cpu_topic);
    put(": unexpected exception ");
    put_number(f->vector, 10);
    put(" at ");
    show_hex(f->rip);
    put(", error code ");
    show_hex(f->error);
    put(", address ");
    show_hex(f->cr2);
    put("\n");
    report_end();
}

void report_end(void)
{
    put(cpu_topic);
    put(": ");
    put_number(passed, 10);
    put(" passed, ");
    put_number(failed, 10);
    put(" failed, ");
    put_number(skipped, 10);
    put(" skipped\n");
    world_end(text, len, !failed);
}

static void skip(const char *what, const char *why)
{
    skipped++;
    put("SKIP ");
    put(cpu_topic);
    put(": ");
    put(what);
    put(why);
    put("\n");
}

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

bool cpu_need_feature(uint32_t leaf, uint32_t sub, unsigned reg, unsigned bit, const char *what)
{
    uint32_t r[4];
    cpuid(leaf & 0x80000000u, 0, r);
    if (r[0] >= leaf) {
        cpuid(leaf, sub, r);
        if (r[reg] >> bit & 1)
            return true;
    }
    skip(what, ": this CPU does not offer it");
    return false;
}

bool cpu_need_right(const char *name)
{
    if (!world_is_wrong(name))
        return true;
    skip(name, ": wrong on this engine and host, as measured by 'minivmm probe'");
    return false;
}
