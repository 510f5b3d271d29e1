// SPDX-License-Identifier: MIT
//
// The interpreter under counted time, on tiny programs in real mode: what the time is at an instruction, that timers and events come between
// exactly the right two, turns of several CPUs, sleep, and that nothing of it depends on how blocks were cut. Programs live at 0x1000; DS
// reaches the test's device at 32 MiB.
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel.h"
#include "src/accel/interp/interp.h"
#include "tests/lib/suite.h"
#include "util.h"

#define CODE 0x1000
#define DEVICE 0x2000000
#define MAX_CPUS 3

#define NOP "\x90"
#define NOPS4 NOP NOP NOP NOP
#define NOPS16 NOPS4 NOPS4 NOPS4 NOPS4
#define WRITE "\x66\x67\xa3\x00\x00\x00\x02" /* mov %eax, DEVICE */
#define READ "\x66\x67\xa1\x00\x00\x00\x02"  /* mov DEVICE, %eax */
#define RDTSC "\x0f\x31"
#define HLT "\xf4"
#define LOOP_HERE(n) "\xeb" n /* jmp */

static struct accel accel;
static struct vcpu vcpus[MAX_CPUS];
static struct gmem gmem;
static struct bus pio, mmio;
static struct clock clk;
static struct evloop loop;
static struct event_queue events;
static pthread_mutex_t lock;
static struct region region;

/* What the device saw, and does when written: arms the timer so much later, or posts the event. */
static uint64_t seen[64], fired_at[64], event_at[64];
static unsigned nseen, nfired, nevents;
static uint64_t arm_after;
static unsigned stop_at; /* the access that ends the run */
static bool posts;
static struct timer timer;
static struct event event;

static void stop(void)
{
    accel.ops->kick(&vcpus[0]);
}

static uint64_t device_read(void *self, uint64_t off, unsigned size)
{
    (void)self, (void)off, (void)size;
    seen[nseen++ % 64] = clock_count(&clk);
    return 0;
}

static void device_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    (void)self, (void)off, (void)size, (void)val;
    seen[nseen++ % 64] = clock_count(&clk);
    if (posts)
        event_post(&event);
    if (arm_after)
        timer_arm(&timer, clock_now_ns(&clk) + arm_after);
    if (nseen == stop_at)
        stop();
}

static const struct io_ops device_ops = {device_read, device_write, 4, 4};

static void on_timer(void *self)
{
    (void)self;
    fired_at[nfired++ % 64] = clock_count(&clk);
    stop();
}

static void on_event(void *self)
{
    (void)self;
    event_at[nevents++ % 64] = clock_count(&clk);
    stop();
}

static void on_posted(void *opaque)
{
    (void)opaque;
    accel.ops->look(&accel);
}

static void on_io(void *opaque, struct vcpu *v, struct vm_exit *exit)
{
    (void)opaque, (void)v;
    ck_assert_int_eq(exit->kind, EXIT_MMIO);
    pthread_mutex_lock(&lock);
    if (exit->mmio.write)
        bus_write_string(&mmio, exit->mmio.addr, exit->mmio.size, 1, exit->mmio.data);
    else
        bus_read_string(&mmio, exit->mmio.addr, exit->mmio.size, 1, exit->mmio.data);
    pthread_mutex_unlock(&lock);
}

static void start(unsigned ncpus, unsigned shift)
{
    struct err err = {0};
    nseen = nfired = nevents = 0;
    arm_after = stop_at = 0;
    posts = false;
    pthread_mutex_init(&lock, NULL);
    accel = (struct accel){
        .ops = &interp_accel, .gmem = &gmem, .loop = &loop, .lock = &lock, .pio = &pio, .mmio = &mmio, .clock = &clk,
        .events = &events, .random_seed = 1, .io = on_io, .vcpus = vcpus, .nvcpus = ncpus,
    };
    bus_init(&pio, "pio", 0x10000);
    bus_init(&mmio, "mmio", 0);
    clock_init_counted(&clk, shift, 0);
    event_queue_init(&events, on_posted, NULL);
    event_init(&event, &events, on_event, NULL);
    timer_init(&timer, &clk, on_timer, NULL);
    ck_assert_int_eq(evloop_init(&loop, &err), 0);
    ck_assert_int_eq(gmem_init(&gmem, MIB(16), GIB(3), GIB(4), &err), 0);
    region = (struct region){.name = "device", .base = DEVICE, .len = 4, .ops = &device_ops};
    ck_assert_int_eq(bus_add(&mmio, &region, &err), 0);
    ck_assert_msg(!accel.ops->vm_init(&accel, &err), "%s", err.msg);
    for (unsigned i = 0; i < ncpus; i++) {
        vcpus[i] = (struct vcpu){.id = i, .accel = &accel};
        ck_assert_int_eq(accel.ops->vcpu_init(&vcpus[i], &err), 0);
    }
}

