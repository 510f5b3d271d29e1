// SPDX-License-Identifier: MIT
//
// Vector operations: what user mode of the host cannot show. Faults of alignment, availability and
// paging, partial gathers, unmasked exceptions, who owns MXCSR, MMX state.
#include <check.h>
#include <string.h>

#include "../lib/cpu_rig.h"
#include "src/accel/x86/sys.h"
#include "src/accel/x86/vec.h"
#include "tests/lib/suite.h"

#define MEM_AT 0x4000 /* of the memory operand in guest RAM; [rdi] */

static struct cpu_rig rig;

static void start(enum x86_mode mode)
{
    cpu_rig_mode(&rig, mode);
    vec_update_access(&rig.cpu);
}

/* --- faults --- */

static void expect_fault(const uint8_t *code, size_t len, unsigned vector)
{
    ck_assert_int_eq(cpu_rig_exec(&rig, code, len), RIG_FAULT);
    ck_assert_uint_eq(rig.cpu.exception.vector, vector);
    if (vector == X86_GP) {
        ck_assert(rig.cpu.exception.has_error);
        ck_assert_uint_eq(rig.cpu.exception.error, 0);
    }
}

#define EXPECT_FAULT(vector, ...)                                                                  \
    expect_fault((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__}, vector)
#define EXPECT_OK(...)                                                                             \
    ck_assert_int_eq(                                                                              \
        cpu_rig_exec(&rig, (const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__}),  \
        RIG_DONE)

#define MOVAPS_LOAD 0x0f, 0x28, 0x0f /* movaps xmm1, [rdi] */
#define MOVAPS_STORE 0x0f, 0x29, 0x0f
#define MOVUPS_LOAD 0x0f, 0x10, 0x0f
#define PADDB_MEM 0x66, 0x0f, 0xfc, 0x0f
#define PADDB_REG 0x66, 0x0f, 0xfc, 0xca
#define ADDSS_MEM 0xf3, 0x0f, 0x58, 0x0f
#define DIVPS_REG 0x0f, 0x5e, 0xca /* divps xmm1, xmm2 */
#define VPADDB_MEM 0xc5, 0xe1, 0xfc, 0x0f
#define VPADDB_REG 0xc5, 0xe1, 0xfc, 0xca
#define VMOVAPS_LOAD 0xc5, 0xf8, 0x28, 0x0f
#define VMOVAPS_LOAD256 0xc5, 0xfc, 0x28, 0x0f
#define VMOVUPS_LOAD256 0xc5, 0xfc, 0x10, 0x0f
#define VMOVNTDQ_STORE256 0xc5, 0xfd, 0xe7, 0x0f
#define LDMXCSR 0x0f, 0xae, 0x17
#define STMXCSR 0x0f, 0xae, 0x1f
#define PCMPISTRI_MEM 0x66, 0x0f, 0x3a, 0x63, 0x0f, 0x0c

START_TEST(vec_legacy_operands_must_be_aligned)
{
    start(X86_MODE64);
    rig.cpu.gpr[7] = MEM_AT + 8;
    EXPECT_FAULT(X86_GP, MOVAPS_LOAD);
    EXPECT_FAULT(X86_GP, MOVAPS_STORE);
    EXPECT_FAULT(X86_GP, PADDB_MEM);
    EXPECT_OK(MOVUPS_LOAD);
    EXPECT_OK(ADDSS_MEM);
    EXPECT_OK(PCMPISTRI_MEM);
}
END_TEST

START_TEST(vec_vex_operands_need_no_alignment_but_in_aligned_moves)
{
    start(X86_MODE64);
    rig.cpu.gpr[7] = MEM_AT + 1;
    EXPECT_OK(VPADDB_MEM);
    EXPECT_OK(VMOVUPS_LOAD256);
    EXPECT_FAULT(X86_GP, VMOVAPS_LOAD);
    rig.cpu.gpr[7] = MEM_AT + 16;
    EXPECT_OK(VMOVAPS_LOAD);
    EXPECT_FAULT(X86_GP, VMOVAPS_LOAD256);
    EXPECT_FAULT(X86_GP, VMOVNTDQ_STORE256);
}
END_TEST

