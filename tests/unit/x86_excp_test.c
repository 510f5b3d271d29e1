// SPDX-License-Identifier: MIT
//
// Delivery of exceptions and interrupts, IRET, double and triple faults, debug traps: SDM vol. 3
// chapters 6 and 17.
#include <check.h>

#include "tests/lib/suite.h"
#include "tests/lib/x86_fixture.h"

/* 64-bit word n of the frame at rsp; 32- and 16-bit ones. */
static uint64_t frame64(unsigned n)
{
    return x86_rig_peek(r, cpu->gpr[RSP] + n * 8, 8);
}

static uint32_t frame32(unsigned n)
{
    return (uint32_t)x86_rig_peek(r, cpu->gpr[RSP] + n * 4, 4);
}

static void push64(uint64_t v)
{
    cpu->gpr[RSP] -= 8;
    x86_rig_poke(r, cpu->gpr[RSP], v, 8);
}

/* --- long mode delivery --- */

START_TEST(long_fault_in_ring_0_pushes_five_words_on_an_aligned_stack)
{
    cpu->gpr[RSP] = RIG_STACK - 0x25;
    STEP(r, 0x0f, 0x0b); /* ud2 */
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_UD));
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 0x30 - 5 * 8);
    ck_assert_uint_eq(frame64(0), RIG_CODE);
    ck_assert_uint_eq(frame64(1), SEL_CODE64);
    ck_assert_uint_eq(frame64(2), 2 | FL_RF);
    ck_assert_uint_eq(frame64(3), RIG_STACK - 0x25);
    ck_assert_uint_eq(frame64(4), SEL_DATA);
    ck_assert_uint_eq(cpu->seg[SEG_SS].sel, SEL_DATA);
}
END_TEST

START_TEST(long_fault_in_ring_3_takes_the_stack_of_the_tss)
{
    x86_rig_user(r);
    x86_write_rflags(cpu, FL_IF | FL_CF | FL_NT, FL_IF | FL_CF | FL_NT);
    STEP(r, 0xf4); /* hlt */
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_GP));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, SEL_CODE64);
    ck_assert_uint_eq(cpu->seg[SEG_SS].sel, 0);
    ck_assert(cpu->seg[SEG_SS].unusable);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 6 * 8);
    ck_assert_uint_eq(frame64(0), 0);
    ck_assert_uint_eq(frame64(1), RIG_CODE);
    ck_assert_uint_eq(frame64(2), SEL_USER_CODE64);
    ck_assert_uint_eq(frame64(3), 2 | FL_IF | FL_CF | FL_NT | FL_RF);
    ck_assert_uint_eq(frame64(4), RIG_USER_STACK);
    ck_assert_uint_eq(frame64(5), SEL_USER_DATA);
    ck_assert_uint_eq(rflags_get(cpu) & (FL_IF | FL_NT | FL_TF | FL_RF), 0);
}
END_TEST

START_TEST(trap_gate_leaves_interrupts_on)
{
    x86_rig_gate64(r, X86_UD, SEL_CODE64, x86_rig_handler(X86_UD), 0x8f, 0);
    x86_write_rflags(cpu, FL_IF, FL_IF);
    STEP(r, 0x0f, 0x0b);
    ck_assert(cpu->rflags & FL_IF);
}
END_TEST

START_TEST(interrupt_stack_table_switches_also_in_ring_0)
{
    x86_rig_gate64(r, X86_UD, SEL_CODE64, x86_rig_handler(X86_UD), 0x8e, 1);
    STEP(r, 0x0f, 0x0b);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_IST - 5 * 8);
    ck_assert_uint_eq(frame64(3), RIG_STACK);
}
END_TEST

START_TEST(page_fault_pushes_its_error_code)
{
    x86_rig_user(r);
    x86_rig_poke(r, RIG_PT + (RIG_DATA >> 12) * 8, 0, 8);
    cpu->gpr[RBX] = RIG_DATA + 8;
    STEP(r, 0x48, 0x89, 0x03); /* mov [rbx], rax */
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_PF));
    ck_assert_uint_eq(frame64(0), 6);
    ck_assert_uint_eq(cpu->cr2, RIG_DATA + 8);
}
END_TEST

START_TEST(software_interrupt_returns_behind_itself)
{
    x86_rig_gate64(r, 0x80, SEL_CODE64, x86_rig_handler(0x80), 0xee, 0);
    x86_rig_user(r);
    STEP(r, 0xcd, 0x80);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(0x80));
    ck_assert_uint_eq(frame64(0), RIG_CODE + 2);
    ck_assert_uint_eq(frame64(2) & FL_RF, 0);
}
END_TEST

