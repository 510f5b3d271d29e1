// SPDX-License-Identifier: MIT
//
// Segments: loads, limits, far transfers, gates, task switches. SDM vol. 3 chapters 3, 5, 7 and 21.
#include <check.h>
#include <stdlib.h>

#include "tests/lib/suite.h"
#include "tests/lib/x86_fixture.h"

static uint32_t stack32(unsigned n)
{
    return (uint32_t)x86_rig_peek(r, cpu->gpr[RSP] + n * 4, 4);
}

/* --- loads of data segments --- */

static const struct {
    const char *what;
    unsigned seg, ring;
    uint16_t sel;
    uint64_t desc; /* at SEL_FREE */
    int vector;
    uint32_t error;
} loads[] = {
    {"data", SEG_DS, 0, SEL_FREE, DESC(0x1000, 0xfff, 0x92, 0x4), -1, 0},
    {"null", SEG_DS, 3, 3, 0, -1, 0},
    {"outside the table", SEG_DS, 0, 0x7f8 + 8, 0, X86_GP, 0x800},
    {"no LDT", SEG_ES, 0, SEL_FREE | 4, 0, X86_GP, SEL_FREE | 4},
    {"readable code", SEG_ES, 0, SEL_FREE, DESC(0, 0xfff, 0x9a, 0x4), -1, 0},
    {"execute-only code", SEG_ES, 0, SEL_FREE, DESC(0, 0xfff, 0x98, 0x4), X86_GP, SEL_FREE},
    {"system", SEG_ES, 0, SEL_TSS, 0, X86_GP, SEL_TSS},
    {"cpl above dpl", SEG_FS, 3, SEL_FREE, DESC(0, 0xfff, 0x92, 0x4), X86_GP, SEL_FREE},
    {"rpl above dpl", SEG_FS, 0, SEL_FREE | 3, DESC(0, 0xfff, 0x92, 0x4), X86_GP, SEL_FREE},
    {"conforming code", SEG_GS, 3, SEL_FREE | 3, DESC(0, 0xfff, 0x9e, 0x4), -1, 0},
    {"not present", SEG_GS, 0, SEL_FREE, DESC(0, 0xfff, 0x12, 0x4), X86_NP, SEL_FREE},
    {"privilege before presence", SEG_GS, 3, SEL_FREE, DESC(0, 0xfff, 0x12, 0x4), X86_GP, SEL_FREE},
    {"ss", SEG_SS, 3, SEL_FREE | 3, DESC(0, 0xfff, 0xf2, 0x4), -1, 0},
    {"ss null", SEG_SS, 0, 0, 0, X86_GP, 0},
    {"ss code", SEG_SS, 0, SEL_CODE, 0, X86_GP, SEL_CODE},
    {"ss read-only", SEG_SS, 0, SEL_FREE, DESC(0, 0xfff, 0x90, 0x4), X86_GP, SEL_FREE},
    {"ss rpl", SEG_SS, 0, SEL_DATA | 1, 0, X86_GP, SEL_DATA},
    {"ss dpl", SEG_SS, 0, SEL_USER_DATA & ~3, 0, X86_GP, SEL_USER_DATA & ~3},
    {"ss not present", SEG_SS, 0, SEL_FREE, DESC(0, 0xfff, 0x12, 0x4), X86_SS, SEL_FREE},
};

START_TEST(segment_loads_check_their_descriptors)
{
    unsigned n = (unsigned)_i;
    if (loads[n].desc)
        x86_rig_gdt(r, SEL_FREE, loads[n].desc);
    if (loads[n].ring == 3)
        x86_rig_user(r);
    uint16_t old = cpu->seg[loads[n].seg].sel;
    cpu->gpr[RAX] = loads[n].sel;
    struct outcome o = TRY(r, 0x8e, (uint8_t)(0xc0 | loads[n].seg << 3));
    ck_assert_msg(o.vector == loads[n].vector && (o.vector < 0 || o.error == loads[n].error),
                  "%s: vector %d error %x", loads[n].what, o.vector, o.error);
    ck_assert_uint_eq(cpu->seg[loads[n].seg].sel, o.vector < 0 ? loads[n].sel : old);
    if (o.vector < 0 && loads[n].desc)
        ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_FREE + 5, 1) & 1, 1); /* accessed */
}
END_TEST