START_TEST(vec_legacy_keeps_the_upper_half_and_vex_clears_it)
{
    start(X86_MODE64);
    rig.cpu.ymm[1].u64[2] = rig.cpu.ymm[1].u64[3] = 77;
    EXPECT_OK(PADDB_REG);
    ck_assert_uint_eq(rig.cpu.ymm[1].u64[3], 77);
    EXPECT_OK(VPADDB_REG);
    ck_assert_uint_eq(rig.cpu.ymm[1].u64[2] | rig.cpu.ymm[1].u64[3], 0);
}
END_TEST

START_TEST(vec_legacy_needs_osfxsr_and_no_em)
{
    start(X86_MODE64);
    rig.cpu.cr4 &= ~(uint64_t)CR4_OSFXSR;
    vec_update_access(&rig.cpu);
    EXPECT_FAULT(X86_UD, PADDB_REG);
    EXPECT_OK(VPADDB_REG); /* has a bit of its own */
    rig.cpu.cr4 |= CR4_OSFXSR;
    rig.cpu.cr0 |= CR0_EM | CR0_TS;
    vec_update_access(&rig.cpu);
    EXPECT_FAULT(X86_UD, PADDB_REG);
    EXPECT_FAULT(X86_UD, STMXCSR);
}
END_TEST

START_TEST(vec_task_switched_raises_nm)
{
    start(X86_MODE64);
    rig.cpu.cr0 |= CR0_TS;
    vec_update_access(&rig.cpu);
    EXPECT_FAULT(X86_NM, PADDB_REG);
    EXPECT_FAULT(X86_NM, VPADDB_REG);
    EXPECT_FAULT(X86_NM, LDMXCSR);
    rig.cpu.gpr[7] = MEM_AT + 1; /* comes before the operand is looked at */
    EXPECT_FAULT(X86_NM, PADDB_MEM);
}
END_TEST

START_TEST(vec_vex_needs_osxsave_and_xcr0)
{
    start(X86_MODE64);
    rig.cpu.xcr0 = 3;
    vec_update_access(&rig.cpu);
    EXPECT_FAULT(X86_UD, VPADDB_REG);
    rig.cpu.xcr0 = 7;
    rig.cpu.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    rig.cpu.cr0 |= CR0_TS; /* undefined is stronger */
    vec_update_access(&rig.cpu);
    EXPECT_FAULT(X86_UD, VPADDB_REG);
    EXPECT_FAULT(X86_NM, PADDB_REG);
}
END_TEST

START_TEST(vec_vex_is_undefined_in_real_mode)
{
    start(X86_MODE16);
    EXPECT_FAULT(X86_UD, VPADDB_REG);
    EXPECT_OK(PADDB_REG);
}
END_TEST

/* --- MXCSR --- */

static void set_mxcsr(uint32_t v)
{
    gmem_write(&rig.gmem, MEM_AT, &v, 4);
    rig.cpu.gpr[7] = MEM_AT;
    EXPECT_OK(LDMXCSR);
}

static uint32_t host_mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

/* Element 0 divides by zero, the others are exact. */
static void prepare_division(void)
{
    for (unsigned n = 0; n < 4; n++) {
        rig.cpu.ymm[1].f32[n] = 6;
        rig.cpu.ymm[2].f32[n] = n ? 2 : 0;
    }
}

START_TEST(vec_ldmxcsr_refuses_reserved_bits)
{
    start(X86_MODE64);
    set_mxcsr(0xffc0);
    uint32_t bad = 0x11f80;
    gmem_write(&rig.gmem, MEM_AT, &bad, 4);
    EXPECT_FAULT(X86_GP, LDMXCSR);
    ck_assert_uint_eq(vec_mxcsr_get(&rig.cpu), 0xffc0);
}
END_TEST