/* Broken gates and handlers; INT 0x81 from ring `ring`, expected fault. */
static const struct {
    const char *what;
    uint16_t sel;
    uint8_t access;
    uint64_t off;
    uint64_t free_desc; /* put at SEL_FREE */
    unsigned ring;
    int vector;
    uint32_t error;
} long_gates[] = {
    {"gate privilege", SEL_CODE64, 0x8e, 0x50000, 0, 3, X86_GP, 0x81 * 8 + 2},
    {"gate not present", SEL_CODE64, 0x6e, 0x50000, 0, 3, X86_NP, 0x81 * 8 + 2},
    {"privilege before presence", SEL_CODE64, 0x0e, 0x50000, 0, 3, X86_GP, 0x81 * 8 + 2},
    {"16-bit gate", SEL_CODE64, 0xe6, 0x50000, 0, 3, X86_GP, 0x81 * 8 + 2},
    {"task gate", SEL_TSS_B, 0xe5, 0x50000, 0, 3, X86_GP, 0x81 * 8 + 2},
    {"call gate", SEL_CODE64, 0xec, 0x50000, 0, 0, X86_GP, 0x81 * 8 + 2},
    {"S bit", SEL_CODE64, 0xfe, 0x50000, 0, 0, X86_GP, 0x81 * 8 + 2},
    {"null selector", 3, 0xee, 0x50000, 0, 3, X86_GP, 0},
    {"outside the table", 0xff8, 0xee, 0x50000, 0, 3, X86_GP, 0xff8},
    {"no LDT", SEL_FREE | 4, 0xee, 0x50000, 0, 3, X86_GP, SEL_FREE | 4},
    {"data segment", SEL_DATA, 0xee, 0x50000, 0, 3, X86_GP, SEL_DATA},
    {"32-bit code", SEL_CODE, 0xee, 0x50000, 0, 3, X86_GP, SEL_CODE},
    {"outer code", SEL_USER_CODE64, 0xee, 0x50000, 0, 0, X86_GP, SEL_USER_CODE64 & ~3},
    {"code not present", SEL_FREE, 0xee, 0x50000, DESC(0, 0xfffff, 0x1b, 0xa), 3, X86_NP, SEL_FREE},
    {"L and D", SEL_FREE, 0xee, 0x50000, DESC(0, 0xfffff, 0x9b, 0xe), 3, X86_GP, SEL_FREE},
    {"non-canonical handler", SEL_CODE64, 0xee, 1ull << 50, 0, 3, X86_GP, 0},
    {"good", SEL_CODE64, 0xee, 0x50000, 0, 3, -1, 0},
    {"good, conforming", SEL_FREE, 0xee, 0x50000, DESC(0, 0xfffff, 0x9f, 0xa), 3, -1, 0},
};

START_TEST(broken_long_mode_gates_fault)
{
    unsigned n = (unsigned)_i;
    x86_rig_gdt(r, SEL_FREE, long_gates[n].free_desc);
    x86_rig_gate64(r, 0x81, long_gates[n].sel, long_gates[n].off, long_gates[n].access, 0);
    if (long_gates[n].ring == 3)
        x86_rig_user(r);
    struct outcome o = TRY(r, 0xcd, 0x81);
    ck_assert_msg(o.vector == long_gates[n].vector &&
                      (o.vector < 0 || o.error == long_gates[n].error),
                  "%s: vector %d error %x", long_gates[n].what, o.vector, o.error);
    if (o.vector >= 0) {
        ck_assert_uint_eq(cpu->cpl, long_gates[n].ring);
        ck_assert_uint_eq(cpu->gpr[RSP], cpu->cpl ? RIG_USER_STACK : RIG_STACK);
    }
}
END_TEST

START_TEST(conforming_handler_keeps_the_ring)
{
    x86_rig_gdt(r, SEL_FREE, DESC(0, 0xfffff, 0x9f, 0xa));
    x86_rig_gate64(r, 0x81, SEL_FREE, 0x50000, 0xee, 0);
    x86_rig_user(r);
    ck_assert_no_fault(TRY(r, 0xcd, 0x81));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, SEL_FREE | 3);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_USER_STACK - 5 * 8);
}
END_TEST

START_TEST(idt_limit_counts_in_16_bytes)
{
    cpu->idt.limit = 0x81 * 16 + 14;
    ck_assert_fault(TRY(r, 0xcd, 0x81), X86_GP, 0x81 * 8 + 2);
    cpu->idt.limit++;
    ck_assert_no_fault(TRY(r, 0xcd, 0x81));
}
END_TEST