START_TEST(null_stack_segment_is_right_in_64_bit_mode_above_ring_3)
{
    cpu->gpr[RAX] = 0;
    ck_assert_no_fault(TRY(r, 0x8e, 0xd0));
    x86_rig_user(r);
    cpu->gpr[RAX] = 3;
    ck_assert_fault(TRY(r, 0x8e, 0xd0), X86_GP, 0);
}
END_TEST

/* --- limits --- */

#define DATA_LIMIT DESC(RIG_DATA, 0xfff, 0x93, 0x4)
static const struct {
    uint64_t desc;
    uint32_t off;
    unsigned size;
    bool write;
    int vector;
} limits[] = {
    {DATA_LIMIT, 0xffc, 4, true, -1},
    {DATA_LIMIT, 0xffd, 4, false, X86_GP},
    {DATA_LIMIT, 0xfff, 1, true, -1},
    {DATA_LIMIT, 0x1000, 1, false, X86_GP},
    {DATA_LIMIT, 0xffffffff, 4, false, X86_GP},
    {DESC(RIG_DATA, 0, 0x93, 0xc), 0xffc, 4, true, -1}, /* pages */
    {DESC(RIG_DATA, 0, 0x93, 0xc), 0xffd, 4, true, X86_GP},
    {DESC(RIG_DATA, 0xfff, 0x97, 0x4), 0xfff, 1, false, X86_GP}, /* expand-down */
    {DESC(RIG_DATA, 0xfff, 0x97, 0x4), 0x1000, 1, true, -1},
    {DESC(RIG_DATA, 0xfff, 0x97, 0x0), 0xfffc, 4, true, -1}, /* 64 KiB */
    {DESC(RIG_DATA, 0xfff, 0x97, 0x0), 0xfffd, 4, true, X86_GP},
    {DESC(RIG_DATA, 0xfff, 0x91, 0x4), 0, 4, false, -1}, /* read-only */
    {DESC(RIG_DATA, 0xfff, 0x91, 0x4), 0, 4, true, X86_GP},
    {DESC(RIG_DATA, 0xfff, 0x9b, 0x4), 0, 4, false, -1}, /* code */
    {DESC(RIG_DATA, 0xfff, 0x9b, 0x4), 0, 4, true, X86_GP},
};

START_TEST(accesses_are_held_to_limit_and_type)
{
    struct outcome o;
    x86_rig_gdt(r, SEL_FREE, limits[_i].desc);
    seg_load(cpu, SEG_DS, SEL_FREE);
    CATCH(r, &o, seg_linear(cpu, SEG_DS, limits[_i].off, limits[_i].size, limits[_i].write));
    ck_assert_int_eq(o.vector, limits[_i].vector);
}
END_TEST

START_TEST(null_segments_fault_on_use_and_ss_says_stack)
{
    struct outcome o;
    seg_load(cpu, SEG_DS, 0);
    CATCH(r, &o, seg_linear(cpu, SEG_DS, 0, 1, false));
    ck_assert_fault(o, X86_GP, 0);
    x86_rig_gdt(r, SEL_FREE, DESC(0, 0xfff, 0x93, 0x4));
    seg_load(cpu, SEG_SS, SEL_FREE);
    CATCH(r, &o, seg_linear(cpu, SEG_SS, 0x1000, 4, true));
    ck_assert_fault(o, X86_SS, 0);
}
END_TEST

START_TEST(flat_segments_skip_the_check)
{
    ck_assert(cpu->flat_segs & 1u << SEG_DS);
    ck_assert(!(cpu->flat_segs & 1u << SEG_CS));
    x86_rig_gdt(r, SEL_FREE, DESC(0, 0xfffff, 0x91, 0xc)); /* read-only */
    seg_load(cpu, SEG_DS, SEL_FREE);
    ck_assert(!(cpu->flat_segs & 1u << SEG_DS));
}
END_TEST

