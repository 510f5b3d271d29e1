// SPDX-License-Identifier: MIT
//
// Integer operations where the host CPU cannot be asked (tests/cpu/native does the rest): 16-bit
// modes, segment limits, stack widths, v8086, ports, and repetitions that stop in the middle.
#include <check.h>

#include "src/accel/x86/sys.h"
#include "tests/lib/cpu_rig.h"
#include "tests/lib/suite.h"
#include "util.h"

static struct cpu_rig rig;
static struct x86_cpu *const cpu = &rig.cpu;

static void setup(void)
{
    cpu_rig_init(&rig, MIB(1), MIB(2), 0);
    cpu_rig_mode(&rig, X86_MODE32);
}

static void teardown(void)
{
    cpu_rig_fini(&rig);
}

#define RUN(...)                                                                                   \
    cpu_rig_exec(&rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void put32(uint32_t at, uint32_t v)
{
    ck_assert_int_eq(gmem_write(&rig.gmem, at, &v, 4), 0);
}

static uint32_t get32(uint32_t at)
{
    uint32_t v = 0;
    ck_assert_int_eq(gmem_read(&rig.gmem, at, &v, 4), 0);
    return v;
}

static void assert_fault(enum rig_end end, unsigned vector, uint32_t error)
{
    ck_assert_int_eq(end, RIG_FAULT);
    ck_assert_uint_eq(cpu->exception.vector, vector);
    ck_assert_uint_eq(cpu->exception.has_error ? cpu->exception.error : 0, error);
}

static void set_limit(unsigned seg, uint32_t limit)
{
    cpu->seg[seg].limit = limit;
    x86_update_mode(cpu);
}

/* --- strings --- */

START_TEST(string_fault_leaves_registers_at_the_element)
{
    set_limit(SEG_ES, 0x2007);
    cpu->gpr[RSI] = 0x1000, cpu->gpr[RDI] = 0x2000, cpu->gpr[RCX] = 5;
    put32(0x1000, 1), put32(0x1004, 2), put32(0x1008, 3);
    assert_fault(RUN(0xf3, 0xa5), X86_GP, 0); /* rep movsd */
    ck_assert_uint_eq(cpu->gpr[RCX], 3);
    ck_assert_uint_eq(cpu->gpr[RSI], 0x1008);
    ck_assert_uint_eq(cpu->gpr[RDI], 0x2008);
    ck_assert_uint_eq(get32(0x2004), 2);
    ck_assert_uint_eq(get32(0x2008), 0);
    ck_assert_uint_eq(cpu->rip, 0x8000);
}
END_TEST

START_TEST(comparing_string_fault_leaves_flags)
{
    set_limit(SEG_ES, 0x2003);
    cpu->gpr[RAX] = 7, cpu->gpr[RDI] = 0x2000, cpu->gpr[RCX] = 5;
    flags_put(cpu, FL_CF | FL_OF);
    assert_fault(RUN(0xf2, 0xaf), X86_GP, 0); /* repne scasd */
    ck_assert_uint_eq(flags_get(cpu), FL_CF | FL_OF);
    ck_assert_uint_eq(cpu->gpr[RCX], 4);
}
END_TEST

static unsigned steps;

static bool count_step(struct cpu_rig *r, void *opaque)
{
    (void)r, (void)opaque;
    return ++steps < 1000;
}

START_TEST(string_stops_between_elements_for_attention)
{
    cpu->gpr[RSI] = 0x1010, cpu->gpr[RDI] = 0x2010, cpu->gpr[RCX] = 5;
    cpu->rflags |= FL_DF;
    atomic_store(&cpu->attention, 1);
    steps = 0;
    rig.before = count_step;
    ck_assert_int_eq(RUN(0xf3, 0xa4), RIG_DONE);
    ck_assert_uint_eq(steps, 5);
    ck_assert_uint_eq(cpu->gpr[RCX], 0);
    ck_assert_uint_eq(cpu->gpr[RDI], 0x200b);
}
END_TEST

static unsigned pauses;

static void count_pause(void *opaque, unsigned id)
{
    (void)opaque, (void)id;
    pauses++;
}

START_TEST(string_pauses_after_each_stretch)
{
    cpu->gpr[RSI] = 0x1000, cpu->gpr[RCX] = 0x20001;
    rig.env.pause = count_pause;
    steps = pauses = 0;
    rig.before = count_step;
    ck_assert_int_eq(RUN(0xf3, 0xac), RIG_DONE); /* rep lodsb */
    ck_assert_uint_eq(steps, 3);
    ck_assert_uint_eq(pauses, 2);
    ck_assert_uint_eq(cpu->gpr[RCX], 0);
    ck_assert_uint_eq(cpu->gpr[RSI], 0x21001);
}
END_TEST

START_TEST(string_single_step_does_one_element)
{
    cpu->gpr[RDI] = 0x2000, cpu->gpr[RCX] = 3;
    cpu->rflags |= FL_TF;
    steps = 0;
    rig.before = count_step;
    ck_assert_int_eq(RUN(0xf3, 0xaa), RIG_DONE);
    ck_assert_uint_eq(steps, 3);
}
END_TEST

START_TEST(string_16_bit_pointers_wrap)
{
    cpu_rig_mode(&rig, X86_MODE16);
    put32(0xfffc, 0xbbaa0000), put32(0, 0x0000ddcc);
    cpu->gpr[RSI] = 0x7777fffe, cpu->gpr[RDI] = 0x11111000, cpu->gpr[RCX] = 0x22220002;
    ck_assert_int_eq(RUN(0xf3, 0xa5), RIG_DONE); /* rep movsw */
    ck_assert_uint_eq(get32(0x1000), 0xddccbbaa);
    ck_assert_uint_eq(cpu->gpr[RSI], 0x77770002);
    ck_assert_uint_eq(cpu->gpr[RDI], 0x11111004);
    ck_assert_uint_eq(cpu->gpr[RCX], 0x22220000);
}
END_TEST

START_TEST(string_override_moves_the_source_only)
{
    cpu->seg[SEG_FS].base = 0x100;
    x86_update_mode(cpu);
    put32(0x1100, 0x12345678);
    cpu->gpr[RSI] = 0x1000, cpu->gpr[RDI] = 0x2000;
    ck_assert_int_eq(RUN(0x64, 0xa5), RIG_DONE);
    ck_assert_uint_eq(get32(0x2000), 0x12345678);
}
END_TEST

/* Against a loop over elements, for all small distances and sizes, across a page border. */
START_TEST(string_overlap_propagates)
{
    static const struct {
        uint8_t code[3];
        uint8_t len, size;
    } forms[] = {{{0xf3, 0xa4}, 2, 1}, {{0xf3, 0x66, 0xa5}, 3, 2}, {{0xf3, 0xa5}, 2, 4}};
    for (unsigned f = 0; f < 3; f++)
        for (int distance = -9; distance <= 9; distance++) {
            unsigned size = forms[f].size, count = 23;
            uint8_t model[256], got[256];
            for (unsigned n = 0; n < 256; n++)
                model[n] = (uint8_t)(n * 7 + 3);
            gmem_write(&rig.gmem, 0x1fb0, model, 256);
            for (unsigned n = 0; n < count * size; n += size) {
                uint32_t v = 0;
                __builtin_memcpy(&v, model + 64 + n, size);
                __builtin_memcpy(model + 64 + distance + (int)n, &v, size);
            }
            cpu->gpr[RSI] = 0x1fb0 + 64, cpu->gpr[RCX] = count;
            cpu->gpr[RDI] = (uint32_t)(0x1fb0 + 64 + distance);
            ck_assert_int_eq(cpu_rig_exec(&rig, forms[f].code, forms[f].len), RIG_DONE);
            gmem_read(&rig.gmem, 0x1fb0, got, 256);
            ck_assert_mem_eq(got, model, 256);
        }
}
END_TEST

/* --- flow --- */

START_TEST(jump_beyond_the_code_segment_faults)
{
    set_limit(SEG_CS, 0x9000);
    assert_fault(RUN(0xe9, 0, 0x20, 0, 0), X86_GP, 0);
    ck_assert_uint_eq(cpu->rip, 0x8000);
}
END_TEST

START_TEST(call_beyond_the_code_segment_pushes_nothing)
{
    set_limit(SEG_CS, 0x9000);
    cpu->gpr[RSP] = 0x4000;
    put32(0x3ffc, 0x55);
    assert_fault(RUN(0xe8, 0, 0x20, 0, 0), X86_GP, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x4000);
    ck_assert_uint_eq(get32(0x3ffc), 0x55);
}
END_TEST

START_TEST(jump_16_bit_target_wraps)
{
    cpu_rig_mode(&rig, X86_MODE16);
    ck_assert_int_eq(RUN(0xe9, 0, 0x90), RIG_DONE);
    ck_assert_uint_eq(cpu->next_rip, 0x1003);
}
END_TEST

START_TEST(jump_to_noncanonical_address_faults)
{
    cpu_rig_mode(&rig, X86_MODE64);
    cpu->gpr[RAX] = 0x800000000000;
    assert_fault(RUN(0xff, 0xe0), X86_GP, 0);
}
END_TEST

START_TEST(ret_faults_before_the_stack_pointer_moves)
{
    set_limit(SEG_CS, 0x9000);
    cpu->gpr[RSP] = 0x4000;
    put32(0x4000, 0xa000);
    assert_fault(RUN(0xc2, 8, 0), X86_GP, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x4000);
}
END_TEST

START_TEST(loop_counts_by_address_size)
{
    cpu->gpr[RCX] = 0x50001;
    ck_assert_int_eq(RUN(0x67, 0xe2, 0x10), RIG_DONE); /* addr16 loop: CX becomes 0 */
    ck_assert_uint_eq(cpu->next_rip, 0x8003);
    ck_assert_uint_eq(cpu->gpr[RCX], 0x50000);
}
END_TEST

/* --- stack --- */

START_TEST(push_wraps_a_16_bit_stack)
{
    cpu_rig_mode(&rig, X86_MODE16);
    cpu->gpr[RSP] = 0xabcd0000, cpu->gpr[RAX] = 0x1234;
    ck_assert_int_eq(RUN(0x50), RIG_DONE);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xabcdfffe);
    ck_assert_uint_eq(get32(0xfffc) >> 16, 0x1234);
}
END_TEST