START_TEST(vec_flags_are_sticky_and_the_guests_alone)
{
    start(X86_MODE64);
    set_mxcsr(0x7f80); /* round up */
    prepare_division();
    EXPECT_OK(DIVPS_REG, STMXCSR);
    ck_assert_uint_eq(host_mxcsr(), MXCSR_DEFAULT);
    volatile float third = 3;
    third = 1 / third; /* the VMM's own inexact result */
    EXPECT_OK(STMXCSR);
    uint32_t v = 0;
    gmem_read(&rig.gmem, MEM_AT, &v, 4);
    ck_assert_uint_eq(v, 0x7f84); /* ZE only */
    ck_assert(third > 0);
}
END_TEST

START_TEST(vec_unmasked_exception_changes_nothing)
{
    start(X86_MODE64);
    set_mxcsr(MXCSR_DEFAULT & ~0x200u); /* ZM */
    prepare_division();
    union vec_reg before = rig.cpu.ymm[1];
    EXPECT_FAULT(X86_XM, DIVPS_REG);
    ck_assert(!memcmp(&before, &rig.cpu.ymm[1], sizeof before));
    ck_assert_uint_eq(vec_mxcsr_get(&rig.cpu), 0x1d84);
    ck_assert_uint_eq(host_mxcsr(), MXCSR_DEFAULT);
    rig.cpu.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    EXPECT_FAULT(X86_UD, DIVPS_REG);
}
END_TEST

/* Exact but tiny: with underflow masked no flag, unmasked an exception. */
START_TEST(vec_unmasked_underflow_needs_no_inexact_result)
{
    start(X86_MODE64);
    set_mxcsr(MXCSR_DEFAULT & ~0x800u); /* UM */
    memset(rig.cpu.ymm, 0, sizeof rig.cpu.ymm);
    rig.cpu.ymm[1].u32[0] = 0x00800000; /* smallest normal */
    for (unsigned n = 0; n < 4; n++)
        rig.cpu.ymm[2].f32[n] = 2;
    EXPECT_FAULT(X86_XM, DIVPS_REG);
    ck_assert_uint_eq(vec_mxcsr_get(&rig.cpu) & MXCSR_FLAGS, 0x10);
    set_mxcsr(MXCSR_DEFAULT);
    EXPECT_OK(DIVPS_REG);
    ck_assert_uint_eq(vec_mxcsr_get(&rig.cpu) & MXCSR_FLAGS, 0);
}
END_TEST

/* --- page faults: identity-mapped 4 KiB pages, one of which is missing --- */

#define HOLE 0x6000

static void with_paging(void)
{
    start(X86_MODE64);
    uint64_t table[512] = {0x11007};
    gmem_write(&rig.gmem, 0x10000, table, sizeof table);
    table[0] = 0x12007;
    gmem_write(&rig.gmem, 0x11000, table, sizeof table);
    table[0] = 0x13007;
    gmem_write(&rig.gmem, 0x12000, table, sizeof table);
    for (unsigned n = 0; n < 256; n++)
        table[n] = n == HOLE >> 12 ? 0 : n << 12 | 7;
    gmem_write(&rig.gmem, 0x13000, table, sizeof table);
    rig.cpu.cr4 |= CR4_PAE;
    x86_write_cr4(&rig.cpu, rig.cpu.cr4);
    x86_write_cr3(&rig.cpu, 0x10000);
    rig.cpu.cr0 |= CR0_PG;
    x86_update_mode(&rig.cpu);
    vec_update_access(&rig.cpu);
}

START_TEST(vec_scalars_read_no_further_than_their_size)
{
    with_paging();
    rig.cpu.gpr[7] = HOLE - 4;
    EXPECT_OK(ADDSS_MEM);
    EXPECT_FAULT(X86_PF, MOVUPS_LOAD);
    ck_assert_uint_eq(rig.cpu.cr2, HOLE);
    rig.cpu.gpr[7] = HOLE - 8;
    EXPECT_OK(0xf2, 0x0f, 0x12, 0x0f);                  /* movddup */
    EXPECT_OK(0x66, 0x0f, 0x38, 0x20, 0x0f);            /* pmovsxbw */
    EXPECT_FAULT(X86_PF, 0xc4, 0xe2, 0x7d, 0x20, 0x0f); /* vpmovsxbw ymm */
}
END_TEST