START_TEST(limits_of_protected_mode_stay_in_real_mode)
{
    x86_rig_protected(r);
    x86_write_cr0(cpu, cpu->cr0 & ~(uint64_t)CR0_PE);
    seg_load(cpu, SEG_ES, 0x1234);
    ck_assert_uint_eq(cpu->seg_base[SEG_ES], 0x12340);
    ck_assert_uint_eq(cpu->seg[SEG_ES].limit, 0xffffffff);
    ck_assert(cpu->flat_segs & 1u << SEG_ES);
}
END_TEST

START_TEST(fs_base_counts_in_64_bit_mode)
{
    cpu->gpr[RCX] = 0xc0000100;
    cpu->gpr[RAX] = 0x44440000;
    cpu->gpr[RDX] = 0xffff8888;
    ck_assert_no_fault(TRY(r, 0x0f, 0x30));
    ck_assert_uint_eq(seg_linear(cpu, SEG_FS, 0x10, 8, true), 0xffff888844440010);
    ck_assert_uint_eq(seg_linear(cpu, SEG_DS, 0x10, 8, true), 0x10);
}
END_TEST

/* --- far transfers --- */

/* EA: jmp sel:off32 */
static struct outcome far_jump(uint16_t sel, uint32_t off)
{
    return TRY(r, 0xea, (uint8_t)off, (uint8_t)(off >> 8), (uint8_t)(off >> 16),
               (uint8_t)(off >> 24), (uint8_t)sel, (uint8_t)(sel >> 8));
}

static struct outcome far_call(uint16_t sel, uint32_t off)
{
    return TRY(r, 0x9a, (uint8_t)off, (uint8_t)(off >> 8), (uint8_t)(off >> 16),
               (uint8_t)(off >> 24), (uint8_t)sel, (uint8_t)(sel >> 8));
}

static const struct {
    const char *what;
    unsigned ring;
    uint16_t sel;
    uint64_t desc;
    int vector;
    uint32_t error;
} jumps[] = {
    {"same ring", 0, SEL_CODE, 0, -1, 0},
    {"null", 0, 0, 0, X86_GP, 0},
    {"outside the table", 0, 0xff8, 0, X86_GP, 0xff8},
    {"data", 0, SEL_DATA, 0, X86_GP, SEL_DATA},
    {"inner", 3, SEL_CODE | 3, 0, X86_GP, SEL_CODE},
    {"outer", 0, SEL_USER_CODE & ~3, 0, X86_GP, SEL_USER_CODE & ~3},
    {"rpl above cpl", 0, SEL_CODE | 3, 0, X86_GP, SEL_CODE},
    {"conforming inner", 3, SEL_FREE | 3, DESC(0, 0xfffff, 0x9f, 0xc), -1, 0},
    {"conforming outer", 0, SEL_FREE, DESC(0, 0xfffff, 0xff, 0xc), X86_GP, SEL_FREE},
    {"not present", 0, SEL_FREE, DESC(0, 0xfffff, 0x1b, 0xc), X86_NP, SEL_FREE},
    {"over the limit", 0, SEL_FREE, DESC(0, 0xfff, 0x9b, 0x4), X86_GP, 0},
    {"LDT descriptor", 0, SEL_FREE, DESC(0, 0xfff, 0x82, 0x4), X86_GP, SEL_FREE},
    {"interrupt gate", 0, SEL_FREE, GATE(SEL_CODE, 0x50000, 0x8e), X86_GP, SEL_FREE},
    {"call gate", 0, SEL_FREE, GATE(SEL_CODE, 0x50000, 0x8c), -1, 0},
    {"call gate dpl", 3, SEL_FREE, GATE(SEL_CODE, 0x50000, 0x8c), X86_GP, SEL_FREE},
    {"call gate rpl", 0, SEL_FREE | 3, GATE(SEL_CODE, 0x50000, 0x8c), X86_GP, SEL_FREE},
    {"call gate not present", 0, SEL_FREE, GATE(SEL_CODE, 0x50000, 0x0c), X86_NP, SEL_FREE},
    {"call gate to null", 0, SEL_FREE, GATE(0, 0x50000, 0x8c), X86_GP, 0},
    {"call gate to data", 0, SEL_FREE, GATE(SEL_DATA, 0x50000, 0x8c), X86_GP, SEL_DATA},
    {"jump inwards by gate", 3, SEL_FREE, GATE(SEL_CODE, 0x50000, 0xec), X86_GP, SEL_CODE},
    {"busy TSS", 0, SEL_TSS, 0, X86_GP, SEL_TSS},
    {"TSS dpl", 3, SEL_TSS_B, 0, X86_GP, SEL_TSS_B},
    {"task gate to data", 0, SEL_FREE, GATE(SEL_DATA, 0, 0x85), X86_GP, SEL_DATA},
};

