// SPDX-License-Identifier: MIT
//
// The whole cpu_state to a KVM vCPU and back, and out of one that ran.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/accel/kvm/kvm.h"
#include "src/accel/probe/probe_guest.h"
#include "tests/lib/accel_rig.h"
#include "tests/lib/random.h"
#include "tests/lib/suite.h"

static struct accel_rig rig;
static uint64_t seed = 1;

static uint64_t draw(void)
{
    return random_next(&seed) * 0x2545f4914f6cdd1d;
}

static uint64_t draw_address(void)
{
    return (uint64_t)((int64_t)(draw() << 16) >> 16);
}

static uint8_t draw_memory_type(void)
{
    static const uint8_t types[] = {0, 1, 4, 5, 6};
    return types[draw() % sizeof types];
}

static uint64_t draw_memory_types(void)
{
    uint64_t val = 0;
    for (unsigned i = 0; i < 8; i++)
        val = val << 8 | draw_memory_type();
    return val;
}

static void open_rig(void)
{
    struct err err = {0};
    ck_assert_msg(!accel_rig_open(&rig, &kvm_accel, &err), "%s", err.msg);
}

static void close_rig(void)
{
    accel_rig_close(&rig);
}

static void put(const struct cpu_state *cpu)
{
    struct err err = {0};
    ck_assert_msg(!kvm_accel.set_state(&rig.vcpu, cpu, &err), "%s", err.msg);
}

static void take(struct cpu_state *cpu)
{
    struct err err = {0};
    ck_assert_msg(!kvm_accel.get_state(&rig.vcpu, cpu, &err), "%s", err.msg);
}

/* --- a state that a CPU can be in, at random --- */

static void draw_segments(struct cpu_state *s)
{
    uint8_t cpl = draw() & 1 ? 3 : 0;
    for (unsigned i = 0; i <= SEG_GS; i++) {
        struct cpu_seg *seg = &s->seg[i];
        seg->sel = (uint16_t)((draw() & 0xfff8) | cpl);
        seg->dpl = cpl;
        seg->avl = draw() & 1;
    }
    s->seg[SEG_DS].limit = (uint32_t)draw() & 0xfffff;
    s->seg[SEG_DS].g = false;
    s->seg[SEG_DS].base = (uint32_t)draw();
    s->seg[SEG_ES].type = 7; /* expand-down, accessed */
    s->seg[SEG_FS].base = draw_address();
    s->seg[SEG_GS].base = draw_address();
    s->seg[SEG_LDTR].base = draw_address();
    s->seg[SEG_LDTR].limit = (uint32_t)draw() & 0xffff;
    s->seg[SEG_TR].base = draw_address();
    s->seg[SEG_TR].sel = (uint16_t)draw() & 0xfff8;
}

static void draw_msrs(struct cpu_msrs *m)
{
    m->star = draw();
    m->lstar = draw_address();
    m->cstar = draw_address();
    m->sfmask = (uint32_t)draw();
    m->kernel_gs_base = draw_address();
    m->tsc_aux = (uint32_t)draw();
    m->sysenter_cs = (uint16_t)draw();
    m->sysenter_esp = (uint32_t)draw(); /* AMD's have no more bits */
    m->sysenter_eip = (uint32_t)draw();
    m->pat = draw_memory_types();
    m->tsc_adjust = draw();
    m->mcg_status = draw() & 7;
    m->kvm_wall_clock = draw(); /* wherever it points, nothing breaks */
    m->kvm_system_time = draw();
    m->mtrr_def_type = 0x800 | draw_memory_type();
    for (unsigned i = 0; i < 11; i++)
        m->mtrr_fix[i] = draw_memory_types();
    for (unsigned i = 0; i < 16; i += 2) {
        m->mtrr_var[i] = (draw() & 0xffffff000) | draw_memory_type();
        m->mtrr_var[i + 1] = (draw() & 0xffffff000) | 0x800;
    }
}

static void draw_vectors(struct cpu_state *s)
{
    struct cpu_x87 *x = &s->x87;
    *x = (struct cpu_x87){
        .control = (uint16_t)((draw() & 0xf3f) | 0x40),
        .status = (uint16_t)(draw() & 0x7f00), /* no exception is pending */
        .opcode = (uint16_t)(draw() & 0x7ff),
        .empty = (uint8_t)draw(),
        .ip = draw_address(),
        .dp = draw_address(),
    };
    for (unsigned i = 0; i < 8; i++) {
        x->st[i].mantissa = draw() | 1ull << 63;
        x->st[i].sign_exp = (uint16_t)draw();
    }
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned w = 0; w < 4; w++)
            s->ymm[i][w] = w < 2 || s->xcr0 & 4 ? draw() : 0;
    }
    s->mxcsr = (uint32_t)draw() & 0xffbf;
}