START_TEST(push_32_bits_on_a_16_bit_stack)
{
    cpu->seg[SEG_SS].db = false;
    x86_update_mode(cpu);
    cpu->gpr[RSP] = 0x77771000, cpu->gpr[RAX] = 0x12345678;
    ck_assert_int_eq(RUN(0x50), RIG_DONE);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x77770ffc);
    ck_assert_uint_eq(get32(0xffc), 0x12345678);
}
END_TEST

START_TEST(pop_addresses_by_the_incremented_stack_pointer)
{
    cpu->gpr[RSP] = 0x3000;
    put32(0x3000, 0xcafe);
    ck_assert_int_eq(RUN(0x8f, 0x04, 0x24), RIG_DONE); /* pop dword [esp] */
    ck_assert_uint_eq(get32(0x3004), 0xcafe);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x3004);
}
END_TEST

START_TEST(pop_to_memory_that_faults_leaves_the_stack_pointer)
{
    set_limit(SEG_DS, 0xfff);
    cpu->gpr[RSP] = 0x3000;
    assert_fault(RUN(0x8f, 0x05, 0, 0x20, 0, 0), X86_GP, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x3000);
}
END_TEST

START_TEST(push_beyond_the_stack_segment_is_a_stack_fault)
{
    set_limit(SEG_SS, 0xfff);
    cpu->gpr[RSP] = 0x2000;
    assert_fault(RUN(0x50), X86_SS, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x2000);
}
END_TEST