START_TEST(far_jumps_check_their_target)
{
    unsigned n = (unsigned)_i;
    if (jumps[n].desc)
        x86_rig_gdt(r, SEL_FREE, jumps[n].desc);
    if (jumps[n].ring == 3)
        x86_rig_user(r);
    struct outcome o = far_jump(jumps[n].sel, 0x50000);
    ck_assert_msg(o.vector == jumps[n].vector && (o.vector < 0 || o.error == jumps[n].error),
                  "%s: vector %d error %x", jumps[n].what, o.vector, o.error);
    if (o.vector < 0) {
        ck_assert_uint_eq(cpu->next_rip, 0x50000);
        ck_assert_uint_eq(cpu->seg[SEG_CS].sel & 3, jumps[n].ring);
    }
}
END_TEST

START_TEST(call_gate_copies_parameters_to_the_inner_stack_and_returns)
{
    x86_rig_gdt(r, SEL_FREE, GATE(SEL_CODE, 0x50000, 0xec) | 2ull << 32);
    x86_rig_user(r);
    cpu->gpr[RSP] -= 8;
    x86_rig_poke(r, cpu->gpr[RSP], 0x2222222211111111, 8);
    uint64_t outer = cpu->gpr[RSP];
    ck_assert_no_fault(far_call(SEL_FREE, 0x99999));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->next_rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 24);
    ck_assert_uint_eq(stack32(0), RIG_CODE + 7);
    ck_assert_uint_eq(stack32(1), SEL_USER_CODE);
    ck_assert_uint_eq(stack32(2), 0x11111111);
    ck_assert_uint_eq(stack32(3), 0x22222222);
    ck_assert_uint_eq(stack32(4), outer);
    ck_assert_uint_eq(stack32(5), SEL_USER_DATA);
    seg_load(cpu, SEG_ES, SEL_DATA);
    ck_assert_no_fault(TRY(r, 0xca, 8, 0)); /* retf 8 */
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 7);
    ck_assert_uint_eq(cpu->gpr[RSP], outer + 8);
    ck_assert(cpu->seg[SEG_ES].unusable);
    ck_assert(!cpu->seg[SEG_DS].unusable);
}
END_TEST

START_TEST(long_mode_call_gate_takes_16_bytes_and_null_ss)
{
    x86_rig_gdt(r, SEL_FREE, GATE(SEL_CODE64, 0x50000, 0xec));
    x86_rig_gdt(r, SEL_FREE + 8, 0);
    x86_rig_poke(r, RIG_DATA, 0x1234, 4);
    x86_rig_poke(r, RIG_DATA + 4, SEL_FREE, 2);
    x86_rig_user(r);
    cpu->gpr[RBX] = RIG_DATA;
    ck_assert_no_fault(TRY(r, 0xff, 0x1b)); /* call far [rbx] */
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->next_rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 32);
    ck_assert(cpu->seg[SEG_SS].unusable);
    ck_assert_no_fault(TRY(r, 0x48, 0xcb)); /* retfq */
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_USER_STACK);
}
END_TEST

START_TEST(far_return_goes_outwards_only)
{
    x86_rig_user(r);
    cpu->gpr[RSP] -= 8;
    x86_rig_poke(r, cpu->gpr[RSP], 0x50000 | (uint64_t)SEL_CODE << 32, 8);
    ck_assert_fault(TRY(r, 0xcb), X86_GP, SEL_CODE);
}
END_TEST

START_TEST(far_jump_changes_between_32_and_64_bit_code)
{
    x86_rig_poke(r, RIG_DATA, 0x50000, 4);
    x86_rig_poke(r, RIG_DATA + 4, SEL_CODE, 2);
    cpu->gpr[RBX] = RIG_DATA;
    ck_assert_no_fault(TRY(r, 0xff, 0x2b)); /* jmp far [rbx] */
    ck_assert_uint_eq(cpu->mode, X86_MODE32);
    ck_assert_no_fault(far_jump(SEL_CODE64, 0x50000));
    ck_assert_uint_eq(cpu->mode, X86_MODE64);
}
END_TEST

