// SPDX-License-Identifier: MIT
//
// KVM's paravirtual clock on the x86 core: the guest's side is here as Linux computes it, from the
// structure's bytes alone.
#include <check.h>
#include <string.h>

#include "src/accel/x86/cpuid.h"
#include "src/accel/x86/pvclock.h"
#include "tests/lib/suite.h"
#include "tests/lib/x86_fixture.h"

#define WALL_CLOCK 0x4b564d00u
#define SYSTEM_TIME 0x4b564d01u
#define TSC 0x10u
#define TSC_ADJUST 0x3bu
#define AT 0x9000u
#define STABLE 1u

static struct outcome write_msr(uint32_t n, uint64_t val)
{
    cpu->gpr[RCX] = n;
    cpu->gpr[RAX] = (uint32_t)val;
    cpu->gpr[RDX] = val >> 32;
    return TRY(r, 0x0f, 0x30);
}

static uint64_t read_msr(uint32_t n)
{
    cpu->gpr[RCX] = n;
    ck_assert_no_fault(TRY(r, 0x0f, 0x32));
    return cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
}

static uint64_t rdtsc(void)
{
    ck_assert_no_fault(TRY(r, 0x0f, 0x31));
    return cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
}

static void set(uint32_t n, uint64_t val)
{
    ck_assert_no_fault(write_msr(n, val));
}

static uint32_t version(gpa_t at)
{
    return (uint32_t)x86_rig_peek(r, at, 4);
}

static unsigned flags(gpa_t at)
{
    return (unsigned)x86_rig_peek(r, at + 29, 1);
}

/* Offsets: 0 version, 8 tsc_timestamp, 16 system_time, 24 tsc_to_system_mul, 28 tsc_shift. */
static uint64_t guest_time(gpa_t at, uint64_t tsc)
{
    uint64_t delta = tsc - x86_rig_peek(r, at + 8, 8);
    int8_t shift = (int8_t)x86_rig_peek(r, at + 28, 1);
    delta = shift < 0 ? delta >> -shift : delta << shift;
    unsigned __int128 product = (unsigned __int128)delta * x86_rig_peek(r, at + 24, 4);
    return x86_rig_peek(r, at + 16, 8) + (uint64_t)(product >> 32);
}

static void check_time(gpa_t at)
{
    ck_assert_uint_eq(guest_time(at, rdtsc()), r->tsc);
}

/* --- the formula --- */

static const uint64_t later[] = {0,          1,           3,           999999999,
                                 1000000000, 0xffffffffu, 1ull << 32,  86400000000000,
                                 1ull << 52, 1ull << 62,  (1ull << 63) - 1};

START_TEST(time_follows_from_the_counter_to_the_nanosecond)
{
    r->tsc = 0x123456789;
    set(SYSTEM_TIME, AT | 1);
    ck_assert_uint_eq(version(AT) % 2, 0);
    ck_assert_uint_ne(version(AT), 0);
    ck_assert_uint_eq(flags(AT), STABLE);
    ck_assert_uint_eq(x86_rig_peek(r, AT + 4, 4), 0);
    ck_assert_uint_eq(x86_rig_peek(r, AT + 30, 2), 0);
    r->tsc += later[_i];
    check_time(AT);
}
END_TEST

START_TEST(a_counter_that_is_moved_does_not_move_time)
{
    static const uint64_t to[] = {0, 5, ~0ull, 1ull << 63, 0x8000000000000001};
    r->tsc = 1000000;
    set(SYSTEM_TIME, AT | 1);
    for (unsigned i = 0; i < sizeof to / sizeof to[0]; i++) {
        uint32_t before = version(AT);
        set(TSC, to[i]);
        ck_assert_uint_eq(rdtsc(), to[i]);
        ck_assert_uint_ne(version(AT), before);
        ck_assert_uint_eq(version(AT) % 2, 0);
        check_time(AT);
        r->tsc += 12345;
        check_time(AT);
    }
    set(TSC_ADJUST, 77);
    ck_assert_uint_eq(rdtsc(), r->tsc + 77);
    check_time(AT);
}
END_TEST

START_TEST(counters_that_differ_are_said_to)
{
    r->tscs_differ = true;
    set(SYSTEM_TIME, AT | 1);
    ck_assert_uint_eq(flags(AT), 0);
    check_time(AT);
    r->tscs_differ = false;
    x86_pvclock_renew(cpu);
    ck_assert_uint_eq(flags(AT), STABLE);
}
END_TEST

START_TEST(an_odd_version_that_lay_there_becomes_even_and_another)
{
    static const uint32_t junk[] = {0, 1, 2, 0x7fffffff, 0xfffffffe, 0xffffffff};
    for (unsigned i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        x86_rig_poke(r, AT, junk[i], 4);
        set(SYSTEM_TIME, AT | 1);
        ck_assert_uint_eq(version(AT) % 2, 0);
        ck_assert_uint_ne(version(AT), junk[i]);
        x86_rig_poke(r, AT, junk[i], 4);
        set(WALL_CLOCK, AT);
        ck_assert_uint_eq(version(AT) % 2, 0);
        ck_assert_uint_ne(version(AT), junk[i]);
    }
}
END_TEST