START_TEST(vec_masked_moves_touch_selected_elements_only)
{
    with_paging();
    rig.cpu.gpr[7] = HOLE - 8;
    memset(rig.cpu.ymm, 0, sizeof rig.cpu.ymm);
    rig.cpu.ymm[3].u32[0] = rig.cpu.ymm[3].u32[1] = 1u << 31;
    memset(&rig.cpu.ymm[1], 0x5a, 32);
    EXPECT_OK(0xc4, 0xe2, 0x65, 0x2e, 0x0f); /* vmaskmovps [rdi], ymm3, ymm1 */
    EXPECT_OK(0xc4, 0xe2, 0x65, 0x2c, 0x0f); /* vmaskmovps ymm1, ymm3, [rdi] */
    ck_assert_uint_eq(rig.cpu.ymm[1].u64[0], 0x5a5a5a5a5a5a5a5a);
    ck_assert_uint_eq(rig.cpu.ymm[1].u64[1], 0);
    rig.cpu.ymm[3].u32[2] = 1u << 31;
    EXPECT_FAULT(X86_PF, 0xc4, 0xe2, 0x65, 0x2c, 0x0f);
}
END_TEST

START_TEST(vec_maskmovdqu_writes_selected_bytes_only)
{
    with_paging();
    rig.cpu.gpr[7] = HOLE - 16;
    memset(rig.cpu.ymm, 0, sizeof rig.cpu.ymm);
    memset(&rig.cpu.ymm[1], 0x11, 16);
    rig.cpu.ymm[2].u8[0] = rig.cpu.ymm[2].u8[2] = 0x80;
    const uint8_t fill[3] = {1, 2, 3};
    gmem_write(&rig.gmem, HOLE - 16, fill, 3);
    EXPECT_OK(0x66, 0x0f, 0xf7, 0xca); /* maskmovdqu xmm1, xmm2 */
    uint8_t got[3];
    gmem_read(&rig.gmem, HOLE - 16, got, 3);
    ck_assert(got[0] == 0x11 && got[1] == 2 && got[2] == 0x11);
    rig.cpu.gpr[7] = HOLE - 15;
    rig.cpu.ymm[1].u8[0] = 0x22;
    EXPECT_FAULT(X86_PF, 0x66, 0x0f, 0xf7, 0xca);
    gmem_read(&rig.gmem, HOLE - 15, got, 1);
    ck_assert_uint_eq(got[0], 2);
}
END_TEST

START_TEST(vec_gather_keeps_what_it_has_when_it_faults)
{
    with_paging();
    memset(rig.cpu.ymm, 0, sizeof rig.cpu.ymm);
    for (unsigned n = 0; n < 4; n++) {
        uint32_t v = 100 + n;
        gmem_write(&rig.gmem, HOLE - 16 + n * 4, &v, 4);
        rig.cpu.ymm[2].u32[n] = n == 2 ? 4 : n; /* the third lies in the hole */
        rig.cpu.ymm[3].u32[n] = n == 1 ? 0 : 0x80000000;
        rig.cpu.ymm[1].u32[n] = 7;
    }
    rig.cpu.gpr[7] = HOLE - 16;
    EXPECT_FAULT(X86_PF, 0xc4, 0xe2, 0x61, 0x90, 0x0c,
                 0x97); /* vpgatherdd xmm1, [rdi+xmm2*4], xmm3 */
    ck_assert_uint_eq(rig.cpu.ymm[1].u32[0], 100);
    ck_assert_uint_eq(rig.cpu.ymm[1].u32[1], 7);
    ck_assert_uint_eq(rig.cpu.ymm[3].u32[0], 0);
    ck_assert(rig.cpu.ymm[3].u32[2] >> 31);
    rig.cpu.ymm[2].u32[2] = 2;
    EXPECT_OK(0xc4, 0xe2, 0x61, 0x90, 0x0c, 0x97);
    ck_assert_uint_eq(rig.cpu.ymm[1].u32[2], 102);
    ck_assert_uint_eq(rig.cpu.ymm[1].u32[3], 103);
    ck_assert_uint_eq(rig.cpu.ymm[3].u64[0] | rig.cpu.ymm[3].u64[1], 0);
    EXPECT_FAULT(X86_UD, 0xc4, 0xe2, 0x61, 0x90, 0x0c, 0x8f); /* index is the destination */
}
END_TEST