START_TEST(non_canonical_interrupt_stack_is_a_stack_fault)
{
    x86_rig_poke(r, RIG_TSS + 4, 1ull << 55, 8);
    x86_rig_gate64(r, 0x81, SEL_CODE64, 0x50000, 0xee, 0);
    x86_rig_user(r);
    ck_assert_fault(TRY(r, 0xcd, 0x81), X86_SS, 0);
}
END_TEST

START_TEST(short_tss_is_an_invalid_tss)
{
    cpu->seg[SEG_TR].limit = 10;
    x86_rig_gate64(r, 0x81, SEL_CODE64, 0x50000, 0xee, 0);
    x86_rig_user(r);
    ck_assert_fault(TRY(r, 0xcd, 0x81), X86_TS, SEL_TSS);
}
END_TEST

/* --- external interrupts, NMI --- */

START_TEST(external_interrupt_ends_hlt)
{
    x86_write_rflags(cpu, FL_IF, FL_IF);
    STEP(r, 0xf4);
    ck_assert(cpu->halted);
    ck_assert(x86_can_interrupt(cpu));
    x86_interrupt(cpu, 0x30);
    ck_assert(!cpu->halted);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(0x30));
    ck_assert_uint_eq(frame64(0), RIG_CODE + 1);
    ck_assert_uint_eq(frame64(2), 2 | FL_IF);
    ck_assert(!x86_can_interrupt(cpu));
}
END_TEST

START_TEST(fault_while_delivering_an_interrupt_has_the_ext_bit)
{
    x86_rig_gate64(r, 0x30, 0xff8, 0x50000, 0x8e, 0);
    x86_interrupt(cpu, 0x30);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_GP));
    ck_assert_uint_eq(frame64(0), 0xff8 | 1);
    ck_assert_uint_eq(frame64(1), RIG_CODE);
    x86_rig_gate64(r, 0x31, SEL_CODE64, 0x50000, 0x0e, 0);
    x86_interrupt(cpu, 0x31);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_NP));
    ck_assert_uint_eq(frame64(0), 0x31 * 8 + 3);
    /* And not after that. */
    ck_assert_fault(TRY(r, 0xcd, 0x31), X86_NP, 0x31 * 8 + 2);
}
END_TEST

START_TEST(nmi_stays_blocked_until_iret)
{
    cpu->nmi_pending = true;
    ck_assert(x86_can_nmi(cpu));
    x86_nmi(cpu);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_NMI));
    cpu->nmi_pending = true;
    ck_assert(!x86_can_nmi(cpu));
    STEP(r, 0x48, 0xcf); /* iretq */
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE);
    ck_assert(x86_can_nmi(cpu));
}
END_TEST

START_TEST(sti_and_mov_ss_shadow_one_instruction)
{
    STEP(r, 0xfb);
    ck_assert(cpu->rflags & FL_IF && !x86_can_interrupt(cpu));
    STEP(r, 0x90);
    ck_assert(x86_can_interrupt(cpu));
    STEP(r, 0xfb); /* already on: no shadow */
    ck_assert(x86_can_interrupt(cpu));
    cpu->gpr[RAX] = SEL_DATA;
    STEP(r, 0x8e, 0xd0); /* mov ss, ax */
    ck_assert(!x86_can_interrupt(cpu));
    STEP(r, 0x90);
    ck_assert(x86_can_interrupt(cpu));
}
END_TEST

/* --- double and triple faults --- */

START_TEST(second_contributory_fault_is_a_double_fault)
{
    x86_rig_gate64(r, X86_GP, SEL_CODE64, 0x50000, 0x0e, 0); /* not present */
    x86_rig_user(r);
    STEP(r, 0xf4);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DF));
    ck_assert_uint_eq(frame64(0), 0);
    ck_assert_uint_eq(frame64(1), RIG_CODE);
    ck_assert(!cpu->shutdown);
}
END_TEST

START_TEST(page_fault_after_benign_is_just_a_page_fault)
{
    x86_rig_gate64(r, X86_UD, SEL_CODE64, 0x50000, 0x8e, 1);
    x86_rig_poke(r, RIG_TSS + 0x24, 0x300000, 8); /* not mapped */
    STEP(r, 0x0f, 0x0b);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_PF));
    ck_assert_uint_eq(cpu->cr2, 0x300000 - 8);
    ck_assert_uint_eq(frame64(1), RIG_CODE);
}
END_TEST

START_TEST(page_fault_in_page_fault_is_a_double_fault)
{
    x86_rig_gate64(r, X86_PF, SEL_CODE64, 0x50000, 0x8e, 1);
    x86_rig_poke(r, RIG_TSS + 0x24, 0x300000, 8);
    cpu->gpr[RBX] = 0x310000;
    STEP(r, 0x8b, 0x03);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DF));
}
END_TEST