/* --- the wall clock --- */

START_TEST(the_wall_clock_is_the_date_of_guest_time_0)
{
    r->tsc = 5000000000;
    r->utc_of_start = 1704067200u * 1000000000ull + 987654321;
    x86_rig_poke(r, AT + 12, 0xabcd, 4);
    set(WALL_CLOCK, AT);
    ck_assert_uint_eq(x86_rig_peek(r, AT + 4, 4), 1704067200);
    ck_assert_uint_eq(x86_rig_peek(r, AT + 8, 4), 987654321);
    ck_assert_uint_eq(x86_rig_peek(r, AT + 12, 4), 0xabcd);
    ck_assert_uint_eq(read_msr(WALL_CLOCK), AT);
    /* once: what happens to the counter is no reason to write again */
    x86_rig_poke(r, AT, 0, 8);
    set(TSC, 1);
    ck_assert_uint_eq(x86_rig_peek(r, AT, 8), 0);
}
END_TEST

START_TEST(no_wall_clock_is_wanted_at_address_0)
{
    x86_rig_poke(r, 0, 0x1122334455667788, 8);
    set(WALL_CLOCK, 0);
    ck_assert_uint_eq(x86_rig_peek(r, 0, 8), 0x1122334455667788);
}
END_TEST

/* --- on and off --- */

START_TEST(without_the_enable_bit_nothing_is_written)
{
    set(SYSTEM_TIME, AT);
    ck_assert_uint_eq(read_msr(SYSTEM_TIME), AT);
    set(TSC, 99);
    for (unsigned i = 0; i < 32; i += 8)
        ck_assert_uint_eq(x86_rig_peek(r, AT + i, 8), 0);
}
END_TEST

START_TEST(disabling_leaves_the_place_alone)
{
    set(SYSTEM_TIME, AT | 1);
    set(SYSTEM_TIME, 0);
    uint32_t before = version(AT);
    set(TSC, 99);
    ck_assert_uint_eq(version(AT), before);
}
END_TEST

START_TEST(reset_and_init_forget_the_place)
{
    set(SYSTEM_TIME, AT | 1);
    uint32_t before = version(AT);
    if (_i)
        x86_reset(cpu, true);
    else
        x86_init_ipi(cpu);
    ck_assert_uint_eq(cpu->msr.kvm_system_time, 0);
    x86_pvclock_renew(cpu);
    ck_assert_uint_eq(version(AT), before);
}
END_TEST

START_TEST(state_carries_the_registers_and_writes_nothing)
{
    struct cpu_state s;
    set(SYSTEM_TIME, AT | 1);
    set(WALL_CLOCK, AT + 0x40);
    x86_get_state(cpu, &s);
    ck_assert_uint_eq(s.msr.kvm_system_time, AT | 1);
    ck_assert_uint_eq(s.msr.kvm_wall_clock, AT + 0x40);
    s.msr.kvm_system_time = (AT + 0x80) | 1;
    ck_assert_int_eq(x86_put_state(cpu, &s), 0);
    ck_assert_uint_eq(version(AT + 0x80), 0);
    ck_assert_uint_eq(read_msr(SYSTEM_TIME), (AT + 0x80) | 1);
}
END_TEST

/* --- addresses --- */

static const uint64_t nowhere[] = {
    16u << 20,                                   /* behind RAM */
    (16u << 20) - 4,                             /* half in it */
    0xfee00000, 0xfffffffffffffff0,              /* the local APIC; around the end of all */
    0xfffffffffffffffe, 0x8000000000000000, 1ull << 40,
};

START_TEST(what_is_no_ram_gets_nothing_and_faults_nothing)
{
    uint64_t at = nowhere[_i];
    set(SYSTEM_TIME, at | 1);
    ck_assert_uint_eq(read_msr(SYSTEM_TIME), at | 1);
    set(TSC, 3);
    set(WALL_CLOCK, at);
    ck_assert_uint_eq(read_msr(WALL_CLOCK), at);
    ck_assert_uint_eq(r->mmio_writes, 0);
    ck_assert_uint_eq(x86_rig_peek(r, (16u << 20) - 8, 8), 0);
}
END_TEST

START_TEST(a_place_may_cross_pages_and_lie_anywhere)
{
    static const gpa_t at[] = {0xaff0, 0xaffc, 0xaffe, 0xb002, (16u << 20) - 32};
    r->tsc = 42;
    for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++) {
        set(SYSTEM_TIME, at[i] | 1);
        r->tsc += 1000;
        check_time(at[i]);
    }
}
END_TEST

START_TEST(decoded_code_there_is_told_of_it)
{
    r->code_page = 0xb000;
    set(SYSTEM_TIME, 0xaff0 | 1); /* the second half lies there */
    ck_assert_uint_eq(r->code_writes, 1);
    set(SYSTEM_TIME, 0xa000 | 1);
    ck_assert_uint_eq(r->code_writes, 1);
    set(WALL_CLOCK, 0xb800);
    ck_assert_uint_eq(r->code_writes, 2);
}
END_TEST