/* --- MMX --- */

START_TEST(vec_mmx_conversions_enter_mmx_state_with_registers_only)
{
    start(X86_MODE64);
    rig.cpu.gpr[7] = MEM_AT;
    rig.cpu.x87.top = 5;
    rig.cpu.x87.empty = 0xff;
    rig.cpu.x87.st[2].mantissa = 0xfffffffe00000003;
    EXPECT_OK(0x0f, 0x2a, 0x0f); /* cvtpi2ps xmm1, [rdi] */
    ck_assert_uint_eq(rig.cpu.x87.empty, 0xff);
    EXPECT_OK(0x0f, 0x2a, 0xca); /* cvtpi2ps xmm1, mm2 */
    ck_assert_uint_eq(rig.cpu.x87.empty, 0);
    ck_assert_uint_eq(rig.cpu.x87.top, 0);
    ck_assert(rig.cpu.ymm[1].f32[0] == 3 && rig.cpu.ymm[1].f32[1] == -2);
    EXPECT_OK(0x0f, 0x2d, 0xd9); /* cvtps2pi mm3, xmm1 */
    ck_assert_uint_eq(rig.cpu.x87.st[3].mantissa, 0xfffffffe00000003);
    ck_assert_uint_eq(rig.cpu.x87.st[3].sign_exp, 0xffff);
    rig.cpu.x87.status |= 0x80;
    EXPECT_FAULT(X86_MF, 0xf3, 0x0f, 0xd6, 0xca); /* movq2dq xmm1, mm2 */
}
END_TEST

static void setup(void)
{
    cpu_rig_init(&rig, 1 << 20, 0x10000000, 0x10000);
}

static void teardown(void)
{
    cpu_rig_fini(&rig);
}

int main(void)
{
    Suite *suite = suite_create("x86_vec_fault");
    TCase *tc = tcase_create("faults");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, vec_legacy_operands_must_be_aligned);
    tcase_add_test(tc, vec_vex_operands_need_no_alignment_but_in_aligned_moves);
    tcase_add_test(tc, vec_legacy_keeps_the_upper_half_and_vex_clears_it);
    tcase_add_test(tc, vec_legacy_needs_osfxsr_and_no_em);
    tcase_add_test(tc, vec_task_switched_raises_nm);
    tcase_add_test(tc, vec_vex_needs_osxsave_and_xcr0);
    tcase_add_test(tc, vec_vex_is_undefined_in_real_mode);
    tcase_add_test(tc, vec_ldmxcsr_refuses_reserved_bits);
    tcase_add_test(tc, vec_flags_are_sticky_and_the_guests_alone);
    tcase_add_test(tc, vec_unmasked_exception_changes_nothing);
    tcase_add_test(tc, vec_unmasked_underflow_needs_no_inexact_result);
    tcase_add_test(tc, vec_scalars_read_no_further_than_their_size);
    tcase_add_test(tc, vec_masked_moves_touch_selected_elements_only);
    tcase_add_test(tc, vec_maskmovdqu_writes_selected_bytes_only);
    tcase_add_test(tc, vec_gather_keeps_what_it_has_when_it_faults);
    tcase_add_test(tc, vec_mmx_conversions_enter_mmx_state_with_registers_only);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
