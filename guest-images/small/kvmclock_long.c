// SPDX-License-Identifier: MIT
//
// The paravirtual clock that KVM offers its guests, on every CPU: it goes as the PM timer does, is
// the same on all CPUs, does not go back, knows the date, survives a write to the time-stamp
// counter, and stops being written when it is told to.
#include "guest.h"

#define MSR_TSC 0x10
#define MSR_WALL_CLOCK 0x4b564d00
#define MSR_SYSTEM_TIME 0x4b564d01
#define NS_PER_S 1000000000u
#define DAY_S 86400u

struct system_time {
    volatile uint32_t version;
    uint32_t pad;
    volatile uint64_t tsc, ns;
    volatile uint32_t mul;
    volatile int8_t shift;
    volatile uint8_t flags, pad_2[2];
} __attribute__((aligned(64)));

static struct system_time clocks[3];
static volatile struct {
    uint32_t version, sec, nsec;
} wall __attribute__((aligned(4)));
static volatile uint32_t arrived;
static volatile uint64_t last; /* time that some CPU has seen */

static void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(0));
}

static void wrmsr(uint32_t n, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static uint64_t tsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return lo | (uint64_t)hi << 32;
}

static uint64_t now(const struct system_time *c)
{
    uint32_t version;
    uint64_t ns;
    do {
        version = c->version & ~1u;
        uint64_t delta = tsc() - c->tsc;
        delta = c->shift < 0 ? delta >> -c->shift : delta << c->shift;
        ns = c->ns + (uint64_t)((unsigned __int128)delta * c->mul >> 32);
        __asm__ volatile("" : : : "memory");
    } while (c->version != version);
    return ns;
}

static void begin(unsigned id)
{
    wrmsr(MSR_SYSTEM_TIME, (uintptr_t)&clocks[id] | 1);
    CHECK(clocks[id].version && clocks[id].mul);
    uint64_t t = now(&clocks[id]);
    CHECK(t >= last);
    last = t;
}

/* However long each reading takes: the time around is not shorter than the time within. */
static void goes_as_the_pm_timer(const struct system_time *c)
{
    uint64_t t = now(c);
    uint32_t pm = pm_now();
    wait_ms(20);
    uint32_t ms = pm_ms_since(pm);
    CHECK(now(c) - t >= (ms - 1) * 1000000ull);
    pm = pm_now();
    t = now(c);
    wait_ms(20);
    t = now(c) - t;
    CHECK(t <= (pm_ms_since(pm) + 1) * 1000000ull);
}

static unsigned cmos_bcd(uint8_t reg)
{
    uint8_t raw = cmos_read(reg);
    return (raw >> 4) * 10u + (raw & 15u);
}

static unsigned rtc_second_of_day(void)
{
    unsigned s;
    do {
        while (cmos_read(10) & 0x80)
            ;
        s = cmos_bcd(4) * 3600 + cmos_bcd(2) * 60 + cmos_bcd(0);
    } while (cmos_bcd(0) != s % 60);
    return s;
}

static unsigned second_of_day(const struct system_time *c)
{
    return (unsigned)((wall.sec + (wall.nsec + now(c)) / NS_PER_S) % DAY_S);
}

static void knows_the_date(const struct system_time *c)
{
    wrmsr(MSR_WALL_CLOCK, (uintptr_t)&wall);
    CHECK(wall.version && !(wall.version & 1) && wall.nsec < NS_PER_S);
    unsigned before = second_of_day(c), rtc = rtc_second_of_day(), after = second_of_day(c);
    unsigned span = (after + DAY_S - before) % DAY_S;
    CHECK((rtc + DAY_S + 2 - before) % DAY_S <= span + 4); /* within 2 s */
}

static void ap(unsigned id)
{
    begin(id);
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
}

static void stops(struct system_time *c)
{
    wrmsr(MSR_SYSTEM_TIME, 0);
    wait_ms(1);
    c->version = 2;
    wrmsr(MSR_TSC, tsc() + 1000);
    wait_ms(1);
    CHECK(c->version == 2);
}

void guest_main(void)
{
    uint32_t r[4];
    unsigned cpus = asked_number("cpus=", 1);
    cpuid(0x40000000, r);
    CHECK(r[0] >= 0x40000001 && r[1] == 0x4b4d564b && r[2] == 0x564b4d56 && r[3] == 0x4d);
    cpuid(0x40000001, r);
    CHECK(r[0] >> 3 & 1 && r[0] >> 24 & 1);
    begin(0);
    goes_as_the_pm_timer(&clocks[0]);
    print("time goes right\n");
    knows_the_date(&clocks[0]);
    print("the date is the RTC's\n");
    irq_setup();
    lapic_enable();
    for (unsigned id = 1; id < cpus; id++) {
        smp_start(id, ap);
        while (arrived < id)
            ;
        uint64_t t = now(&clocks[0]);
        CHECK(t >= last);
        last = t;
    }
    print("%u CPUs have one time\n", cpus);
    uint64_t t = now(&clocks[0]);
    wrmsr(MSR_TSC, 12345);
    CHECK(now(&clocks[0]) >= t);
    goes_as_the_pm_timer(&clocks[0]);
    print("also when the counter is moved\n");
    stops(&clocks[0]);
    wrmsr(MSR_SYSTEM_TIME, 0xfee00001); /* no RAM: nothing happens */
    wrmsr(MSR_WALL_CLOCK, 0xfffffffffffffff0);
    print("done\n");
}