START_TEST(contributory_after_page_fault_is_a_double_fault)
{
    x86_rig_gate64(r, X86_PF, SEL_CODE64, 0x50000, 0x0e, 0);
    cpu->gpr[RBX] = 0x310000;
    STEP(r, 0x8b, 0x03);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DF));
}
END_TEST

START_TEST(fault_in_double_fault_shuts_down)
{
    cpu->idt.limit = 0;
    STEP(r, 0x0f, 0x0b);
    ck_assert(cpu->shutdown);
    uint64_t rip = cpu->next_rip;
    x86_step(cpu);
    ck_assert_uint_eq(cpu->next_rip, rip);
}
END_TEST

/* --- IRET in long mode --- */

static void push_iret(uint64_t rip, uint16_t cs, uint64_t flags, uint64_t rsp, uint16_t ss)
{
    push64(ss);
    push64(rsp);
    push64(flags);
    push64(cs);
    push64(rip);
}

START_TEST(iretq_to_ring_3_loads_everything)
{
    cpu->seg[SEG_FS] = seg_null(&cpu->seg[SEG_FS], 0);
    cpu->seg[SEG_FS].base = 0x123450000; /* as WRMSR leaves it */
    push_iret(0x60000, SEL_USER_CODE64, 0x3000 | FL_IF | FL_ZF, 0x45678, SEL_USER_DATA);
    STEP(r, 0x48, 0xcf);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->next_rip, 0x60000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x45678);
    ck_assert_uint_eq(cpu->seg[SEG_SS].sel, SEL_USER_DATA);
    ck_assert_uint_eq(rflags_get(cpu), 2 | 0x3000 | FL_IF | FL_ZF);
    ck_assert_uint_eq(cpu->seg[SEG_DS].sel, 0); /* was a ring 0 segment */
    ck_assert(cpu->seg[SEG_DS].unusable);
    ck_assert_uint_eq(cpu->seg_base[SEG_FS], 0x123450000);
}
END_TEST

START_TEST(iretq_to_compatibility_mode_changes_the_mode)
{
    push_iret(0x60000, SEL_USER_CODE, 2, 0xfffffff0, SEL_USER_DATA);
    STEP(r, 0x48, 0xcf);
    ck_assert_uint_eq(cpu->mode, X86_MODE32);
    ck_assert_uint_eq(cpu->address_mask, 0xffffffff);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xfffffff0);
}
END_TEST

START_TEST(iretq_in_the_same_ring_pops_the_stack_pointer_too)
{
    push_iret(0x60000, SEL_CODE64, 2, 0x45678, 0);
    ck_assert_no_fault(TRY(r, 0x48, 0xcf));
    ck_assert_uint_eq(cpu->gpr[RSP], 0x45678);
    ck_assert(cpu->seg[SEG_SS].unusable);
}
END_TEST

START_TEST(iret_at_ring_3_keeps_iopl_and_if)
{
    x86_rig_user(r);
    cpu->gpr[RSP] = RIG_USER_STACK;
    push_iret(0x60000, SEL_USER_CODE64, 0x3000 | FL_IF | FL_TF | FL_DF | FL_AC, RIG_USER_STACK,
              SEL_USER_DATA);
    ck_assert_no_fault(TRY(r, 0x48, 0xcf));
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_TF | FL_DF | FL_AC);
}
END_TEST