START_TEST(enter_copies_enclosing_frame_pointers)
{
    cpu->gpr[RSP] = 0x3000, cpu->gpr[RBP] = 0x5000;
    put32(0x4ffc, 0x111), put32(0x4ff8, 0x222);
    ck_assert_int_eq(RUN(0xc8, 0x10, 0, 3), RIG_DONE);
    ck_assert_uint_eq(get32(0x2ffc), 0x5000);
    ck_assert_uint_eq(get32(0x2ff8), 0x111);
    ck_assert_uint_eq(get32(0x2ff4), 0x222);
    ck_assert_uint_eq(get32(0x2ff0), 0x2ffc);
    ck_assert_uint_eq(cpu->gpr[RBP], 0x2ffc);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x2ff0 - 0x10);
}
END_TEST

START_TEST(pusha_popa_restore_all_but_sp)
{
    for (unsigned n = 0; n < 8; n++)
        cpu->gpr[n] = n + 1;
    cpu->gpr[RSP] = 0x3000;
    ck_assert_int_eq(RUN(0x60), RIG_DONE);
    ck_assert_uint_eq(get32(0x3000 - 20), 0x3000);
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            cpu->gpr[n] = 0;
    ck_assert_int_eq(RUN(0x61), RIG_DONE);
    for (unsigned n = 0; n < 8; n++)
        ck_assert_uint_eq(cpu->gpr[n], n == RSP ? 0x3000 : n + 1);
}
END_TEST