/* --- CPUID --- */

static void leave_out(enum cpu_word word, unsigned bit)
{
    cpu->features.word[word] &= ~(1u << bit);
}

START_TEST(cpuid_shows_kvm_and_only_what_there_is)
{
    uint32_t id[4];
    x86_cpuid(cpu, 0x40000000, 0, id);
    ck_assert_int_eq(memcmp(&id[1], "KVMKVMKVM\0\0\0", 12), 0);
    ck_assert_uint_eq(id[0], 0x40000010);
    x86_cpuid(cpu, 0x40000001, 0, id);
    ck_assert_uint_eq(id[0], 1u << 1 | 1u << 3 | 1u << 24);
    ck_assert_uint_eq(id[1] | id[2] | id[3], 0);
    x86_cpuid(cpu, 0x40000010, 0, id);
    ck_assert_uint_eq(id[0], 1000000);
    leave_out(CPU_H0_EAX, CPU_H0_TIMING);
    x86_cpuid(cpu, 0x40000000, 0, id);
    ck_assert_uint_eq(id[0], 0x40000001);
    x86_cpuid(cpu, 0x40000010, 0, id);
    ck_assert_uint_eq(id[0], 0);
}
END_TEST

START_TEST(without_kvm_another_name_stands_there_or_none)
{
    uint32_t id[4];
    leave_out(CPU_H0_EAX, CPU_H0_KVM);
    x86_cpuid(cpu, 0x40000000, 0, id);
    ck_assert_int_eq(memcmp(&id[1], "minivmm\0\0\0\0\0", 12), 0);
    x86_cpuid(cpu, 0x40000001, 0, id);
    ck_assert_uint_eq(id[0], 0);
    leave_out(CPU_H0_EAX, CPU_H0_TIMING);
    x86_cpuid(cpu, 0x40000000, 0, id);
    ck_assert_uint_eq(id[0] | id[1] | id[2] | id[3], 0);
}
END_TEST

START_TEST(without_kvmclock_its_registers_are_not_there)
{
    leave_out(CPU_H1_EAX, CPU_H1_KVMCLOCK);
    ck_assert_fault(write_msr(SYSTEM_TIME, AT | 1), X86_GP, 0);
    ck_assert_fault(write_msr(WALL_CLOCK, AT), X86_GP, 0);
    ck_assert_uint_eq(version(AT), 0);
}
END_TEST

START_TEST(hypercalls_are_refused_politely)
{
    cpu->gpr[RAX] = 9;
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xd9)); /* vmmcall */
    ck_assert_int_eq((int64_t)cpu->gpr[RAX], -1000);
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xc1)); /* vmcall */
    x86_rig_user(r);
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xd9));
    ck_assert_int_eq((int64_t)cpu->gpr[RAX], -1);
    leave_out(CPU_H0_EAX, CPU_H0_KVM);
    ck_assert_int_eq(TRY(r, 0x0f, 0x01, 0xd9).vector, X86_UD);
}
END_TEST

START_TEST(outside_64_bit_mode_answers_have_32_bits)
{
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xd9));
    ck_assert_uint_eq(cpu->gpr[RAX], (uint32_t)-1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pvclock");
    TCase *tc = suite_case(s, "long", setup_long, teardown);
    tcase_add_loop_test(tc, time_follows_from_the_counter_to_the_nanosecond, 0,
                        sizeof later / sizeof later[0]);
    tcase_add_test(tc, a_counter_that_is_moved_does_not_move_time);
    tcase_add_test(tc, counters_that_differ_are_said_to);
    tcase_add_test(tc, an_odd_version_that_lay_there_becomes_even_and_another);
    tcase_add_test(tc, the_wall_clock_is_the_date_of_guest_time_0);
    tcase_add_test(tc, no_wall_clock_is_wanted_at_address_0);
    tcase_add_test(tc, without_the_enable_bit_nothing_is_written);
    tcase_add_test(tc, disabling_leaves_the_place_alone);
    tcase_add_loop_test(tc, reset_and_init_forget_the_place, 0, 2);
    tcase_add_test(tc, state_carries_the_registers_and_writes_nothing);
    tcase_add_loop_test(tc, what_is_no_ram_gets_nothing_and_faults_nothing, 0,
                        sizeof nowhere / sizeof nowhere[0]);
    tcase_add_test(tc, a_place_may_cross_pages_and_lie_anywhere);
    tcase_add_test(tc, decoded_code_there_is_told_of_it);
    tcase_add_test(tc, cpuid_shows_kvm_and_only_what_there_is);
    tcase_add_test(tc, without_kvm_another_name_stands_there_or_none);
    tcase_add_test(tc, without_kvmclock_its_registers_are_not_there);
    tcase_add_test(tc, hypercalls_are_refused_politely);
    TCase *p = suite_case(s, "protected", setup_protected, teardown);
    tcase_add_test(p, outside_64_bit_mode_answers_have_32_bits);
    return suite_run(s);
}