static const struct {
    const char *what;
    uint64_t rip;
    uint16_t cs, ss;
    uint64_t flags, free_desc;
    int vector;
    uint32_t error;
} long_irets[] = {
    {"null cs", 0x60000, 0, SEL_DATA, 2, 0, X86_GP, 0},
    {"cs outside the table", 0x60000, 0xff8, SEL_DATA, 2, 0, X86_GP, 0xff8},
    {"cs is data", 0x60000, SEL_DATA, SEL_DATA, 2, 0, X86_GP, SEL_DATA},
    {"dpl is not rpl", 0x60000, SEL_USER_CODE64 & ~3, SEL_DATA, 2, 0, X86_GP, SEL_USER_CODE64 & ~3},
    {"dpl below rpl", 0x60000, SEL_CODE64 | 3, SEL_USER_DATA, 2, 0, X86_GP, SEL_CODE64},
    {"not present", 0x60000, SEL_FREE | 3, SEL_USER_DATA, 2, DESC(0, 0xfffff, 0x7b, 0xa), X86_NP,
     SEL_FREE},
    {"null ss for ring 3", 0x60000, SEL_USER_CODE64, 3, 2, 0, X86_GP, 0},
    {"null ss with wrong rpl", 0x60000, SEL_CODE64, 3, 2, 0, X86_GP, 0},
    {"ss rpl", 0x60000, SEL_USER_CODE64, SEL_USER_DATA & ~3, 2, 0, X86_GP, SEL_USER_DATA & ~3},
    {"ss dpl", 0x60000, SEL_USER_CODE64, SEL_DATA | 3, 2, 0, X86_GP, SEL_DATA},
    {"ss is code", 0x60000, SEL_USER_CODE64, SEL_USER_CODE64, 2, 0, X86_GP, SEL_USER_CODE64 & ~3},
    {"ss read-only", 0x60000, SEL_USER_CODE64, SEL_FREE | 3, 2, DESC(0, 0xfffff, 0xf1, 0xc), X86_GP,
     SEL_FREE},
    {"ss not present", 0x60000, SEL_USER_CODE64, SEL_FREE | 3, 2, DESC(0, 0xfffff, 0x73, 0xc),
     X86_SS, SEL_FREE},
    {"non-canonical rip", 1ull << 47, SEL_USER_CODE64, SEL_USER_DATA, 2, 0, X86_GP, 0},
    {"rip above a 32-bit limit", 1ull << 32, SEL_USER_CODE, SEL_USER_DATA, 2, 0, X86_GP, 0},
    {"good", 0x60000, SEL_USER_CODE64, SEL_USER_DATA, 2, 0, -1, 0},
};

START_TEST(broken_iret_frames_fault_and_change_nothing)
{
    unsigned n = (unsigned)_i;
    x86_rig_gdt(r, SEL_FREE, long_irets[n].free_desc);
    push_iret(long_irets[n].rip, long_irets[n].cs, long_irets[n].flags, 0x45678, long_irets[n].ss);
    uint64_t rsp = cpu->gpr[RSP];
    struct outcome o = TRY(r, 0x48, 0xcf);
    ck_assert_msg(o.vector == long_irets[n].vector &&
                      (o.vector < 0 || o.error == long_irets[n].error),
                  "%s: vector %d error %x", long_irets[n].what, o.vector, o.error);
    if (o.vector >= 0) {
        ck_assert_uint_eq(cpu->gpr[RSP], rsp);
        ck_assert_uint_eq(cpu->cpl, 0);
        ck_assert_uint_eq(cpu->seg[SEG_CS].sel, SEL_CODE64);
    }
}
END_TEST

START_TEST(iret_with_nt_is_refused_in_long_mode)
{
    x86_write_rflags(cpu, FL_NT, FL_NT);
    ck_assert_fault(TRY(r, 0x48, 0xcf), X86_GP, 0);
}
END_TEST

/* --- protected mode --- */

START_TEST(protected_interrupt_switches_to_the_inner_stack)
{
    x86_rig_gate(r, 0x80, GATE(SEL_CODE, 0x50000, 0xee));
    x86_rig_user(r);
    cpu->rflags |= FL_IF;
    STEP(r, 0xcd, 0x80);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 20);
    ck_assert_uint_eq(frame32(0), RIG_CODE + 2);
    ck_assert_uint_eq(frame32(1), SEL_USER_CODE);
    ck_assert_uint_eq(frame32(2), 2 | FL_IF);
    ck_assert_uint_eq(frame32(3), RIG_USER_STACK);
    ck_assert_uint_eq(frame32(4), SEL_USER_DATA);
    ck_assert_uint_eq(cpu->seg[SEG_SS].sel, SEL_DATA);
    STEP(r, 0xcf);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 2);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_USER_STACK);
    ck_assert(cpu->rflags & FL_IF);
}
END_TEST

START_TEST(sixteen_bit_gates_push_words)
{
    x86_rig_gate(r, 0x80, GATE(SEL_CODE, 0xa000, 0x87));
    x86_rig_poke(r, 0xa000, 0xf4, 1);
    cpu->next_rip = 0xb000;
    STEP(r, 0xcd, 0x80);
    ck_assert_uint_eq(cpu->next_rip, 0xa000);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 6);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_STACK - 6, 2), 0xb002);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_STACK - 4, 2), SEL_CODE);
}
END_TEST

