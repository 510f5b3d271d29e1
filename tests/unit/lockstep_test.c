// SPDX-License-Identifier: MIT
//
// The lockstep runner with engines that go wrong on purpose: a follower whose step changes one thing after the N-th instruction. What it
// says must name the thing, the count and the instruction.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_model.h"
#include "src/accel/interp/interp.h"
#include "src/accel/kvm/kvm.h"
#include "src/accel/lockstep/lockstep.h"
#include "src/accel/probe/probe_guest.h"
#include "tests/lib/accel_rig.h"
#include "tests/lib/suite.h"

/* --- a follower with a fault --- */

static const struct accel_ops *honest; /* which does the work */
static unsigned plant_at;              /* number of the step after which it goes wrong; 0: never */
static unsigned steps;
static void (*plant)(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu);
static struct accel_rig rig;

static void bad_step(struct vcpu *v, const struct step_target *until, struct vm_exit *out)
{
    struct cpu_state cpu;
    struct err err = {0};
    honest->step(v, until, out);
    if (++steps != plant_at)
        return;
    ck_assert(!honest->get_state(v, &cpu, &err));
    plant(&rig, v, &cpu);
    ck_assert(!honest->set_state(v, &cpu, &err));
}

/* A follower on a host without POPCNT and AVX. */
static int poor_vm_init(struct accel *a, struct err *err)
{
    a->watch->features->word[CPU_1_ECX] &= ~(1u << 23 | 1u << 28);
    return honest->vm_init(a, err);
}

static struct accel_ops bad;
static struct lockstep_config config;

static void open_pair(const struct accel_ops *follower, unsigned every)
{
    struct err err = {0};
    honest = follower;
    bad = *follower;
    bad.step = bad_step;
    plant_at = steps = 0;
    config = (struct lockstep_config){.leader = &interp_accel, .follower = &bad, .every = every};
    ck_assert_msg(!accel_rig_open_lockstep(&rig, &lockstep_accel, &config, &err), "%s", err.msg);
}

static void close_pair(void)
{
    accel_rig_close(&rig);
}

/* --- programs --- */

