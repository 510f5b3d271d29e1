// SPDX-License-Identifier: MIT
//
// A guest under KVM that is held for a while does not notice by its clocks. What the guest's TSC gained is compared with what the host's did around
// and during the hold, so that however late anything is, a right answer stays right.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "src/accel/kvm/kvm.h"
#include "src/accel/kvm/kvm_priv.h"
#include "tests/lib/accel_rig.h"

#define SEEN 0x25000
#define MSR_TSC_DEADLINE 0x6e0u
#define VECTOR 0xe0u

static struct accel_rig rig;

/* Ring 0, 64 bits: store the TSC, tell, again. */
static const uint8_t program[] = {
    0x0f, 0x31,                                     /* rdtsc */
    0x48, 0xc1, 0xe2, 0x20,                         /* shl $32,%rdx */
    0x48, 0x09, 0xd0,                               /* or %rdx,%rax */
    0x48, 0x89, 0x04, 0x25, 0x00, 0x50, 0x02, 0x00, /* mov %rax,0x25000 */
    0xe6, 0x80,                                     /* out %al,$0x80 */
    0xeb, 0xeb,                                     /* jmp to the beginning */
};

static bool try_open(struct err *err)
{
    struct cpu_state cpu;
    if (accel_rig_open(&rig, &kvm_accel, err))
        return false;
    accel_rig_load_after(&rig, program, sizeof program, &cpu);
    return !kvm_accel.set_state(&rig.vcpu, &cpu, err);
}

static void open_rig(void)
{
    struct err err = {0};
    ck_assert_msg(try_open(&err), "%s", err.msg);
}

static void close_rig(void)
{
    accel_rig_close(&rig);
}

/* 0: it did not run. */
static uint64_t read_guest(void)
{
    struct vm_exit end;
    uint64_t tsc = 0;
    if (accel_rig_run(&rig, &end))
        gmem_read(&rig.gmem, SEEN, &tsc, sizeof tsc);
    return tsc;
}

static uint64_t guest_tsc(void)
{
    uint64_t tsc = read_guest();
    ck_assert_uint_ne(tsc, 0);
    return tsc;
}

static uint64_t kvmclock_ns(void)
{
    const struct kvm_vm *kvm = rig.accel.priv;
    struct kvm_clock_data clock = {0};
    ck_assert(!kvm_ioctl(kvm->vm_fd, KVM_GET_CLOCK, &clock));
    return clock.clock;
}

/* Cycles of the host for which time surely stood; 0: it cannot. */
static uint64_t hold(unsigned ms)
{
    if (!kvm_accel.hold_time(&rig.accel, true)) {
        printf("SKIP kvm_time: this kernel cannot set the offset of the TSC\n");
        return 0;
    }
    uint64_t from = __rdtsc();
    usleep(ms * 1000);
    uint64_t held = __rdtsc() - from;
    ck_assert(kvm_accel.hold_time(&rig.accel, false));
    return held;
}

START_TEST(time_of_a_held_guest_stands)
{
    uint64_t host = __rdtsc(), guest = guest_tsc(), clock_ns = kvmclock_ns();
    uint64_t held = hold(300);
    if (!held)
        return;
    uint64_t passed = guest_tsc() - guest, clock_passed_ns = kvmclock_ns() - clock_ns;
    host = __rdtsc() - host;
    ck_assert_uint_lt(passed, 1ull << 63); /* not backwards */
    ck_assert_uint_le(passed, host - held);
    /* In kvmclock's units, by what the host says of both; a hundredth for rates that are not quite the same. */
    ck_assert_uint_le(clock_passed_ns, (uint64_t)((double)(host - held) * 0.3e9 / (double)held * 1.01) + 1000000);
}
END_TEST

START_TEST(time_of_a_guest_that_was_reset_while_held_stands)
{
    struct err err = {0};
    struct cpu_state cpu;
    if (!kvm_accel.hold_time(&rig.accel, true))
        return;
    ck_assert(!kvm_accel.reset(&rig.accel, &err));
    uint64_t from = __rdtsc();
    usleep(300000);
    uint64_t held = __rdtsc() - from;
    kvm_accel.hold_time(&rig.accel, false);
    from = __rdtsc();
    accel_rig_load_after(&rig, program, sizeof program, &cpu);
    ck_assert(!kvm_accel.set_state(&rig.vcpu, &cpu, &err));
    uint64_t guest = guest_tsc();
    ck_assert_uint_lt(guest, held + (__rdtsc() - from)); /* it began at 0 */
}
END_TEST

static struct kvm_lapic_state apic(void)
{
    const struct kvm_vcpu *kv = rig.vcpu.priv;
    struct kvm_lapic_state regs;
    ck_assert(!kvm_ioctl(kv->fd, KVM_GET_LAPIC, &regs));
    return regs;
}

static void put_apic(struct kvm_lapic_state *regs, unsigned at, uint32_t val)
{
    memcpy(regs->regs + at, &val, sizeof val);
}

static bool is_requested(void)
{
    struct kvm_lapic_state regs = apic();
    return regs.regs[0x200 + VECTOR / 32 * 16 + VECTOR % 32 / 8] >> VECTOR % 8 & 1;
}

START_TEST(deadline_of_a_held_guest_does_not_come_before_its_time)
{
    const struct kvm_vcpu *kv = rig.vcpu.priv;
    struct kvm_lapic_state regs = apic();
    put_apic(&regs, 0xf0, 0x1ff);            /* enabled */
    put_apic(&regs, 0x320, 2u << 17 | VECTOR); /* TSC deadline */
    ck_assert(!kvm_ioctl(kv->fd, KVM_SET_LAPIC, &regs));
    uint64_t deadline = guest_tsc() + 200000000, is = 0;
    kvm_msr_write(&rig.vcpu, MSR_TSC_DEADLINE, deadline);
    if (!kvm_msr_read(&rig.vcpu, MSR_TSC_DEADLINE, &is) || is != deadline || !hold(500))
        return; /* no such timer here; or it has come already */
    while (guest_tsc() < deadline) {
        bool requested = is_requested();
        if (guest_tsc() < deadline)
            ck_assert(!requested);
    }
    for (unsigned n = 0; n < 1000 && !is_requested(); n++) /* the timer is not the thread's */
        usleep(1000 * (guest_tsc() > 0));
    ck_assert(is_requested());
}
END_TEST

/* A KVM with nothing of hardware behind it may show the host's own TSC, whatever it was told. */
static const char *why_not(void)
{
    static struct err err;
    if (!try_open(&err))
        return err.msg;
    bool own = read_guest() < __rdtsc() / 2;
    close_rig();
    return own ? NULL : "this KVM gives guests no TSC of their own";
}

int main(void)
{
    const char *why = why_not();
    if (why) {
        printf("SKIP kvm_time: %s\n", why);
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("kvm_time");
    TCase *tc = tcase_create("kvm_time");
    tcase_add_checked_fixture(tc, open_rig, close_rig);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, time_of_a_held_guest_stands);
    tcase_add_test(tc, deadline_of_a_held_guest_does_not_come_before_its_time);
    tcase_add_test(tc, time_of_a_guest_that_was_reset_while_held_stands);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