/* xcr0: what this host has. */
static void draw_state(struct cpu_state *s, uint64_t xcr0)
{
    probe_guest_state(s, probe_code, 0);
    for (unsigned i = 0; i < GPRS; i++)
        s->gpr[i] = draw();
    s->rip = draw_address();
    s->rflags = (draw() & 0x244ed5) | 2; /* CF PF AF ZF SF IF DF OF NT AC ID... */
    draw_segments(s);
    s->gdt = (struct cpu_table){draw_address(), (uint16_t)draw()};
    s->idt = (struct cpu_table){draw_address(), (uint16_t)draw()};
    s->cr0 ^= draw() & 0x50008; /* AM, WP, TS */
    s->cr2 = draw_address();
    s->cr3 = draw() & 0xffffff000;
    s->cr4 ^= draw() & 0x9c; /* PGE, PSE, DE, TSD */
    s->cr8 = draw() & 15;
    s->efer |= draw() & 0x800;
    for (unsigned i = 0; i < 4; i++)
        s->dr[i] = draw_address();
    s->dr[6] |= draw() & 0xe00f;
    s->dr[7] |= draw() & 0xffff23ff;
    s->xcr0 = xcr0;
    draw_msrs(&s->msr);
    draw_vectors(s);
    s->interrupt_shadow = draw() & 1;
    s->nmi_blocked = draw() & 1;
    s->nmi_pending = draw() & 1;
}

/* Member by member, so that a failure names it. */
#define SAME(member)                                                                               \
    ck_assert_msg(!memcmp(&got->member, &want->member, sizeof got->member),                        \
                  #member " came back as another (seed %#llx): first words %#llx, want %#llx",     \
                  (unsigned long long)at, first_word(&got->member, sizeof got->member),            \
                  first_word(&want->member, sizeof want->member))

static unsigned long long first_word(const void *p, size_t len)
{
    unsigned long long val = 0;
    memcpy(&val, p, len < sizeof val ? len : sizeof val);
    return val;
}

static void check_same(const struct cpu_state *got, const struct cpu_state *want, uint64_t at)
{
    for (unsigned i = 0; i < GPRS; i++)
        SAME(gpr[i]);
    SAME(rip);
    SAME(rflags);
    for (unsigned i = 0; i < SEGS; i++) {
        SAME(seg[i].base);
        SAME(seg[i].limit);
        SAME(seg[i].sel);
        SAME(seg[i].type);
        SAME(seg[i].dpl);
        SAME(seg[i].s);
        SAME(seg[i].present);
        SAME(seg[i].avl);
        SAME(seg[i].l);
        SAME(seg[i].db);
        SAME(seg[i].g);
    }
    SAME(gdt.base);
    SAME(gdt.limit);
    SAME(idt.base);
    SAME(idt.limit);
    SAME(cr0);
    SAME(cr2);
    SAME(cr3);
    SAME(cr4);
    SAME(cr8);
    SAME(efer);
    SAME(apic_base);
    SAME(run);
    SAME(xcr0);
    for (unsigned i = 0; i < 8; i++)
        SAME(dr[i]);
    SAME(x87);
    for (unsigned i = 0; i < 16; i++)
        SAME(ymm[i]);
    SAME(mxcsr);
    SAME(interrupt_shadow);
    SAME(nmi_blocked);
    SAME(nmi_pending);
    SAME(msr.star);
    SAME(msr.lstar);
    SAME(msr.cstar);
    SAME(msr.sfmask);
    SAME(msr.kernel_gs_base);
    SAME(msr.tsc_aux);
    SAME(msr.sysenter_cs);
    SAME(msr.sysenter_esp);
    SAME(msr.sysenter_eip);
    SAME(msr.pat);
    SAME(msr.misc_enable);
    SAME(msr.tsc_adjust);
    SAME(msr.mcg_status);
    SAME(msr.kvm_wall_clock);
    SAME(msr.kvm_system_time);
    SAME(msr.mtrr_def_type);
    SAME(msr.mtrr_fix);
    SAME(msr.mtrr_var);
}

/* What XCR0 may be here: bit 2 only where the host has AVX. */
static uint64_t most_of_xcr0(void)
{
    return __builtin_cpu_supports("avx") ? 7 : 3;
}

