// SPDX-License-Identifier: MIT
#include <check.h>
#include <string.h>

#include "cpu_state.h"
#include "tests/lib/suite.h"

START_TEST(bootstrap_processor_starts_at_the_reset_vector)
{
    struct cpu_state cpu;
    cpu_state_reset(&cpu, true);
    ck_assert_uint_eq(cpu.seg[SEG_CS].base + cpu.rip, 0xfffffff0);
    ck_assert_uint_eq(cpu.seg[SEG_CS].sel, 0xf000);
    ck_assert_uint_eq(cpu.rflags, 2);
    ck_assert_uint_eq(cpu.cr0, 0x60000010);
    ck_assert_uint_eq(cpu.apic_base, 0xfee00900);
    ck_assert_int_eq(cpu.run, CPU_RUNNING);
    ck_assert_uint_eq(cpu.seg[SEG_TR].type, 0xb);
    ck_assert_uint_eq(cpu.idt.limit, 0xffff);
}
END_TEST

START_TEST(other_processors_wait_for_sipi)
{
    struct cpu_state cpu;
    cpu_state_reset(&cpu, false);
    ck_assert_int_eq(cpu.run, CPU_WAIT_FOR_SIPI);
    ck_assert_uint_eq(cpu.apic_base, 0xfee00800);
}
END_TEST

START_TEST(dump_shows_registers_and_keeps_to_its_buffer)
{
    struct cpu_state cpu;
    char buf[4096], small[100], none = 'x';
    cpu_state_reset(&cpu, true);
    cpu.gpr[R15] = 0x123456789abcdef0;
    cpu_state_format(&cpu, buf, sizeof buf);
    ck_assert_ptr_nonnull(strstr(buf, "R15 123456789abcdef0\n"));
    ck_assert_ptr_nonnull(strstr(buf, "CS  f000 base 00000000ffff0000 limit 0000ffff type b"));
    ck_assert_ptr_nonnull(strstr(buf, "CR0 60000010"));
    memset(small, 'y', sizeof small);
    cpu_state_format(&cpu, small, 50);
    ck_assert_uint_eq(strlen(small), 49);
    ck_assert_int_eq(small[50], 'y');
    cpu_state_format(&cpu, &none, 0);
    ck_assert_int_eq(none, 'x');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu_state");
    TCase *tc = tcase_create("cpu_state");
    tcase_add_test(tc, bootstrap_processor_starts_at_the_reset_vector);
    tcase_add_test(tc, other_processors_wait_for_sipi);
    tcase_add_test(tc, dump_shows_registers_and_keeps_to_its_buffer);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