static void finish(void)
{
    timer_cancel(&timer);
    for (unsigned i = 0; i < accel.nvcpus; i++)
        accel.ops->vcpu_fini(&vcpus[i]);
    accel.ops->vm_fini(&accel);
    event_queue_fini(&events);
    gmem_fini(&gmem);
    evloop_fini(&loop);
}

/* CPU `id` runs this code, placed at `at`. */
static void load_at(unsigned id, gpa_t at, const char *code, size_t len)
{
    struct cpu_state s;
    struct err err = {0};
    ck_assert_int_eq(gmem_write(&gmem, at, code, len), 0);
    cpu_state_reset(&s, id == 0);
    s.run = CPU_RUNNING;
    s.rip = at;
    s.seg[SEG_CS].base = 0;
    s.seg[SEG_CS].sel = 0;
    s.seg[SEG_DS].limit = ~0u;
    ck_assert_int_eq(accel.ops->set_state(&vcpus[id], &s, &err), 0);
}

#define LOAD(code) load_at(0, CODE, code, sizeof code - 1)

static void run(void)
{
    struct vm_exit exit;
    accel.ops->run(&vcpus[0], &exit);
    ck_assert_int_eq(exit.kind, EXIT_INTR);
}

static struct cpu_state state_of(unsigned id)
{
    struct cpu_state s;
    struct err err = {0};
    ck_assert_int_eq(accel.ops->get_state(&vcpus[id], &s, &err), 0);
    return s;
}

START_TEST(icount_time_inside_a_block_counts_what_is_behind)
{
    start(1, 2);
    stop_at = 3;
    LOAD(NOPS4 READ NOP READ RDTSC NOP WRITE NOPS16 HLT);
    run();
    ck_assert_uint_eq(nseen, 3);
    ck_assert_uint_eq(seen[0], 4);
    ck_assert_uint_eq(seen[1], 6);
    ck_assert_uint_eq(seen[2], 9);
    ck_assert_uint_eq(state_of(0).gpr[RAX], 7 << 2); /* the counter: nanoseconds */
    ck_assert_uint_eq(clock_count(&clk), 10);         /* and nothing ran behind the write that stopped it */
    finish();
}
END_TEST

/* Wherever in the block the deadline lies, and wherever blocks begin. */
START_TEST(icount_timer_fires_between_the_right_two_instructions)
{
    start(1, 0);
    LOAD(NOPS16 NOPS16 NOPS16 LOOP_HERE("\xce"));
    uint64_t deadline = 0;
    for (unsigned i = 0; i < 60; i++) {
        deadline += 7 * i + 1;
        timer_arm(&timer, deadline);
        run();
        ck_assert_uint_eq(nfired, i + 1);
        ck_assert_uint_eq(fired_at[i], deadline);
        ck_assert_uint_eq(clock_count(&clk), deadline);
        ck_assert_uint_eq(state_of(0).rip, CODE + deadline % 49);
    }
    finish();
}
END_TEST

START_TEST(icount_timer_waits_for_a_whole_instruction)
{
    start(1, 5);
    LOAD(NOPS16 NOPS16 NOPS16 LOOP_HERE("\xce"));
    timer_arm(&timer, 100); /* 3.1 instructions */
    run();
    ck_assert_uint_eq(fired_at[0], 4);
    ck_assert_uint_eq(clock_now_ns(&clk), 128);
    finish();
}
END_TEST