START_TEST(any_state_comes_back_as_it_was_set)
{
    struct cpu_state want, got;
    for (unsigned n = 0; n < 300; n++) {
        uint64_t at = seed;
        draw_state(&want, most_of_xcr0());
        put(&want);
        take(&got);
        check_same(&got, &want, at);
    }
}
END_TEST

START_TEST(the_state_after_reset_comes_back)
{
    struct cpu_state want, got;
    cpu_state_reset(&want, true);
    put(&want);
    take(&got);
    check_same(&got, &want, 0);
}
END_TEST

START_TEST(equal_states_are_equal_bytes)
{
    struct cpu_state want, first, second;
    draw_state(&want, most_of_xcr0());
    put(&want);
    memset(&first, 0x55, sizeof first);
    memset(&second, 0xaa, sizeof second);
    take(&first);
    take(&second);
    ck_assert_mem_eq(&first, &second, sizeof first);
}
END_TEST

/* --- what a guest loaded --- */

#define GUEST(name, code)                                                                          \
    extern const uint8_t name[], name##_stop[], name##_end[];                                      \
    asm(".pushsection .rodata." #name ", \"a\"\n" #name ":\n" code "out %al, $0x80\n" #name           \
        "_stop:\n    mov $0xbad, %edi\n    hlt\n" #name "_end:\n.popsection\n")

/* In ring 3, as a KVM without hardware virtualization runs vector code only there. EBX: XCR0. */
GUEST(vector_guest,
    "    fninit\n"
    "    fldpi\n"
    "    fld1\n"
    "    mov $0x1111222233334444, %rax\n"
    "    movq %rax, %xmm0\n"
    "    movddup %xmm0, %xmm15\n"
    "    test $4, %bl\n"
    "    jz 1f\n"
    "    vinsertf128 $1, %xmm15, %ymm15, %ymm3\n"
    "1:  pushq $0x9f80\n" /* flush to zero */
    "    ldmxcsr (%rsp)\n");

GUEST(system_guest,
    "    mov $0xc0000082, %ecx\n" /* LSTAR */
    "    mov $0xffffffff, %edx\n"
    "    mov $0x81000000, %eax\n"
    "    wrmsr\n"
    "    mov $0xc0000102, %ecx\n" /* KERNEL_GS_BASE */
    "    mov $0x1234, %edx\n"
    "    wrmsr\n"
    "    mov $0x174, %ecx\n" /* SYSENTER_CS */
    "    xor %edx, %edx\n"
    "    mov $0x58, %eax\n"
    "    wrmsr\n"
    "    mov $0x123456789a, %rax\n"
    "    mov %rax, %dr2\n"
    "    mov $0x0d000420, %eax\n" /* data breakpoint 2, never hit */
    "    mov %rax, %dr7\n"
    "    mov $0x4321, %edi\n"
    "    mov %rdi, %cr2\n"
    "    mov $9, %eax\n"
    "    mov %rax, %cr8\n");

/* Runs a guest to its end; then *cpu is what it loaded. */
static void run_guest(const uint8_t *code, const uint8_t *stop, const uint8_t *end, bool user,
                      struct cpu_state *cpu)
{
    struct vm_exit last = {0};
    accel_rig_load(&rig, code, (size_t)(end - code), cpu);
    cpu->xcr0 = most_of_xcr0();
    cpu->cr4 |= 0x40000; /* OSXSAVE */
    cpu->gpr[RBX] = cpu->xcr0;
    if (user)
        accel_rig_user(cpu);
    put(cpu);
    ck_assert_msg(accel_rig_run(&rig, &last), "exit %d %s", (int)last.kind,
                  last.kind == EXIT_FAIL ? last.fail.why : "");
    take(cpu);
    /* The access that stopped it is over: its instruction is behind us, the next has not run. */
    ck_assert_uint_eq(cpu->rip, PROBE_CODE + (uint64_t)(stop - code));
    ck_assert_uint_ne(cpu->gpr[RDI], 0xbad);
}

START_TEST(vectors_of_a_stopped_guest_are_what_it_loaded)
{
    struct cpu_state cpu;
    run_guest(vector_guest, vector_guest_stop, vector_guest_end, true, &cpu);
    ck_assert_uint_eq(cpu.xcr0, most_of_xcr0());
    ck_assert_uint_eq(cpu.x87.control, 0x37f);
    ck_assert_uint_eq(cpu.x87.status >> 11 & 7, 6);
    ck_assert_uint_eq(cpu.x87.empty, 0x3f);
    ck_assert_uint_eq(cpu.x87.st[0].mantissa, 1ull << 63);
    ck_assert_uint_eq(cpu.x87.st[0].sign_exp, 0x3fff);
    ck_assert_uint_eq(cpu.x87.st[1].mantissa, 0xc90fdaa22168c235);
    ck_assert_uint_eq(cpu.x87.st[1].sign_exp, 0x4000);
    ck_assert_uint_eq(cpu.ymm[0][0], 0x1111222233334444);
    ck_assert_uint_eq(cpu.ymm[0][1], 0);
    ck_assert_uint_eq(cpu.ymm[15][1], 0x1111222233334444);
    ck_assert_uint_eq(cpu.ymm[3][3], cpu.xcr0 & 4 ? 0x1111222233334444 : 0);
    ck_assert_uint_eq(cpu.mxcsr, 0x9f80);
}
END_TEST

START_TEST(system_registers_of_a_stopped_guest_are_what_it_loaded)
{
    struct cpu_state cpu;
    run_guest(system_guest, system_guest_stop, system_guest_end, false, &cpu);
    ck_assert_uint_eq(cpu.gpr[RDI], 0x4321);
    ck_assert_uint_eq(cpu.cr4 & 0x40000, 0x40000);
    ck_assert_uint_eq(cpu.msr.lstar, 0xffffffff81000000);
    ck_assert_uint_eq(cpu.msr.kernel_gs_base, 0x123481000000);
    ck_assert_uint_eq(cpu.msr.sysenter_cs, 0x58);
    ck_assert_uint_eq(cpu.dr[2], 0x123456789a);
    ck_assert_uint_eq(cpu.dr[7], 0x0d000420);
    ck_assert_uint_eq(cpu.cr2, 0x4321);
    ck_assert_uint_eq(cpu.cr8, 9);
}
END_TEST

START_TEST(a_state_set_after_an_exit_is_not_touched_by_its_completion)
{
    static const uint8_t in_al[] = {0xec, 0xe6, 0x80}; /* in %dx, %al; out %al, $0x80 */
    struct cpu_state cpu, got;
    struct vm_exit end = {0};
    accel_rig_load(&rig, in_al, sizeof in_al, &cpu);
    cpu.gpr[RDX] = 0x1234;
    put(&cpu);
    ck_assert(!accel_rig_run(&rig, &end));
    ck_assert(rig.strayed);
    cpu.gpr[RAX] = 0x5500;
    cpu.rip += 1; /* at the OUT */
    put(&cpu);
    take(&got);
    ck_assert_uint_eq(got.gpr[RAX], 0x5500);
    ck_assert(accel_rig_run(&rig, &end));
    take(&got);
    ck_assert_uint_eq(got.gpr[RAX], 0x5500);
    ck_assert_uint_eq(got.rip, cpu.rip + 2);
}
END_TEST

START_TEST(an_impossible_state_is_refused_in_one_line)
{
    struct cpu_state cpu;
    struct err err = {0};
    probe_guest_state(&cpu, probe_code, 0);
    cpu.xcr0 = 2;
    ck_assert_int_lt(kvm_accel.set_state(&rig.vcpu, &cpu, &err), 0);
    ck_assert_str_eq(err.msg, "-accel kvm: set XCR0 of vCPU 0 to 0x2: Invalid argument");
    err = (struct err){0};
    probe_guest_state(&cpu, probe_code, 0);
    cpu.msr.mtrr_def_type = 0x803;
    ck_assert_int_lt(kvm_accel.set_state(&rig.vcpu, &cpu, &err), 0);
    ck_assert_str_eq(err.msg, "-accel kvm: KVM refuses 0x803 for MSR 0x2ff of vCPU 0");
}
END_TEST

static bool works_here(void)
{
    struct err err = {0};
    if (!accel_rig_open(&rig, &kvm_accel, &err)) {
        accel_rig_close(&rig);
        return true;
    }
    printf("SKIP kvm_state: %s\n", err.msg);
    return false;
}

int main(void)
{
    if (!works_here())
        return EXIT_SUCCESS;
    Suite *suite = suite_create("kvm_state");
    TCase *tc = tcase_create("kvm_state");
    tcase_add_checked_fixture(tc, open_rig, close_rig);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, any_state_comes_back_as_it_was_set);
    tcase_add_test(tc, the_state_after_reset_comes_back);
    tcase_add_test(tc, equal_states_are_equal_bytes);
    tcase_add_test(tc, vectors_of_a_stopped_guest_are_what_it_loaded);
    tcase_add_test(tc, system_registers_of_a_stopped_guest_are_what_it_loaded);
    tcase_add_test(tc, a_state_set_after_an_exit_is_not_touched_by_its_completion);
    tcase_add_test(tc, an_impossible_state_is_refused_in_one_line);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