/* --- flags --- */

static void be_v86(unsigned iopl)
{
    cpu_rig_mode(&rig, X86_MODE16);
    cpu->cr0 |= CR0_PE;
    cpu->rflags = 2 | FL_VM | iopl << 12;
    cpu->cpl = 3;
    x86_update_mode(cpu);
    cpu->gpr[RSP] = 0x3000;
}

START_TEST(popf_in_user_mode_keeps_iopl_and_if)
{
    cpu->cpl = 3;
    x86_update_mode(cpu);
    cpu->gpr[RSP] = 0x3000;
    put32(0x3000, FL_IF | FL_IOPL | FL_CF | FL_DF | FL_VM | FL_RF);
    ck_assert_int_eq(RUN(0x9d), RIG_DONE);
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_CF | FL_DF);
}
END_TEST

START_TEST(popf_with_enough_iopl_changes_if)
{
    cpu->cpl = 3;
    cpu->rflags |= FL_IOPL;
    x86_update_mode(cpu);
    cpu->gpr[RSP] = 0x3000;
    put32(0x3000, FL_IF);
    ck_assert_int_eq(RUN(0x9d), RIG_DONE);
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_IF | FL_IOPL);
}
END_TEST

START_TEST(popf_of_16_bits_keeps_the_upper_half)
{
    cpu->rflags |= FL_ID;
    cpu->gpr[RSP] = 0x3000;
    put32(0x3000, FL_IOPL);
    ck_assert_int_eq(RUN(0x66, 0x9d), RIG_DONE);
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_ID | FL_IOPL);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x3002);
}
END_TEST

START_TEST(v86_flags_need_iopl)
{
    be_v86(0);
    assert_fault(RUN(0x9c), X86_GP, 0);
    be_v86(0);
    assert_fault(RUN(0x9d), X86_GP, 0);
    be_v86(3);
    ck_assert_int_eq(RUN(0x9c), RIG_DONE);
    ck_assert_uint_eq(get32(0x2ffc) >> 16, 2 | FL_IOPL);
}
END_TEST

START_TEST(v86_extensions_use_the_virtual_interrupt_flag)
{
    be_v86(0);
    cpu->cr4 |= CR4_VME;
    put32(0x3000, FL_IF | FL_CF);
    ck_assert_int_eq(RUN(0x9d), RIG_DONE);
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_VM | FL_VIF | FL_CF);
    ck_assert_int_eq(RUN(0x9c), RIG_DONE);
    ck_assert_uint_eq(get32(0x3000) & 0xffff, 2 | FL_IOPL | FL_IF | FL_CF);
    cpu->rflags |= FL_VIP;
    assert_fault(RUN(0x9d), X86_GP, 0);
}
END_TEST

/* --- ports --- */

START_TEST(in_and_out_reach_the_port)
{
    cpu->gpr[RAX] = 0x11223344, cpu->gpr[RDX] = 0x3f8;
    rig.io_answer = 0xa5;
    ck_assert_int_eq(RUN(0xee, 0xe4, 0x71), RIG_DONE); /* out dx, al; in al, 71h */
    ck_assert_uint_eq(rig.n_io, 2);
    ck_assert(rig.io[0].write && rig.io[0].port == 0x3f8 && rig.io[0].size == 1);
    ck_assert_uint_eq(rig.io[0].val, 0x44);
    ck_assert(!rig.io[1].write && rig.io[1].port == 0x71);
    ck_assert_uint_eq(cpu->gpr[RAX], 0x112233a5);
}
END_TEST