/* --- task switches --- */

static void make_task_b(uint32_t eflags)
{
    x86_rig_poke(r, RIG_TSS_B + 0x20, 0x50000, 4);
    x86_rig_poke(r, RIG_TSS_B + 0x24, eflags, 4);
    x86_rig_poke(r, RIG_TSS_B + 0x28, 0xaaaa, 4);
    x86_rig_poke(r, RIG_TSS_B + 0x38, 0x70000, 4);
    for (unsigned n = 0; n < 6; n++)
        x86_rig_poke(r, RIG_TSS_B + 0x48 + n * 4, n == 1 ? SEL_CODE : SEL_DATA, 4);
}

START_TEST(call_to_a_task_nests_and_iret_returns)
{
    make_task_b(2);
    cpu->gpr[RAX] = 0x1111;
    ck_assert_no_fault(far_call(SEL_TSS_B, 0));
    ck_assert_uint_eq(cpu->next_rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RAX], 0xaaaa);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x70000);
    ck_assert(cpu->rflags & FL_NT);
    ck_assert(cpu->cr0 & CR0_TS);
    ck_assert_uint_eq(cpu->seg[SEG_TR].sel, SEL_TSS_B);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_TSS_B, 2), SEL_TSS);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_TSS_B + 5, 1), 0x8b);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_TSS + 5, 1), 0x8b);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_TSS + 0x20, 4), RIG_CODE + 7);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_TSS + 0x28, 4), 0x1111);
    ck_assert_no_fault(TRY(r, 0xcf));
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 7);
    ck_assert_uint_eq(cpu->gpr[RAX], 0x1111);
    ck_assert_uint_eq(cpu->rflags & FL_NT, 0);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_TSS_B + 5, 1), 0x89);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_TSS_B + 0x24, 4) & FL_NT, 0);
}
END_TEST

START_TEST(jump_to_a_task_frees_the_old_one)
{
    make_task_b(2);
    ck_assert_no_fault(far_jump(SEL_TSS_B, 0));
    ck_assert_uint_eq(cpu->rflags & FL_NT, 0);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_TSS + 5, 1), 0x89);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_TSS_B + 5, 1), 0x8b);
}
END_TEST

START_TEST(task_gate_in_the_idt_pushes_the_error_code_in_the_new_task)
{
    make_task_b(2);
    x86_rig_gate(r, X86_GP, GATE(SEL_TSS_B, 0, 0x85));
    x86_rig_user(r);
    STEP(r, 0xf4);
    ck_assert_uint_eq(cpu->next_rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x70000 - 4);
    ck_assert_uint_eq(stack32(0), 0);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_TSS + 0x20, 4), RIG_CODE);
    ck_assert_uint_eq(cpu->cpl, 0);
}
END_TEST

START_TEST(faults_in_the_new_task_are_its_own)
{
    make_task_b(2);
    x86_rig_poke(r, RIG_TSS_B + 0x50, SEL_USER_DATA & ~3, 4); /* SS */
    ck_assert_fault(far_jump(SEL_TSS_B, 0), X86_TS, SEL_USER_DATA & ~3);
    ck_assert_uint_eq(cpu->seg[SEG_TR].sel, SEL_TSS_B);
    ck_assert_uint_eq(cpu->rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x70000);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, SEL_CODE);
    ck_assert(cpu->seg[SEG_SS].unusable);
}
END_TEST

START_TEST(short_task_segment_is_invalid)
{
    make_task_b(2);
    x86_rig_gdt(r, SEL_TSS_B, DESC(RIG_TSS_B, 0x66, 0x89, 0));
    ck_assert_fault(far_jump(SEL_TSS_B, 0), X86_TS, SEL_TSS_B);
    ck_assert_uint_eq(cpu->seg[SEG_TR].sel, SEL_TSS);
}
END_TEST