#define PROGRAM(name, code)                                                                        \
    extern const uint8_t name[], name##_end[];                                                     \
    asm(".pushsection .rodata." #name ", \"a\"\n" #name ":\n" code #name "_end:\n.popsection\n")

/* Each instruction's address matters to the tests: bytes and numbers in the comments. */
PROGRAM(walk, "    mov $1, %eax\n"            /* 1: 0x24000 */
              "    mov $0x30000, %edi\n"      /* 2: 0x24005 */
              "    add %rax, %rax\n"          /* 3: 0x2400a */
              "    mov %rax, 0x40(%rdi)\n"    /* 4: 0x2400d */
              "    jmp 1f\n"                  /* 5: 0x24011 */
              "    ud2\n"
              "1:  xor %ecx, %ecx\n"          /* 6: 0x24015 */
              "    lea 3(%rax), %rdx\n"       /* 7: 0x24017 */
              "    movq %rdx, %xmm5\n"        /* 8: 0x2401b */
              "    out %al, $0x80\n");

/* Things that a debug step does badly, and faults: all are one instruction to both engines. */
PROGRAM(peculiar, "    mov $0x40000, %esp\n"
                  "    pushfq\n"
                  "    pop %rbx\n"
                  "    push %rbx\n"
                  "    popfq\n"
                  "    mov $100, %ecx\n"
                  "    mov $0x30100, %edi\n"
                  "    mov $0x5a, %eax\n"
                  "    rep stosb\n"
                  "    mov $100, %ecx\n"
                  "    mov $0x30100, %esi\n"
                  "    rep movsb\n"
                  "    mov %ss, %eax\n"
                  "    mov %eax, %ss\n"
                  "    mov $7, %ebp\n"
                  "    mov $0x24000 + 1f - peculiar, %r15d\n" /* behind the exception */
                  "    ud2\n"
                  "1:  mov $0x24000 + 2f - peculiar, %r15d\n"
                  "    mov 0x600000, %eax\n" /* not mapped */
                  "2:  mov $0x24000 + 3f - peculiar, %r15d\n"
                  "    int $0x40\n"
                  "3:  cpuid\n"
                  "    rdtsc\n"
                  "    shl $5, %eax\n" /* undefined flags */
                  "    pushfq\n"
                  "    imul %eax, %eax\n"
                  "    fninit\n"
                  "    fldpi\n"
                  "    fnsave 0x30200\n"
                  "    fxsave 0x30400\n"
                  "    sti\n"
                  "    cli\n"
                  "    out %al, $0x80\n");

/* Handlers of the probe's lie behind its code: R15 says where they return. */
static void run_program(const uint8_t *code, const uint8_t *end, struct vm_exit *last)
{
    struct cpu_state cpu;
    struct err err = {0};
    accel_rig_load_after(&rig, code, (size_t)(end - code), &cpu);
    ck_assert_msg(!lockstep_accel.set_state(&rig.vcpu, &cpu, &err), "%s", err.msg);
    accel_rig_run(&rig, last);
}

static void runs_to_the_end(const uint8_t *code, const uint8_t *end)
{
    struct vm_exit last = {.kind = EXIT_INTR};
    run_program(code, end, &last);
    ck_assert_msg(rig.done, "%s\n%s", last.kind == EXIT_FAIL ? last.fail.why : "no end",
                  rig.vcpu.story ? rig.vcpu.story : "");
}

START_TEST(equal_engines_come_to_the_end)
{
    open_pair(&interp_accel, 1);
    runs_to_the_end(walk, walk_end);
    ck_assert_uint_eq(steps, 8);
    close_pair();
}
END_TEST

static void follows(const struct accel_ops *follower, unsigned every, const uint8_t *code, const uint8_t *end)
{
    open_pair(follower, every);
    runs_to_the_end(code, end);
    close_pair();
}

START_TEST(what_a_debug_step_does_badly_is_no_difference)
{
    follows(&interp_accel, 1, peculiar, peculiar_end);
    follows(&interp_accel, 7, peculiar, peculiar_end);
}
END_TEST

/* Rings 0 and 3, SYSCALL, IRET, PUSHF in either ring, selectors, exceptions: the programs that measure engines. */
static void run_probes(const struct accel_ops *follower, unsigned every)
{
    const uint8_t *const entries[] = {probe_runs, probe_syscall, probe_flags, probe_segments, probe_exceptions};
    for (unsigned i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct vm_exit last = {.kind = EXIT_INTR};
        struct cpu_state cpu;
        struct err err = {0};
        open_pair(follower, every);
        ck_assert(!probe_guest_load(&rig.gmem, &err));
        probe_guest_state(&cpu, entries[i], 0);
        ck_assert_msg(!lockstep_accel.set_state(&rig.vcpu, &cpu, &err), "%s", err.msg);
        accel_rig_run(&rig, &last);
        ck_assert_msg(rig.done, "program %u: %s\n%s", i, last.kind == EXIT_FAIL ? last.fail.why : "no end",
                      rig.vcpu.story ? rig.vcpu.story : "");
        close_pair();
    }
}

START_TEST(rings_and_exceptions_are_followed)
{
    run_probes(&interp_accel, 1);
    run_probes(&interp_accel, 9);
}
END_TEST

START_TEST(kvm_follows_rings_and_exceptions)
{
    run_probes(&kvm_accel, 1);
    run_probes(&kvm_accel, 9);
}
END_TEST

/* --- planted --- */

static void flip_carry(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu)
{
    (void)r, (void)v;
    cpu->rflags ^= 1;
}

static void change_r9(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu)
{
    (void)r, (void)v;
    cpu->gpr[R9] = 0x1234;
}

static void change_vector(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu)
{
    (void)r, (void)v;
    cpu->ymm[5][1] = 2;
}

static void change_base(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu)
{
    (void)r, (void)v;
    cpu->seg[SEG_FS].base = 0x1000;
}

PROGRAM(ask, "    mov $1, %eax\n"
             "    cpuid\n"
             "    mov %ecx, %r8d\n"
             "    mov $7, %eax\n"
             "    xor %ecx, %ecx\n"
             "    cpuid\n"
             "    out %al, $0x80\n");

START_TEST(both_show_what_both_can)
{
    struct cpu_state cpu;
    struct err err = {0};
    honest = &interp_accel;
    bad = interp_accel;
    bad.vm_init = poor_vm_init;
    config = (struct lockstep_config){.leader = &interp_accel, .follower = &bad, .every = 1};
    ck_assert_msg(!accel_rig_open_lockstep(&rig, &lockstep_accel, &config, &err), "%s", err.msg);
    runs_to_the_end(ask, ask_end);
    ck_assert(!lockstep_accel.get_state(&rig.vcpu, &cpu, &err));
    ck_assert_uint_eq(cpu.gpr[R8] & (1u << 23 | 1u << 28), 0);
    ck_assert_uint_ne(cpu.gpr[R8] & 1u << 31, 0);   /* a hypervisor is there */
    ck_assert_uint_eq(cpu.gpr[RBX] & 1u << 5, 0); /* AVX2 rests on AVX */
    close_pair();
}
END_TEST

static void change_store(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu)
{
    uint64_t wrong = 3;
    (void)r, (void)cpu;
    gmem_write(v->accel->gmem, 0x30040, &wrong, sizeof wrong);
}

static void run_planted_in(const struct accel_ops *follower, unsigned at,
                           void (*what)(struct accel_rig *, struct vcpu *, struct cpu_state *), unsigned every, struct vm_exit *last)
{
    open_pair(follower, every);
    plant_at = at;
    plant = what;
    run_program(walk, walk_end, last);
    ck_assert_int_eq(last->kind, EXIT_FAIL);
}

static void run_planted(unsigned at, void (*what)(struct accel_rig *, struct vcpu *, struct cpu_state *), unsigned every,
                        struct vm_exit *last)
{
    run_planted_in(&interp_accel, at, what, every, last);
}

#define HAS(text, part) ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text)

START_TEST(a_flag_is_found_at_its_instruction)
{
    struct vm_exit last;
    run_planted(3, flip_carry, 1, &last);
    ck_assert_str_eq(last.fail.why, "interp and interp differ after 3 instructions: RFLAGS");
    HAS(rig.vcpu.story, "# 0000000000000003 <- differs: CF");
    HAS(rig.vcpu.story, "  000000000002400a 4801c0                 add rax, rax\n"
                        "last branches");
    close_pair();
}
END_TEST

START_TEST(a_register_is_found_with_both_values)
{
    struct vm_exit last;
    run_planted(7, change_r9, 1, &last);
    ck_assert_str_eq(last.fail.why, "interp and interp differ after 7 instructions: R9");
    HAS(rig.vcpu.story, "R9          0000000000000000   0000000000000000 # 0000000000001234 <- differs\n");
    HAS(rig.vcpu.story, "RDX         0000000000000600   0000000000000005   0000000000000005\n");
    HAS(rig.vcpu.story, "lea rdx, [rax+0x03]\nlast branches:\n  0000000000024011 -> 0000000000024015\n");
    close_pair();
}
END_TEST

START_TEST(vectors_and_segments_are_compared)
{
    struct vm_exit last;
    run_planted(8, change_vector, 1, &last);
    ck_assert_str_eq(last.fail.why, "interp and interp differ after 8 instructions: YMM5[1]");
    close_pair();
    run_planted(2, change_base, 1, &last);
    ck_assert_str_eq(last.fail.why, "interp and interp differ after 2 instructions: FS.base");
    close_pair();
}
END_TEST

START_TEST(a_wrong_store_is_found)
{
    struct vm_exit last;
    run_planted(4, change_store, 1, &last);
    ck_assert_str_eq(last.fail.why, "interp and interp differ after 4 instructions: RAM at 0x30040: 02 00 00 00 00 00 00 00 "
                                    "and 03 00 00 00 00 00 00 00");
    close_pair();
}
END_TEST

START_TEST(a_longer_way_between_comparisons_finds_it_later)
{
    struct vm_exit last;
    run_planted(2, change_r9, 4, &last);
    ck_assert_str_eq(last.fail.why, "interp and interp differ after 4 instructions: R9");
    close_pair();
}
END_TEST

static void jump_away(struct accel_rig *r, struct vcpu *v, struct cpu_state *cpu)
{
    (void)r, (void)v;
    cpu->rip = ACCEL_RIG_CODE + 0x20; /* at the OUT, whose turn is not now */
}

START_TEST(a_follower_that_leaves_the_way_is_told_so)
{
    struct vm_exit last;
    run_planted(1, jump_away, 3, &last);
    HAS(last.fail.why, "interp and interp differ after 2 instructions: interp: it reaches a device");
    close_pair();
}
END_TEST

/* --- kvm --- */

static bool kvm_works;

START_TEST(kvm_follows)
{
    open_pair(&kvm_accel, 1);
    runs_to_the_end(walk, walk_end);
    ck_assert_uint_eq(steps, 8);
    close_pair();
}
END_TEST

START_TEST(kvm_follows_what_a_debug_step_does_badly)
{
    follows(&kvm_accel, 1, peculiar, peculiar_end);
    follows(&kvm_accel, 16, peculiar, peculiar_end);
}
END_TEST

START_TEST(a_fault_of_kvm_is_found_too)
{
    struct vm_exit last;
    run_planted_in(&kvm_accel, 3, flip_carry, 1, &last);
    ck_assert_str_eq(last.fail.why, "interp and kvm differ after 3 instructions: RFLAGS");
    close_pair();
}
END_TEST

static bool has_hardware(void)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = strncmp(line, "flags", 5) == 0 && (strstr(line, " svm ") || strstr(line, " vmx "));
    if (f)
        fclose(f);
    return found;
}

