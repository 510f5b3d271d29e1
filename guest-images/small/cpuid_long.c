// SPDX-License-Identifier: MIT
//
// CPUID on every CPU: a hypervisor is there and says its name; APIC ids agree
// with the local APIC and between leaves; one package of as many cores as there are CPUs; what must
// not be offered is not.
#include "guest.h"

struct regs {
    uint32_t a, b, c, d;
};

static volatile uint32_t arrived;
static unsigned cpus;

static struct regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct regs r = {leaf, 0, subleaf, 0};
    __asm__ volatile("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
    return r;
}

static void check_ids(unsigned id)
{
    struct regs r = cpuid(1, 0);
    CHECK(r.b >> 24 == id);
    CHECK((r.b >> 16 & 0xff) == cpus && (r.d & 1u << 28));
    if (cpuid(0, 0).a >= 0xb) {
        r = cpuid(0xb, 0);
        CHECK(r.d == id && r.a == 0 && (r.b & 0xffff) == 1 && (r.c >> 8 & 0xff) == 1);
        r = cpuid(0xb, 1);
        CHECK(r.d == id && 1u << r.a >= cpus && (r.b & 0xffff) == cpus && (r.c >> 8 & 0xff) == 2);
        r = cpuid(0xb, 2);
        CHECK((r.c & 0xff) == 2 && !(r.c >> 8 & 0xff) && !(r.b & 0xffff));
    }
}

static void check_features(void)
{
    struct regs r = cpuid(1, 0);
    CHECK(r.c & 1u << 31);                 /* a hypervisor */
    CHECK(!(r.c & (1u << 3 | 1u << 5)));   /* neither MONITOR nor VMX */
    CHECK(r.d & 1u << 9 && r.d & 1u << 5); /* local APIC, MSRs */
    CHECK(cpuid(0x80000000, 0).a >= 0x80000001);
    r = cpuid(0x80000001, 0);
    CHECK(r.d & 1u << 29);   /* long mode */
    CHECK(!(r.c & 1u << 2)); /* no SVM */
}

static void ap(unsigned id)
{
    check_ids(id);
    check_features();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
}

void guest_main(void)
{
    struct regs r = cpuid(0x40000000, 0);
    cpus = asked_number("cpus=", 0);
    char name[13] = {0};
    memcpy(name, &r.b, 12);
    print("%s\n", name);
    CHECK(r.a >= 0x40000001);
    check_features();
    check_ids(0);
    irq_setup();
    lapic_enable();
    for (unsigned id = 1; id < cpus; id++) {
        smp_start(id, ap);
        while (arrived < id)
            ;
    }
    print("%u CPUs agree on what they are\n", cpus);
}