/* Inner stack segments from the TSS; INT 0x80 from ring 3. */
static const struct {
    const char *what;
    uint16_t ss;
    uint64_t free_desc;
    int vector;
    uint32_t error;
} inner_stacks[] = {
    {"null", 0, 0, X86_TS, 0},
    {"outside the table", 0xff8, 0, X86_TS, 0xff8},
    {"rpl", SEL_DATA | 3, 0, X86_TS, SEL_DATA},
    {"dpl", SEL_USER_DATA & ~3, 0, X86_TS, SEL_USER_DATA & ~3},
    {"code", SEL_CODE, 0, X86_TS, SEL_CODE},
    {"read-only", SEL_FREE, DESC(0, 0xfffff, 0x91, 0xc), X86_TS, SEL_FREE},
    {"not present", SEL_FREE, DESC(0, 0xfffff, 0x13, 0xc), X86_SS, SEL_FREE},
    {"too small", SEL_FREE, DESC(0, 0xfff, 0x93, 0x4), X86_SS, 0},
    {"good", SEL_DATA, 0, -1, 0},
};

START_TEST(broken_inner_stacks_fault)
{
    unsigned n = (unsigned)_i;
    x86_rig_gdt(r, SEL_FREE, inner_stacks[n].free_desc);
    x86_rig_poke(r, RIG_TSS + 8, inner_stacks[n].ss, 2);
    x86_rig_gate(r, 0x80, GATE(SEL_CODE, 0x50000, 0xee));
    x86_rig_user(r);
    struct outcome o = TRY(r, 0xcd, 0x80);
    ck_assert_msg(o.vector == inner_stacks[n].vector &&
                      (o.vector < 0 || o.error == inner_stacks[n].error),
                  "%s: vector %d error %x", inner_stacks[n].what, o.vector, o.error);
}
END_TEST

START_TEST(v8086_interrupt_pushes_nine_words_and_nulls_segments)
{
    x86_rig_gate(r, 0x80, GATE(SEL_CODE, 0x50000, 0xee));
    x86_rig_v86(r, 3);
    STEP(r, 0xcd, 0x80);
    ck_assert_uint_eq(cpu->rflags & FL_VM, 0);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_STACK - 36);
    ck_assert_uint_eq(frame32(0), 2);
    ck_assert_uint_eq(frame32(1), RIG_CODE >> 4);
    ck_assert_uint_eq(frame32(2), 2 | FL_VM | 0x3000);
    ck_assert_uint_eq(frame32(3), 0x8000);
    for (unsigned n = 4; n < 9; n++)
        ck_assert_uint_eq(frame32(n), RIG_CODE >> 4);
    ck_assert(cpu->seg[SEG_DS].unusable && cpu->seg[SEG_GS].unusable);
    /* And back. */
    STEP(r, 0xcf);
    ck_assert(cpu->rflags & FL_VM);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->next_rip, 2);
    ck_assert_uint_eq(cpu->seg[SEG_DS].base, RIG_CODE);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x8000);
}
END_TEST

START_TEST(v8086_int_n_needs_iopl_3)
{
    x86_rig_v86(r, 0);
    ck_assert_fault(TRY(r, 0xcd, 0x80), X86_GP, 0);
    x86_rig_gate(r, X86_BP, GATE(SEL_CODE, 0x50000, 0xee));
    ck_assert_no_fault(TRY(r, 0xcc)); /* INT3 does not */
}
END_TEST

START_TEST(v8086_handler_must_be_in_ring_0)
{
    x86_rig_gate(r, 0x80, GATE(SEL_USER_CODE, 0x50000, 0xee));
    x86_rig_v86(r, 3);
    ck_assert_fault(TRY(r, 0xcd, 0x80), X86_GP, SEL_USER_CODE & ~3);
}
END_TEST

START_TEST(vme_redirects_int_n_into_the_task)
{
    cpu->cr4 |= CR4_VME;
    x86_rig_v86(r, 0);
    cpu->rflags |= FL_VIF;
    x86_rig_poke(r, 0x21 * 4, 0x30001234, 4);
    ck_assert_no_fault(TRY(r, 0xcd, 0x21)); /* bitmap of zeros */
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, 0x3000);
    ck_assert_uint_eq(cpu->next_rip, 0x1234);
    ck_assert_uint_eq(cpu->rflags & FL_VIF, 0);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_CODE + 0x7ffe, 2), 0x3000 | FL_IF | 2);
    x86_rig_poke(r, RIG_TSS + 0x88 - 32 + 0x21 / 8, 0xff, 1);
    cpu->seg[SEG_CS] = seg_v86(RIG_CODE >> 4);
    x86_update_mode(cpu);
    ck_assert_fault(TRY(r, 0xcd, 0x21), X86_GP, 0);
}
END_TEST