START_TEST(return_to_an_idle_task_is_invalid)
{
    x86_rig_poke(r, RIG_TSS, SEL_TSS_B, 2);
    x86_write_rflags(cpu, FL_NT, FL_NT);
    ck_assert_fault(TRY(r, 0xcf), X86_TS, SEL_TSS_B);
}
END_TEST

START_TEST(task_switch_enters_v8086_mode)
{
    make_task_b(2 | FL_VM);
    x86_rig_poke(r, RIG_TSS_B + 0x20, 0x100, 4);
    x86_rig_poke(r, RIG_TSS_B + 0x4c, 0x3000, 4);
    ck_assert_no_fault(far_jump(SEL_TSS_B, 0));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg_base[SEG_CS], 0x30000);
    ck_assert_uint_eq(cpu->mode, X86_MODE16);
}
END_TEST

/* --- LDTR, TR, questions --- */

static const struct {
    const char *what;
    bool ltr;
    uint16_t sel;
    uint64_t desc, upper;
    int vector;
    uint32_t error;
} system_loads[] = {
    {"ldt", false, SEL_FREE, DESC(0x1800, 0xff, 0x82, 0), 0, -1, 0},
    {"ldt null", false, 0, 0, 0, -1, 0},
    {"ldt type", false, SEL_FREE, DESC(0x1800, 0xff, 0x92, 0), 0, X86_GP, SEL_FREE},
    {"ldt in ldt", false, SEL_FREE | 4, DESC(0x1800, 0xff, 0x82, 0), 0, X86_GP, SEL_FREE | 4},
    {"ldt not present", false, SEL_FREE, DESC(0x1800, 0xff, 0x02, 0), 0, X86_NP, SEL_FREE},
    {"ldt upper type", false, SEL_FREE, DESC(0x1800, 0xff, 0x82, 0), 1ull << 40, X86_GP, SEL_FREE},
    {"ldt non-canonical", false, SEL_FREE, DESC(0x1800, 0xff, 0x82, 0), 1u << 20, X86_GP, SEL_FREE},
    {"tss", true, SEL_FREE, DESC(0x3000, 0x67, 0x89, 0), 0xffff8000, -1, 0},
    {"tss null", true, 0, 0, 0, X86_GP, 0},
    {"tss busy", true, SEL_FREE, DESC(0x3000, 0x67, 0x8b, 0), 0, X86_GP, SEL_FREE},
    {"tss of 16 bits", true, SEL_FREE, DESC(0x3000, 0x67, 0x81, 0), 0, X86_GP, SEL_FREE},
    {"tss not present", true, SEL_FREE, DESC(0x3000, 0x67, 0x09, 0), 0, X86_NP, SEL_FREE},
};

START_TEST(lldt_and_ltr_check_their_descriptors)
{
    unsigned n = (unsigned)_i;
    x86_rig_gdt(r, SEL_FREE, system_loads[n].desc);
    x86_rig_gdt(r, SEL_FREE + 8, system_loads[n].upper);
    cpu->gpr[RAX] = system_loads[n].sel;
    struct outcome o = TRY(r, 0x0f, 0x00, system_loads[n].ltr ? 0xd8 : 0xd0);
    ck_assert_msg(o.vector == system_loads[n].vector &&
                      (o.vector < 0 || o.error == system_loads[n].error),
                  "%s: vector %d error %x", system_loads[n].what, o.vector, o.error);
    if (o.vector < 0 && system_loads[n].ltr) {
        ck_assert_uint_eq(cpu->seg[SEG_TR].base, 0xffff800000003000);
        ck_assert_uint_eq(x86_rig_peek(r, RIG_GDT + SEL_FREE + 5, 1), 0x8b);
    }
}
END_TEST