START_TEST(ins_leaves_the_port_alone_when_memory_faults)
{
    set_limit(SEG_ES, 0x2000);
    cpu->gpr[RDI] = 0x1ffd, cpu->gpr[RCX] = 3, cpu->gpr[RDX] = 0x1f0;
    rig.io_answer = 0x4241;
    assert_fault(RUN(0xf3, 0x66, 0x6d), X86_GP, 0); /* rep insw */
    ck_assert_uint_eq(rig.n_io, 2);
    ck_assert_uint_eq(cpu->gpr[RCX], 1);
    ck_assert_uint_eq(get32(0x1ffd), 0x42414241);
}
END_TEST

START_TEST(outs_writes_each_element)
{
    put32(0x1000, 0x44332211);
    cpu->gpr[RSI] = 0x1000, cpu->gpr[RCX] = 4, cpu->gpr[RDX] = 0x80;
    ck_assert_int_eq(RUN(0xf3, 0x6e), RIG_DONE);
    ck_assert_uint_eq(rig.n_io, 4);
    ck_assert_uint_eq(rig.io[3].val, 0x44);
    ck_assert_uint_eq(cpu->gpr[RSI], 0x1004);
}
END_TEST

/* --- the rest --- */

START_TEST(division_overflow_faults_in_all_sizes)
{
    static const struct {
        uint8_t code[3];
        uint8_t len, size;
    } forms[] = {{{0xf6, 0xf9}, 2, 1},
                 {{0x66, 0xf7, 0xf9}, 3, 2},
                 {{0xf7, 0xf9}, 2, 4},
                 {{0x48, 0xf7, 0xf9}, 3, 8}};
    cpu_rig_mode(&rig, X86_MODE64);
    for (unsigned n = 0; n < 4; n++) { /* the smallest number by -1 */
        cpu->gpr[RAX] = n == 0 ? 0xff80 : 1ull << (forms[n].size * 8 - 1);
        cpu->gpr[RDX] = ~0ull;
        cpu->gpr[RCX] = ~0ull;
        assert_fault(cpu_rig_exec(&rig, forms[n].code, forms[n].len), X86_DE, 0);
        cpu->gpr[RCX] = 0;
        assert_fault(cpu_rig_exec(&rig, forms[n].code, forms[n].len), X86_DE, 0);
        cpu->gpr[RCX] = 1;
        ck_assert_int_eq(cpu_rig_exec(&rig, forms[n].code, forms[n].len), RIG_DONE);
    }
}
END_TEST

START_TEST(addresses_of_16_bits_wrap)
{
    cpu_rig_mode(&rig, X86_MODE16);
    put32(0x10, 0xbeef);
    cpu->gpr[RBX] = 0xfff0, cpu->gpr[RSI] = 0x20;
    ck_assert_int_eq(RUN(0x8b, 0x00), RIG_DONE); /* mov ax, [bx+si] */
    ck_assert_uint_eq(cpu->gpr[RAX], 0xbeef);
}
END_TEST

START_TEST(cmpxchg16b_needs_alignment)
{
    cpu_rig_mode(&rig, X86_MODE64);
    cpu->gpr[RDI] = 0x1008;
    assert_fault(RUN(0x48, 0x0f, 0xc7, 0x0f), X86_GP, 0);
}
END_TEST

START_TEST(bound_faults_outside)
{
    put32(0x1000, (uint32_t)-2), put32(0x1004, 5);
    cpu->gpr[RAX] = (uint32_t)-2, cpu->gpr[RDI] = 0x1000;
    ck_assert_int_eq(RUN(0x62, 0x07), RIG_DONE);
    cpu->gpr[RAX] = 6;
    assert_fault(RUN(0x62, 0x07), X86_BR, 0);
}
END_TEST

START_TEST(vex_is_undefined_in_real_mode)
{
    cpu_rig_mode(&rig, X86_MODE16);
    assert_fault(RUN(0xc4, 0xe2, 0x70, 0xf2, 0xc2), X86_UD, 0); /* andn */
}
END_TEST