/* Armed by an instruction in the middle of the block in which it is due. */
START_TEST(icount_timer_armed_in_a_block_fires_in_it)
{
    for (unsigned after = 1; after < 20; after++) {
        start(1, 0);
        arm_after = after;
        LOAD(NOPS4 NOP WRITE NOPS16 NOPS16 LOOP_HERE("\xfe"));
        run();
        ck_assert_uint_eq(seen[0], 5);
        ck_assert_uint_eq(fired_at[0], 5 + after);
        finish();
    }
}
END_TEST

START_TEST(icount_timer_armed_in_the_past_fires_after_the_instruction)
{
    start(1, 0);
    LOAD(NOPS16 WRITE NOPS16 LOOP_HERE("\xfe"));
    arm_after = UINT64_MAX; /* now - 1 */
    run();
    ck_assert_uint_eq(fired_at[0], 17);
    finish();
}
END_TEST

START_TEST(icount_event_of_a_device_comes_after_the_instruction)
{
    start(1, 0);
    posts = true;
    LOAD(NOPS4 WRITE NOPS16 WRITE LOOP_HERE("\xfe"));
    run();
    ck_assert_uint_eq(nevents, 1);
    ck_assert_uint_eq(event_at[0], 5);
    run();
    ck_assert_uint_eq(event_at[1], 22);
    finish();
}
END_TEST

START_TEST(icount_halted_machine_jumps_to_the_timer)
{
    start(1, 3);
    LOAD(NOPS4 HLT);
    timer_arm(&timer, 3600 * NS_PER_S);
    run();
    ck_assert_uint_eq(nfired, 1);
    ck_assert_uint_eq(clock_now_ns(&clk), 3600 * NS_PER_S);
    ck_assert_uint_eq(clock_count(&clk), 5);
    finish();
}
END_TEST

static void *post_soon(void *unused)
{
    usleep(30000);
    event_post(&event);
    return unused;
}

START_TEST(icount_halted_machine_without_timers_waits_for_the_outside)
{
    pthread_t thread;
    start(1, 0);
    LOAD(HLT);
    ck_assert_int_eq(pthread_create(&thread, NULL, post_soon, NULL), 0);
    run();
    pthread_join(thread, NULL);
    ck_assert_uint_eq(nevents, 1);
    ck_assert_uint_eq(clock_now_ns(&clk), 1); /* it took no guest time */
    finish();
}
END_TEST

START_TEST(icount_running_machine_notices_the_outside)
{
    pthread_t thread;
    start(1, 0);
    LOAD(NOP LOOP_HERE("\xfd"));
    ck_assert_int_eq(pthread_create(&thread, NULL, post_soon, NULL), 0);
    run();
    pthread_join(thread, NULL);
    ck_assert_uint_eq(nevents, 1);
    finish();
}
END_TEST

struct outcome {
    uint64_t count, ns, rip[MAX_CPUS], own[MAX_CPUS];
};

/* Three CPUs count in memory, each in a loop of its own length; a timer ends it, and interrupts the run so often before. */
static struct outcome run_three(uint64_t run_for)
{
    static const char *const code[MAX_CPUS] = {
        "\x66\xff\x06\x00\x20\xeb\xf9",                 /* incl 0x2000; jmp */
        "\x66\xff\x06\x04\x20\x90\x90\x90\xeb\xf6",     /* incl 0x2004; nops; jmp */
        "\x66\xff\x06\x08\x20\xf3\x90\x90\xeb\xf6",     /* incl 0x2008; pause; nop; jmp */
    };
    static const size_t len[MAX_CPUS] = {7, 10, 10};
    struct outcome out = {0};
    start(MAX_CPUS, 0);
    for (unsigned i = 0; i < MAX_CPUS; i++)
        load_at(i, CODE + 0x100 * i, code[i], len[i]);
    uint64_t end = 3000001;
    for (uint64_t at = run_for; at < end; at += run_for) {
        timer_arm(&timer, at);
        run();
    }
    timer_arm(&timer, end);
    run();
    out.count = clock_count(&clk);
    out.ns = clock_now_ns(&clk);
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        out.rip[i] = state_of(i).rip;
        gmem_read(&gmem, 0x2000 + 4 * i, &out.own[i], 4);
    }
    finish();
    return out;
}