static void find_kvm(void)
{
    struct err err = {0};
    kvm_works = !accel_rig_open(&rig, &kvm_accel, &err);
    if (kvm_works)
        accel_rig_close(&rig);
    else
        printf("SKIP lockstep with kvm: %s\n", err.msg);
}

int main(void)
{
    find_kvm();
    Suite *suite = suite_create("lockstep");
    TCase *tc = tcase_create("lockstep");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, equal_engines_come_to_the_end);
    tcase_add_test(tc, what_a_debug_step_does_badly_is_no_difference);
    tcase_add_test(tc, rings_and_exceptions_are_followed);
    tcase_add_test(tc, both_show_what_both_can);
    tcase_add_test(tc, a_flag_is_found_at_its_instruction);
    tcase_add_test(tc, a_register_is_found_with_both_values);
    tcase_add_test(tc, vectors_and_segments_are_compared);
    tcase_add_test(tc, a_wrong_store_is_found);
    tcase_add_test(tc, a_longer_way_between_comparisons_finds_it_later);
    tcase_add_test(tc, a_follower_that_leaves_the_way_is_told_so);
    if (kvm_works)
        tcase_add_test(tc, a_fault_of_kvm_is_found_too);
    if (kvm_works && has_hardware()) {
        tcase_add_test(tc, kvm_follows);
        tcase_add_test(tc, kvm_follows_rings_and_exceptions);
        tcase_add_test(tc, kvm_follows_what_a_debug_step_does_badly);
    } else {
        printf("SKIP kvm_follows: no KVM with hardware virtualization here (no svm or vmx in /proc/cpuinfo)\n");
    }
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