START_TEST(rdrand_repeats_with_its_seed)
{
    cpu->random_state = 42;
    ck_assert_int_eq(RUN(0x0f, 0xc7, 0xf0, 0x0f, 0xc7, 0xf3), RIG_DONE); /* eax, ebx */
    ck_assert_uint_eq(flags_get(cpu), FL_CF);
    uint64_t a = cpu->gpr[RAX], b = cpu->gpr[RBX];
    ck_assert_uint_ne(a, b);
    cpu->random_state = 42;
    ck_assert_int_eq(RUN(0x0f, 0xc7, 0xf0), RIG_DONE);
    ck_assert_uint_eq(cpu->gpr[RAX], a);
}
END_TEST

/* Every image of the six flags survives the lazy form, and each condition agrees with the image. */
START_TEST(lazy_flags_hold_every_image)
{
    static const uint32_t bits[] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};
    for (unsigned n = 0; n < 64; n++) {
        uint32_t f = 0;
        for (unsigned k = 0; k < 6; k++)
            f |= n >> k & 1 ? bits[k] : 0;
        flags_put(cpu, f);
        ck_assert_uint_eq(flags_get(cpu), f);
        bool less = !(f & FL_SF) != !(f & FL_OF);
        const bool want[] = {f & FL_OF, f & FL_CF, f & FL_ZF, f & (FL_CF | FL_ZF),
                             f & FL_SF, f & FL_PF, less,      less || (f & FL_ZF)};
        for (unsigned cc = 0; cc < 16; cc++)
            ck_assert_int_eq(flags_cond(cpu, cc), want[cc >> 1] != (cc & 1));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_int");
    TCase *tc = tcase_create("x86_int");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, string_fault_leaves_registers_at_the_element);
    tcase_add_test(tc, comparing_string_fault_leaves_flags);
    tcase_add_test(tc, string_stops_between_elements_for_attention);
    tcase_add_test(tc, string_pauses_after_each_stretch);
    tcase_add_test(tc, string_single_step_does_one_element);
    tcase_add_test(tc, string_16_bit_pointers_wrap);
    tcase_add_test(tc, string_override_moves_the_source_only);
    tcase_add_test(tc, string_overlap_propagates);
    tcase_add_test(tc, jump_beyond_the_code_segment_faults);
    tcase_add_test(tc, call_beyond_the_code_segment_pushes_nothing);
    tcase_add_test(tc, jump_16_bit_target_wraps);
    tcase_add_test(tc, jump_to_noncanonical_address_faults);
    tcase_add_test(tc, ret_faults_before_the_stack_pointer_moves);
    tcase_add_test(tc, loop_counts_by_address_size);
    tcase_add_test(tc, push_wraps_a_16_bit_stack);
    tcase_add_test(tc, push_32_bits_on_a_16_bit_stack);
    tcase_add_test(tc, pop_addresses_by_the_incremented_stack_pointer);
    tcase_add_test(tc, pop_to_memory_that_faults_leaves_the_stack_pointer);
    tcase_add_test(tc, push_beyond_the_stack_segment_is_a_stack_fault);
    tcase_add_test(tc, enter_copies_enclosing_frame_pointers);
    tcase_add_test(tc, pusha_popa_restore_all_but_sp);
    tcase_add_test(tc, popf_in_user_mode_keeps_iopl_and_if);
    tcase_add_test(tc, popf_with_enough_iopl_changes_if);
    tcase_add_test(tc, popf_of_16_bits_keeps_the_upper_half);
    tcase_add_test(tc, v86_flags_need_iopl);
    tcase_add_test(tc, v86_extensions_use_the_virtual_interrupt_flag);
    tcase_add_test(tc, in_and_out_reach_the_port);
    tcase_add_test(tc, ins_leaves_the_port_alone_when_memory_faults);
    tcase_add_test(tc, outs_writes_each_element);
    tcase_add_test(tc, division_overflow_faults_in_all_sizes);
    tcase_add_test(tc, addresses_of_16_bits_wrap);
    tcase_add_test(tc, cmpxchg16b_needs_alignment);
    tcase_add_test(tc, bound_faults_outside);
    tcase_add_test(tc, vex_is_undefined_in_real_mode);
    tcase_add_test(tc, rdrand_repeats_with_its_seed);
    tcase_add_test(tc, lazy_flags_hold_every_image);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