START_TEST(icount_turns_do_not_depend_on_where_the_run_was_interrupted)
{
    struct outcome once = run_three(UINT64_MAX / 2), again = run_three(UINT64_MAX / 2), often = run_three(7919);
    ck_assert_uint_eq(once.count, 3000001);
    ck_assert_uint_gt(once.own[0], 100000); /* everybody had turns; */
    ck_assert_uint_gt(once.own[1], 100000);
    ck_assert_uint_gt(once.own[2], 4);
    ck_assert_uint_lt(once.own[2], 100); /* who pauses gives them away */
    ck_assert_mem_eq(&once, &again, sizeof once);
    ck_assert_mem_eq(&once, &often, sizeof once);
}
END_TEST

/* rep stosb over a MiB is one long instruction: a kick from outside must not cut it into more. */
static void *kick_soon(void *unused)
{
    for (unsigned i = 0; i < 200; i++) {
        usleep(100);
        stop();
    }
    return unused;
}

START_TEST(icount_repeated_strings_count_the_same_under_kicks)
{
    /* mov $0x100000, %edi; mov $0xe00000, %ecx; rep stosb (addr32); mov %eax, DEVICE; jmp back */
    static const char code[] = "\x66\xbf\x00\x00\x10\x00\x66\xb9\x00\x00\xe0\x00\x67\xf3\xaa\x66\x67\xa3\x00\x00\x00\x02\xeb\xe8";
    uint64_t counts[2];
    for (unsigned kicked = 0; kicked < 2; kicked++) {
        pthread_t thread;
        start(1, 0);
        LOAD(code);
        struct cpu_state s = state_of(0);
        struct err err = {0};
        s.seg[SEG_ES].limit = ~0u;
        ck_assert_int_eq(accel.ops->set_state(&vcpus[0], &s, &err), 0);
        if (kicked)
            ck_assert_int_eq(pthread_create(&thread, NULL, kick_soon, NULL), 0);
        stop_at = 20;
        while (nseen < stop_at)
            run();
        counts[kicked] = seen[19];
        if (kicked)
            pthread_join(thread, NULL);
        finish();
    }
    ck_assert_uint_eq(counts[0], counts[1]);
}
END_TEST

static uint64_t random_number(uint64_t seed)
{
    struct err err = {0};
    start(1, 0);
    accel.ops->vcpu_fini(&vcpus[0]);
    accel.random_seed = seed;
    ck_assert_int_eq(accel.ops->vcpu_init(&vcpus[0], &err), 0);
    stop_at = 1;
    LOAD("\x66\x0f\xc7\xf3" WRITE NOP HLT); /* rdrand %ebx */
    run();
    uint64_t val = state_of(0).gpr[RBX];
    finish();
    return val;
}

START_TEST(icount_random_numbers_follow_from_the_seed)
{
    ck_assert_uint_eq(random_number(5), random_number(5));
    ck_assert_uint_ne(random_number(5), random_number(6));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("icount");
    TCase *t = tcase_create("interp");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, icount_time_inside_a_block_counts_what_is_behind);
    tcase_add_test(t, icount_timer_fires_between_the_right_two_instructions);
    tcase_add_test(t, icount_timer_waits_for_a_whole_instruction);
    tcase_add_test(t, icount_timer_armed_in_a_block_fires_in_it);
    tcase_add_test(t, icount_timer_armed_in_the_past_fires_after_the_instruction);
    tcase_add_test(t, icount_event_of_a_device_comes_after_the_instruction);
    tcase_add_test(t, icount_halted_machine_jumps_to_the_timer);
    tcase_add_test(t, icount_halted_machine_without_timers_waits_for_the_outside);
    tcase_add_test(t, icount_running_machine_notices_the_outside);
    tcase_add_test(t, icount_turns_do_not_depend_on_where_the_run_was_interrupted);
    tcase_add_test(t, icount_repeated_strings_count_the_same_under_kicks);
    tcase_add_test(t, icount_random_numbers_follow_from_the_seed);
    suite_add_tcase(s, t);
    return suite_run(s);
}