START_TEST(real_mode_interrupt_goes_through_the_vector_table)
{
    x86_rig_poke(r, 0x21 * 4, 0x30001234, 4);
    cpu->rflags |= FL_IF | FL_AC;
    cpu->idt.limit = 0x3ff;
    STEP(r, 0xcd, 0x21);
    ck_assert_uint_eq(cpu->seg[SEG_CS].base, 0x30000);
    ck_assert_uint_eq(cpu->next_rip, 0x1234);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x7ffa);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_CODE + 0x7ffa, 2), 2);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_CODE + 0x7ffc, 2), RIG_CODE >> 4);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_CODE + 0x7ffe, 2), FL_IF | 2);
    ck_assert_uint_eq(cpu->rflags & (FL_IF | FL_AC), 0);
    STEP(r, 0xcf);
    ck_assert_uint_eq(cpu->next_rip, 2);
    ck_assert_uint_eq(cpu->seg[SEG_CS].base, RIG_CODE);
    ck_assert(cpu->rflags & FL_IF);
}
END_TEST

START_TEST(real_mode_faults_push_no_error_code)
{
    x86_rig_poke(r, X86_GP * 4, 0x30001234, 4);
    cpu->gpr[RBX] = 0xffff;
    STEP(r, 0x8b, 0x07); /* mov ax, [bx]: over the end of the segment */
    ck_assert_uint_eq(cpu->next_rip, 0x1234);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x7ffa);
}
END_TEST

/* --- debug --- */

START_TEST(single_step_traps_after_the_instruction)
{
    cpu->rflags |= FL_TF;
    STEP(r, 0x90);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DB));
    ck_assert_uint_eq(frame64(0), RIG_CODE + 1);
    ck_assert_uint_eq(frame64(2), 2 | FL_TF);
    ck_assert_uint_eq(cpu->dr[6], DR6_ONES | DR6_BS);
    ck_assert_uint_eq(cpu->rflags & FL_TF, 0);
}
END_TEST

START_TEST(software_interrupt_is_not_single_stepped)
{
    cpu->rflags |= FL_TF;
    STEP(r, 0xcd, 0x40);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(0x40));
    ck_assert_uint_eq(frame64(2), 2 | FL_TF);
}
END_TEST

START_TEST(code_breakpoint_faults_before_and_rf_passes_it)
{
    cpu->dr[0] = RIG_CODE;
    cpu->dr[7] = DR7_ONES | 1;
    STEP(r, 0x90);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DB));
    ck_assert_uint_eq(frame64(0), RIG_CODE);
    ck_assert_uint_eq(cpu->dr[6], DR6_ONES | 1);
    x86_rig_poke(r, cpu->gpr[RSP] + 16, 2 | FL_RF, 8);
    STEP(r, 0x48, 0xcf);
    ck_assert(x86_wants_steps(cpu));
    STEP(r, 0x90);
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 1);
    ck_assert_uint_eq(cpu->rflags & FL_RF, 0);
}
END_TEST

START_TEST(data_breakpoint_traps_after_the_write)
{
    cpu->gpr[RBX] = RIG_DATA + 2;
    ck_assert_no_fault(TRY(r, 0x89, 0x03)); /* known to the caches */
    cpu->gpr[RAX] = RIG_DATA + 4;
    ck_assert_no_fault(TRY(r, 0x0f, 0x23, 0xc0)); /* mov dr0, rax */
    cpu->gpr[RAX] = 1 << 16 | 1;                  /* write, one byte */
    ck_assert_no_fault(TRY(r, 0x0f, 0x23, 0xf8)); /* mov dr7, rax */
    uint64_t rip = cpu->next_rip;
    STEP(r, 0x8b, 0x0b); /* reading is no hit */
    ck_assert_uint_eq(cpu->next_rip, rip + 2);
    STEP(r, 0x89, 0x03); /* 4 bytes from 2 on: one is watched */
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DB));
    ck_assert_uint_eq(cpu->dr[6] & 15, 1);
    ck_assert_uint_eq(frame64(0), rip + 4);
}
END_TEST

START_TEST(mov_ss_holds_the_debug_trap_back)
{
    cpu->rflags |= FL_TF;
    cpu->gpr[RAX] = SEL_DATA;
    STEP(r, 0x8e, 0xd0);
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 2);
    STEP(r, 0x90);
    ck_assert_uint_eq(frame64(0), RIG_CODE + 3);
}
END_TEST

START_TEST(debug_register_access_faults_under_gd)
{
    cpu->dr[7] |= DR7_GD;
    STEP(r, 0x0f, 0x21, 0xc0); /* mov rax, dr0 */
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_DB));
    ck_assert_uint_eq(cpu->dr[6], DR6_ONES | DR6_BD);
    ck_assert_uint_eq(cpu->dr[7] & DR7_GD, 0);
    ck_assert_uint_eq(frame64(0), RIG_CODE);
}
END_TEST