START_TEST(lar_lsl_verr_verw_answer_by_zf)
{
    static const struct {
        uint16_t sel;
        bool lar, verr, verw;
    } rows[] = {
        {SEL_USER_DATA, true, true, true}, {SEL_USER_CODE, true, true, false},
        {SEL_DATA, false, false, false},   {SEL_CODE, false, false, false},
        {0, false, false, false},          {0xff8, false, false, false},
    };
    x86_rig_user(r);
    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        cpu->gpr[RBX] = rows[n].sel;
        cpu->gpr[RAX] = 0x5555;
        ck_assert_no_fault(TRY(r, 0x0f, 0x02, 0xc3)); /* lar eax, ebx */
        ck_assert_int_eq(flag_zf(cpu), rows[n].lar);
        ck_assert_uint_eq(cpu->gpr[RAX], !rows[n].lar                   ? 0x5555
                                         : rows[n].sel == SEL_USER_DATA ? 0xc0f300
                                                                        : 0xc0fb00);
        ck_assert_no_fault(TRY(r, 0x0f, 0x03, 0xc3)); /* lsl */
        ck_assert_int_eq(flag_zf(cpu), rows[n].lar);
        ck_assert_no_fault(TRY(r, 0x0f, 0x00, 0xe3)); /* verr */
        ck_assert_int_eq(flag_zf(cpu), rows[n].verr);
        ck_assert_no_fault(TRY(r, 0x0f, 0x00, 0xeb)); /* verw */
        ck_assert_int_eq(flag_zf(cpu), rows[n].verw);
    }
}
END_TEST

START_TEST(port_access_follows_iopl_and_the_bitmap)
{
    x86_rig_user(r);
    cpu->gpr[RDX] = 0x3f8;
    x86_rig_poke(r, RIG_TSS + 0x88 + 0x3f8 / 8, 0xfe, 1);
    x86_rig_poke(r, RIG_TSS + 0x88 + 0x400 / 8, 0xff, 1);
    ck_assert_no_fault(TRY(r, 0xec)); /* in al, dx */
    ck_assert_fault(TRY(r, 0xed), X86_GP, 0);
    cpu->gpr[RDX] = 0x3f9;
    ck_assert_fault(TRY(r, 0xec), X86_GP, 0);
    cpu->rflags |= FL_IOPL;
    ck_assert_no_fault(TRY(r, 0xec));
    cpu->rflags &= ~(uint64_t)FL_IOPL;
    cpu->gpr[RDX] = 0xfff; /* behind the TSS limit */
    ck_assert_fault(TRY(r, 0xec), X86_GP, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_seg");
    TCase *p = suite_case(s, "protected", setup_protected, teardown);
    tcase_add_loop_test(p, segment_loads_check_their_descriptors, 0,
                        sizeof loads / sizeof loads[0]);
    tcase_add_loop_test(p, accesses_are_held_to_limit_and_type, 0,
                        sizeof limits / sizeof limits[0]);
    tcase_add_test(p, null_segments_fault_on_use_and_ss_says_stack);
    tcase_add_test(p, flat_segments_skip_the_check);
    tcase_add_loop_test(p, far_jumps_check_their_target, 0, sizeof jumps / sizeof jumps[0]);
    tcase_add_test(p, call_gate_copies_parameters_to_the_inner_stack_and_returns);
    tcase_add_test(p, far_return_goes_outwards_only);
    tcase_add_test(p, call_to_a_task_nests_and_iret_returns);
    tcase_add_test(p, jump_to_a_task_frees_the_old_one);
    tcase_add_test(p, task_gate_in_the_idt_pushes_the_error_code_in_the_new_task);
    tcase_add_test(p, faults_in_the_new_task_are_its_own);
    tcase_add_test(p, short_task_segment_is_invalid);
    tcase_add_test(p, return_to_an_idle_task_is_invalid);
    tcase_add_test(p, task_switch_enters_v8086_mode);
    tcase_add_test(p, lar_lsl_verr_verw_answer_by_zf);
    tcase_add_test(p, port_access_follows_iopl_and_the_bitmap);
    TCase *l = suite_case(s, "long", setup_long, teardown);
    tcase_add_test(l, null_stack_segment_is_right_in_64_bit_mode_above_ring_3);
    tcase_add_test(l, fs_base_counts_in_64_bit_mode);
    tcase_add_test(l, long_mode_call_gate_takes_16_bytes_and_null_ss);
    tcase_add_test(l, far_jump_changes_between_32_and_64_bit_code);
    tcase_add_loop_test(l, lldt_and_ltr_check_their_descriptors, 0,
                        sizeof system_loads / sizeof system_loads[0]);
    TCase *real = suite_case(s, "real", setup, teardown);
    tcase_add_test(real, limits_of_protected_mode_stay_in_real_mode);
    return suite_run(s);
}