START_TEST(instruction_fetch_crosses_into_a_missing_page)
{
    x86_rig_poke(r, RIG_PT + ((RIG_CODE + 0x1000) >> 12) * 8, 0, 8);
    cpu->next_rip = RIG_CODE + 0xffd;
    x86_rig_poke(r, RIG_CODE + 0xffd, 0x009090, 3);
    x86_step(cpu);
    x86_step(cpu);
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 0xfff);
    x86_step(cpu); /* 00 needs a ModRM byte */
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_PF));
    ck_assert_uint_eq(cpu->cr2, RIG_CODE + 0x1000);
    ck_assert_uint_eq(frame64(0), 0x10);
    ck_assert_uint_eq(frame64(1), RIG_CODE + 0xfff);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_excp");
    TCase *l = suite_case(s, "long", setup_long, teardown);
    tcase_add_test(l, long_fault_in_ring_0_pushes_five_words_on_an_aligned_stack);
    tcase_add_test(l, long_fault_in_ring_3_takes_the_stack_of_the_tss);
    tcase_add_test(l, trap_gate_leaves_interrupts_on);
    tcase_add_test(l, interrupt_stack_table_switches_also_in_ring_0);
    tcase_add_test(l, page_fault_pushes_its_error_code);
    tcase_add_test(l, software_interrupt_returns_behind_itself);
    tcase_add_loop_test(l, broken_long_mode_gates_fault, 0,
                        sizeof long_gates / sizeof long_gates[0]);
    tcase_add_test(l, conforming_handler_keeps_the_ring);
    tcase_add_test(l, idt_limit_counts_in_16_bytes);
    tcase_add_test(l, non_canonical_interrupt_stack_is_a_stack_fault);
    tcase_add_test(l, short_tss_is_an_invalid_tss);
    tcase_add_test(l, external_interrupt_ends_hlt);
    tcase_add_test(l, fault_while_delivering_an_interrupt_has_the_ext_bit);
    tcase_add_test(l, nmi_stays_blocked_until_iret);
    tcase_add_test(l, sti_and_mov_ss_shadow_one_instruction);
    tcase_add_test(l, second_contributory_fault_is_a_double_fault);
    tcase_add_test(l, page_fault_after_benign_is_just_a_page_fault);
    tcase_add_test(l, page_fault_in_page_fault_is_a_double_fault);
    tcase_add_test(l, contributory_after_page_fault_is_a_double_fault);
    tcase_add_test(l, fault_in_double_fault_shuts_down);
    tcase_add_test(l, iretq_to_ring_3_loads_everything);
    tcase_add_test(l, iretq_to_compatibility_mode_changes_the_mode);
    tcase_add_test(l, iretq_in_the_same_ring_pops_the_stack_pointer_too);
    tcase_add_test(l, iret_at_ring_3_keeps_iopl_and_if);
    tcase_add_loop_test(l, broken_iret_frames_fault_and_change_nothing, 0,
                        sizeof long_irets / sizeof long_irets[0]);
    tcase_add_test(l, iret_with_nt_is_refused_in_long_mode);
    tcase_add_test(l, single_step_traps_after_the_instruction);
    tcase_add_test(l, software_interrupt_is_not_single_stepped);
    tcase_add_test(l, code_breakpoint_faults_before_and_rf_passes_it);
    tcase_add_test(l, data_breakpoint_traps_after_the_write);
    tcase_add_test(l, mov_ss_holds_the_debug_trap_back);
    tcase_add_test(l, debug_register_access_faults_under_gd);
    tcase_add_test(l, instruction_fetch_crosses_into_a_missing_page);
    TCase *p = suite_case(s, "protected", setup_protected, teardown);
    tcase_add_test(p, protected_interrupt_switches_to_the_inner_stack);
    tcase_add_test(p, sixteen_bit_gates_push_words);
    tcase_add_loop_test(p, broken_inner_stacks_fault, 0,
                        sizeof inner_stacks / sizeof inner_stacks[0]);
    tcase_add_test(p, v8086_interrupt_pushes_nine_words_and_nulls_segments);
    tcase_add_test(p, v8086_int_n_needs_iopl_3);
    tcase_add_test(p, v8086_handler_must_be_in_ring_0);
    tcase_add_test(p, vme_redirects_int_n_into_the_task);
    TCase *real = suite_case(s, "real", setup, teardown);
    tcase_add_test(real, real_mode_interrupt_goes_through_the_vector_table);
    tcase_add_test(real, real_mode_faults_push_no_error_code);
    return suite_run(s);
}
