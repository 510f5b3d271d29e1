// SPDX-License-Identifier: MIT
//
// Paging and translation caches: page-table combinations with the error codes of SDM vol. 3
// section 4.7, flushes of 4.10.4.
#include <check.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "tests/lib/x86_rig.h"

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define G 0x100u
#define NX (1ull << 63)

static struct x86_rig *r;
static struct x86_cpu *cpu;

static void setup(void)
{
    r = x86_rig_new();
    cpu = &r->cpu;
}

static void setup_long(void)
{
    setup();
    x86_rig_long(r);
}

static void teardown(void)
{
    x86_rig_free(r);
}

static struct outcome read_at(gva_t va)
{
    struct outcome o;
    CATCH(r, &o, mem_read32(cpu, va));
    return o;
}

static struct outcome write_at(gva_t va, uint32_t val)
{
    struct outcome o;
    CATCH(r, &o, mem_write32(cpu, va, val));
    return o;
}

static struct outcome fetch_at(gva_t va)
{
    struct outcome o;
    gpa_t gpa;
    CATCH(r, &o, mmu_fetch(cpu, va, &gpa));
    return o;
}

static struct outcome access_at(gva_t va, enum mmu_access access)
{
    return access == MMU_READ ? read_at(va) : access == MMU_WRITE ? write_at(va, 0) : fetch_at(va);
}

static void set_pte(gva_t va, uint64_t pte)
{
    x86_rig_poke(r, RIG_PT + (va >> 12) * 8, pte, 8);
}

static uint64_t pte(gva_t va)
{
    return x86_rig_peek(r, RIG_PT + (va >> 12) * 8, 8);
}

/* --- rights --- */

#define PAGE 0x60000u

/* One page with these bits, reached with these control bits; error -1: no fault. */
static const struct {
    uint64_t pte;
    enum mmu_access access;
    bool user, wp, smep, smap, ac, nxe;
    int error;
} rights[] = {
    /* pte                access     user   wp     smep   smap   ac     nxe    error */
    {0, MMU_READ, false, true, false, false, false, true, 0x00},
    {0, MMU_WRITE, false, true, false, false, false, true, 0x02},
    {0, MMU_READ, true, true, false, false, false, true, 0x04},
    {0, MMU_WRITE, true, true, false, false, false, true, 0x06},
    {0, MMU_EXEC, false, true, false, false, false, true, 0x10},
    {0, MMU_EXEC, true, true, false, false, false, true, 0x14},
    {0, MMU_EXEC, true, true, false, false, false, false, 0x04},
    {0, MMU_EXEC, true, true, true, false, false, false, 0x14},
    {PAGE | P, MMU_READ, false, true, false, false, false, true, -1},
    {PAGE | P, MMU_READ, true, true, false, false, false, true, 0x05},
    {PAGE | P | W, MMU_WRITE, true, true, false, false, false, true, 0x07},
    {PAGE | P | W, MMU_EXEC, true, true, false, false, false, true, 0x15},
    {PAGE | P, MMU_WRITE, false, true, false, false, false, true, 0x03},
    {PAGE | P, MMU_WRITE, false, false, false, false, false, true, -1},
    {PAGE | P | U, MMU_WRITE, false, true, false, false, false, true, 0x03},
    {PAGE | P | U, MMU_WRITE, false, false, false, false, false, true, -1},
    {PAGE | P | U, MMU_READ, true, true, false, false, false, true, -1},
    {PAGE | P | U, MMU_WRITE, true, false, false, false, false, true, 0x07},
    {PAGE | P | U | W, MMU_WRITE, true, true, false, false, false, true, -1},
    {PAGE | P | W | NX, MMU_READ, false, true, false, false, false, true, -1},
    {PAGE | P | W | NX, MMU_EXEC, false, true, false, false, false, true, 0x11},
    {PAGE | P | U | NX, MMU_EXEC, true, true, false, false, false, true, 0x15},
    {PAGE | P | W | NX, MMU_READ, false, true, false, false, false, false, 0x09},
    {PAGE | P | W | NX, MMU_EXEC, false, true, false, false, false, false, 0x09},
    {PAGE | P | W | NX, MMU_WRITE, true, true, false, false, false, false, 0x0f},
    {PAGE | P | 1ull << 40, MMU_READ, false, true, false, false, false, true, 0x09},
    {PAGE | P | 1ull << 51, MMU_READ, true, true, false, false, false, true, 0x0d},
    {PAGE | P | 1ull << 52, MMU_READ, false, true, false, false, false, true, -1},
    {PAGE | P | U, MMU_EXEC, false, true, false, false, false, true, -1},
    {PAGE | P | U, MMU_EXEC, false, true, true, false, false, true, 0x11},
    {PAGE | P | U, MMU_EXEC, true, true, true, false, false, true, -1},
    {PAGE | P | U | W, MMU_READ, false, true, false, true, false, true, 0x01},
    {PAGE | P | U | W, MMU_WRITE, false, true, false, true, false, true, 0x03},
    {PAGE | P | U | W, MMU_READ, false, true, false, true, true, true, -1},
    {PAGE | P | U | W, MMU_WRITE, false, true, false, true, true, true, -1},
    {PAGE | P | U | W, MMU_EXEC, false, true, false, true, false, true, -1},
    {PAGE | P | W, MMU_WRITE, false, true, false, true, false, true, -1},
    {PAGE | P | U | W, MMU_WRITE, true, true, true, true, false, true, -1},
};

START_TEST(page_rights_give_the_right_error_code)
{
    unsigned n = (unsigned)_i;
    set_pte(PAGE, rights[n].pte);
    if (rights[n].user)
        x86_rig_user(r);
    cpu->cr0 = (cpu->cr0 & ~(uint64_t)CR0_WP) | (rights[n].wp ? CR0_WP : 0);
    cpu->cr4 |= (rights[n].smep ? CR4_SMEP : 0u) | (rights[n].smap ? CR4_SMAP : 0u);
    cpu->efer = rights[n].nxe ? cpu->efer : cpu->efer & ~(uint64_t)EFER_NXE;
    x86_write_rflags(cpu, rights[n].ac ? FL_AC : 0, FL_AC);
    mmu_flush_all(cpu);
    cpu->cr2 = 0;
    struct outcome o = access_at(PAGE + 0x123, rights[n].access);
    if (rights[n].error < 0) {
        ck_assert_no_fault(o);
        /* Once more, now from the caches. */
        ck_assert_no_fault(access_at(PAGE + 0x123, rights[n].access));
    } else {
        ck_assert_fault(o, X86_PF, rights[n].error);
        ck_assert_uint_eq(cpu->cr2, PAGE + 0x123);
        ck_assert_uint_eq(pte(PAGE) & (A | D), 0);
    }
}
END_TEST

START_TEST(rights_are_those_of_all_levels)
{
    static const gpa_t upper[] = {RIG_PML4, RIG_PDPT, RIG_PD};
    uint64_t next = x86_rig_peek(r, upper[_i], 8);
    x86_rig_poke(r, upper[_i], next & ~(uint64_t)W, 8);
    ck_assert_fault(write_at(PAGE, 0), X86_PF, 3);
    x86_rig_poke(r, upper[_i], next | NX, 8);
    mmu_flush_all(cpu);
    ck_assert_fault(fetch_at(PAGE), X86_PF, 0x11);
    x86_rig_poke(r, upper[_i], next & ~(uint64_t)P, 8);
    mmu_flush_all(cpu);
    ck_assert_fault(read_at(PAGE), X86_PF, 0);
    x86_rig_poke(r, upper[_i], (next & ~(uint64_t)U), 8);
    mmu_flush_all(cpu);
    x86_rig_user(r);
    ck_assert_fault(read_at(PAGE), X86_PF, 5);
}
END_TEST

START_TEST(page_size_bit_is_reserved_in_the_top_level)
{
    x86_rig_poke(r, RIG_PML4, RIG_PDPT | 7 | PS, 8);
    ck_assert_fault(read_at(PAGE), X86_PF, 9);
}
END_TEST

/* --- accessed and dirty --- */

START_TEST(reads_set_accessed_and_writes_dirty)
{
    set_pte(PAGE, PAGE | P | W);
    ck_assert_no_fault(read_at(PAGE));
    ck_assert_uint_eq(pte(PAGE), PAGE | P | W | A);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_PML4, 8), RIG_PDPT | 7 | A);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_PD, 8), RIG_PT | 7 | A);
    ck_assert_no_fault(write_at(PAGE, 5));
    ck_assert_uint_eq(pte(PAGE), PAGE | P | W | A | D);
    ck_assert_uint_eq(x86_rig_peek(r, PAGE, 4), 5);
}
END_TEST

START_TEST(read_for_write_sets_dirty)
{
    struct outcome o;
    set_pte(PAGE, PAGE | P | W);
    ck_assert_no_fault(read_at(PAGE));
    CATCH(r, &o, mem_rmw32(cpu, PAGE));
    ck_assert_no_fault(o);
    ck_assert_uint_eq(pte(PAGE), PAGE | P | W | A | D);
}
END_TEST

/* --- large pages, other paging modes --- */

START_TEST(two_megabyte_pages_translate)
{
    x86_rig_poke(r, RIG_PD + 5 * 8, 0x400000 | P | W | PS, 8);
    x86_rig_poke(r, 0x400000 + 0x12345 + 0x1000, 0xabcd, 4);
    ck_assert_uint_eq(mem_read32(cpu, (5u << 21) + 0x13345), 0xabcd);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_PD + 5 * 8, 8), 0x400000 | P | W | PS | A);
    x86_rig_poke(r, RIG_PD + 6 * 8, 0x402000 | P | W | PS, 8); /* address bits inside the page */
    ck_assert_fault(read_at(6u << 21), X86_PF, 9);
}
END_TEST

START_TEST(one_gigabyte_pages_translate)
{
    x86_rig_poke(r, RIG_PDPT + 3 * 8, 0 | P | W | PS, 8);
    x86_rig_poke(r, 0x654320, 0x77, 4);
    ck_assert_uint_eq(mem_read32(cpu, (3ull << 30) + 0x654320), 0x77);
    x86_rig_poke(r, RIG_PDPT + 4 * 8, 0x200000 | P | W | PS, 8);
    ck_assert_fault(read_at(4ull << 30), X86_PF, 9);
}
END_TEST

START_TEST(high_half_addresses_translate)
{
    x86_rig_poke(r, RIG_PML4 + 511 * 8, RIG_PDPT | 7, 8);
    x86_rig_poke(r, RIG_PDPT + 510 * 8, 0 | P | W | PS, 8);
    x86_rig_poke(r, 0x123458, 0x99, 4);
    ck_assert_uint_eq(mem_read32(cpu, 0xffffffff80123458), 0x99);
}
END_TEST

START_TEST(five_levels_translate)
{
    const gpa_t pml5 = 0x14000;
    x86_rig_poke(r, pml5 + 8, RIG_PML4 | 7, 8);
    cpu->cr4 |= CR4_LA57;
    cpu->cr3 = pml5;
    mmu_flush_all(cpu);
    x86_rig_poke(r, PAGE, 0x55, 4);
    ck_assert_uint_eq(mem_read32(cpu, (1ull << 48) + PAGE), 0x55);
    ck_assert_fault(read_at(PAGE), X86_PF, 0);
    ck_assert_fault(read_at(1ull << 57), X86_GP, 0);
}
END_TEST

/* 32-bit paging: directory at RIG_PML4, table at RIG_PDPT. */
static void setup_32(void)
{
    setup();
    x86_rig_protected(r);
    for (unsigned n = 0; n < 1024; n++)
        x86_rig_poke(r, RIG_PDPT + n * 4, n << 12 | 7, 4);
    x86_rig_poke(r, RIG_PML4, RIG_PDPT | 7, 4);
    cpu->cr3 = RIG_PML4;
    cpu->cr0 |= CR0_PG | CR0_WP;
    mmu_flush_all(cpu);
}

START_TEST(paging_32_translates_and_faults)
{
    x86_rig_poke(r, PAGE, 0x42, 4);
    ck_assert_uint_eq(mem_read32(cpu, PAGE), 0x42);
    ck_assert_uint_eq(x86_rig_peek(r, RIG_PDPT + (PAGE >> 12) * 4, 4), PAGE | 7 | A);
    x86_rig_poke(r, RIG_PDPT + (PAGE >> 12) * 4, PAGE | P, 4);
    mmu_flush_all(cpu);
    ck_assert_fault(write_at(PAGE, 0), X86_PF, 3);
    ck_assert_fault(read_at(0x400000), X86_PF, 0);
    ck_assert_fault(fetch_at(0x400000), X86_PF, 0); /* no fetch bit without NX */
}
END_TEST

START_TEST(paging_32_four_megabyte_pages)
{
    x86_rig_poke(r, RIG_PML4 + 4, 0x800000 | 7 | PS, 4);
    ck_assert_fault(read_at(0x400000 + 0x123000), X86_PF, 0); /* an empty table at 8 MiB */
    cpu->cr4 |= CR4_PSE;
    mmu_flush_all(cpu);
    x86_rig_poke(r, 0x800000 + 0x323004, 0x11, 4);
    ck_assert_uint_eq(mem_read32(cpu, 0x400000 + 0x323004), 0x11);
    x86_rig_poke(r, RIG_PML4 + 8, 7 | PS | 1 << 21, 4);
    ck_assert_fault(read_at(0x800000), X86_PF, 9);
    /* PSE-36: bit 13 is address bit 32, where there is no RAM here. */
    x86_rig_poke(r, RIG_PML4 + 12, 7 | PS | 1 << 13, 4);
    mem_read32(cpu, 0xc00000 + 0x4444);
    ck_assert_uint_eq(r->mmio_addr, 0x100004444);
}
END_TEST

/* PAE: directory-pointer entries at RIG_PML4, directory RIG_PDPT. */
static void setup_pae(void)
{
    setup();
    x86_rig_protected(r);
    x86_rig_poke(r, RIG_PML4, RIG_PDPT | P, 8);
    x86_rig_poke(r, RIG_PDPT, RIG_PT | 7, 8);
    for (unsigned n = 0; n < 512; n++)
        x86_rig_poke(r, RIG_PT + n * 8, n << 12 | 7, 8);
    cpu->cr3 = RIG_PML4;
    cpu->cr4 |= CR4_PAE;
    cpu->efer |= EFER_NXE;
    struct outcome o;
    CATCH(r, &o, x86_write_cr0(cpu, cpu->cr0 | CR0_PG | CR0_WP));
    ck_assert_no_fault(o);
}

START_TEST(pae_translates_and_faults)
{
    x86_rig_poke(r, PAGE, 0x43, 4);
    ck_assert_uint_eq(mem_read32(cpu, PAGE), 0x43);
    set_pte(PAGE, PAGE | 7 | NX);
    mmu_flush_all(cpu);
    ck_assert_fault(fetch_at(PAGE), X86_PF, 0x11);
    set_pte(PAGE, PAGE | 7 | 1ull << 52); /* ignored in long mode, reserved here */
    mmu_flush_all(cpu);
    ck_assert_fault(read_at(PAGE), X86_PF, 9);
    ck_assert_fault(read_at(1u << 30), X86_PF, 0);
}
END_TEST

START_TEST(pae_top_entries_are_registers)
{
    struct outcome o;
    x86_rig_poke(r, RIG_PML4, 0, 8);
    mmu_flush_all(cpu);
    ck_assert_no_fault(read_at(PAGE)); /* still the loaded ones */
    x86_rig_poke(r, RIG_PML4, RIG_PDPT | P | W, 8);
    CATCH(r, &o, x86_write_cr3(cpu, RIG_PML4));
    ck_assert_fault(o, X86_GP, 0); /* W is reserved there */
    x86_rig_poke(r, RIG_PML4, 0, 8);
    CATCH(r, &o, x86_write_cr3(cpu, RIG_PML4));
    ck_assert_no_fault(o);
    ck_assert_fault(read_at(PAGE), X86_PF, 0);
}
END_TEST

/* --- canonical addresses, page crossing --- */

START_TEST(non_canonical_addresses_are_general_protection)
{
    ck_assert_fault(read_at(0x800000000000), X86_GP, 0);
    ck_assert_fault(read_at(0xffff7fffffffffff), X86_GP, 0);
    ck_assert_fault(read_at(0x7ffffffffffe), X86_GP, 0);
    ck_assert_fault(fetch_at(1ull << 60), X86_GP, 0);
}
END_TEST

START_TEST(non_canonical_stack_is_a_stack_fault)
{
    cpu->gpr[RSP] = 1ull << 60;
    cpu->gpr[RBP] = 1ull << 60;
    cpu->gpr[RBX] = 1ull << 60;
    ck_assert_fault(TRY(r, 0x50), X86_SS, 0);                   /* push rax */
    ck_assert_fault(TRY(r, 0x48, 0x8b, 0x45, 0x00), X86_SS, 0); /* mov rax, [rbp] */
    ck_assert_fault(TRY(r, 0x48, 0x8b, 0x03), X86_GP, 0);       /* mov rax, [rbx] */
    ck_assert_fault(TRY(r, 0xff, 0x33), X86_GP, 0); /* push [rbx]: the operand comes first */
    cpu->gpr[RBX] = PAGE;
    ck_assert_fault(TRY(r, 0xff, 0x33), X86_SS, 0);
    cpu->gpr[RSI] = 1ull << 60;
    ck_assert_fault(TRY(r, 0xac), X86_GP, 0); /* lodsb */
}
END_TEST

START_TEST(crossing_write_checks_both_pages_first)
{
    set_pte(PAGE + 0x1000, 0);
    x86_rig_poke(r, PAGE + 0xffc, 0x01020304, 4);
    ck_assert_fault(write_at(PAGE + 0xffe, ~0u), X86_PF, 2);
    ck_assert_uint_eq(cpu->cr2, PAGE + 0x1000);
    ck_assert_uint_eq(x86_rig_peek(r, PAGE + 0xffc, 4), 0x01020304);
}
END_TEST

START_TEST(crossing_accesses_join_two_pages)
{
    set_pte(PAGE, 0x70000 | 7);
    set_pte(PAGE + 0x1000, 0x90000 | 7);
    ck_assert_no_fault(write_at(PAGE + 0xffd, 0x44332211));
    ck_assert_uint_eq(x86_rig_peek(r, 0x70ffd, 3), 0x332211);
    ck_assert_uint_eq(x86_rig_peek(r, 0x90000, 1), 0x44);
    ck_assert_uint_eq(mem_read32(cpu, PAGE + 0xffd), 0x44332211);
}
END_TEST

/* The index of neighbouring pages must differ, or the last byte's page would answer for the first.
 */
START_TEST(neighbouring_pages_have_different_entries)
{
    for (uint64_t page = 0; page < 1ull << 36; page = page * 2 + 1)
        ck_assert_ptr_ne(tlb_at(cpu, page << 12), tlb_at(cpu, (page + 1) << 12));
}
END_TEST

START_TEST(linear_addresses_wrap_at_four_gigabytes_outside_64_bit_mode)
{
    struct outcome o;
    volatile uint32_t v = 0;
    teardown();
    setup();
    x86_rig_protected(r);
    x86_rig_poke(r, 0, 0xbbaa, 2);
    CATCH(r, &o, v = mem_read32(cpu, 0xfffffffe));
    ck_assert_no_fault(o);
    ck_assert_uint_eq(v >> 16, 0xbbaa);
    ck_assert_uint_eq(r->mmio_addr, 0xfffffffe);
    ck_assert_uint_eq(r->mmio_size, 2);
}
END_TEST

/* --- devices, code pages --- */

START_TEST(device_pages_are_never_cached)
{
    set_pte(PAGE, RIG_MMIO | 7);
    ck_assert_uint_eq(mem_read32(cpu, PAGE + 8), 0x55667788);
    ck_assert_uint_eq(mem_read16(cpu, PAGE + 8), 0x7788);
    mem_write64(cpu, PAGE + 0x10, 0x123456789a);
    ck_assert_uint_eq(r->mmio_reads, 2);
    ck_assert_uint_eq(r->mmio_writes, 1);
    ck_assert_uint_eq(r->mmio_addr, RIG_MMIO + 0x10);
    ck_assert_uint_eq(r->mmio_val, 0x123456789a);
    gpa_t gpa;
    ck_assert_ptr_null(mmu_fetch(cpu, PAGE + 4, &gpa));
    ck_assert_uint_eq(gpa, RIG_MMIO + 4);
    uint64_t len = 8;
    ck_assert_ptr_null(mmu_span(cpu, PAGE, &len, false));
}
END_TEST

START_TEST(writes_to_code_are_told)
{
    uint64_t len = 0x2000;
    ck_assert_no_fault(write_at(PAGE, 1)); /* cached as writable */
    r->code_page = PAGE;
    mmu_protect_page(cpu, PAGE);
    ck_assert_no_fault(write_at(PAGE, 2));
    ck_assert_no_fault(write_at(PAGE, 3));
    ck_assert_uint_eq(r->code_writes, 2);
    ck_assert_ptr_null(mmu_span(cpu, PAGE + 4, &len, true));
    ck_assert_ptr_nonnull(mmu_span(cpu, PAGE + 4, &len, false));
    ck_assert_uint_eq(len, 0xffc);
    ck_assert_uint_eq(x86_rig_peek(r, PAGE, 4), 3);
}
END_TEST

/* --- flushes --- */

/* Change the page behind `va` without telling; does the old translation still answer? */
static bool is_stale(gva_t va)
{
    return mem_read32(cpu, va) == 0x01d;
}

static void remap(gva_t va, uint64_t bits)
{
    x86_rig_poke(r, 0x70000, 0x01d, 4);
    x86_rig_poke(r, 0x90000, 0x0e0, 4);
    set_pte(va, 0x70000 | bits);
    mmu_flush_all(cpu);
    ck_assert(is_stale(va));
    set_pte(va, 0x90000 | bits);
    ck_assert(is_stale(va));
}

START_TEST(invlpg_forgets_one_page)
{
    remap(PAGE, 7);
    mmu_flush_page(cpu, PAGE + 0x1000);
    ck_assert(is_stale(PAGE));
    mmu_flush_page(cpu, PAGE + 0xfff);
    ck_assert(!is_stale(PAGE));
}
END_TEST

START_TEST(invlpg_forgets_global_pages)
{
    remap(PAGE, 7 | G);
    mmu_flush_page(cpu, PAGE);
    ck_assert(!is_stale(PAGE));
}
END_TEST

START_TEST(invlpg_forgets_all_of_a_large_page)
{
    x86_rig_poke(r, 0x400000, 0x01d, 4);
    x86_rig_poke(r, 0x600000, 0x0e0, 4);
    x86_rig_poke(r, RIG_PD + 5 * 8, 0x400000 | P | W | PS, 8);
    ck_assert(is_stale(5u << 21));
    x86_rig_poke(r, RIG_PD + 5 * 8, 0x600000 | P | W | PS, 8);
    ck_assert(is_stale(5u << 21));
    mmu_flush_page(cpu, (5u << 21) + 0x155000);
    ck_assert(!is_stale(5u << 21));
}
END_TEST

START_TEST(cr3_write_keeps_global_pages_only)
{
    struct outcome o;
    remap(PAGE, 7 | G);
    CATCH(r, &o, x86_write_cr3(cpu, RIG_PML4));
    ck_assert_no_fault(o);
    ck_assert(is_stale(PAGE));
    remap(PAGE, 7);
    x86_write_cr3(cpu, RIG_PML4);
    ck_assert(!is_stale(PAGE));
}
END_TEST

START_TEST(global_bit_needs_pge)
{
    x86_write_cr4(cpu, cpu->cr4 & ~(uint64_t)CR4_PGE);
    remap(PAGE, 7 | G);
    x86_write_cr3(cpu, RIG_PML4);
    ck_assert(!is_stale(PAGE));
}
END_TEST

START_TEST(pge_change_forgets_global_pages)
{
    remap(PAGE, 7 | G);
    x86_write_cr4(cpu, cpu->cr4 & ~(uint64_t)CR4_PGE);
    ck_assert(!is_stale(PAGE));
}
END_TEST

START_TEST(pcid_write_without_flush_keeps_translations)
{
    x86_write_cr4(cpu, cpu->cr4 | CR4_PCIDE);
    x86_write_cr3(cpu, RIG_PML4 | 1);
    remap(PAGE, 7);
    uint64_t context = cpu->tlb_context;
    x86_write_cr3(cpu, RIG_PML4 | 2);
    ck_assert(!is_stale(PAGE)); /* another address space */
    x86_write_cr3(cpu, RIG_PML4 | 1 | 1ull << 63);
    ck_assert_uint_eq(cpu->cr3, RIG_PML4 | 1);
    ck_assert_uint_eq(cpu->tlb_context, context);
    ck_assert(is_stale(PAGE));
    x86_write_cr3(cpu, RIG_PML4 | 1);
    ck_assert(!is_stale(PAGE));
}
END_TEST

/* INVPCID types against: same address space, another one, global page. */
START_TEST(invpcid_forgets_what_its_type_says)
{
    static const struct {
        uint64_t type, pcid;
        bool keeps_same, keeps_other, keeps_global;
    } rows[] = {{0, 1, false, true, true},
                {1, 1, false, true, true},
                {1, 2, true, false, true},
                {2, 0, false, false, false},
                {3, 0, false, false, true}};
    x86_write_cr4(cpu, cpu->cr4 | CR4_PCIDE);
    const gva_t same = PAGE, other = PAGE, global = PAGE + 0x1000;
    x86_write_cr3(cpu, RIG_PML4 | 2);
    remap(other, 7);
    set_pte(other, 0x70000 | 7);
    x86_write_cr3(cpu, RIG_PML4 | 1);
    set_pte(global, 0x70000 | 7 | G);
    ck_assert(is_stale(same) && is_stale(global));
    set_pte(other, 0x90000 | 7);
    set_pte(global, 0x90000 | 7 | G);
    x86_rig_poke(r, 0x80000, rows[_i].pcid, 8);
    x86_rig_poke(r, 0x80008, same, 8);
    cpu->gpr[RAX] = rows[_i].type;
    cpu->gpr[RBX] = 0x80000;
    ck_assert_no_fault(TRY(r, 0x66, 0x0f, 0x38, 0x82, 0x03)); /* invpcid rax, [rbx] */
    ck_assert_int_eq(is_stale(same), rows[_i].keeps_same);
    ck_assert_int_eq(is_stale(global), rows[_i].keeps_global);
    x86_write_cr3(cpu, RIG_PML4 | 2 | 1ull << 63);
    ck_assert_int_eq(is_stale(other), rows[_i].keeps_other);
}
END_TEST

START_TEST(context_numbers_may_run_out)
{
    for (unsigned n = 0; n < 5000; n++) {
        set_pte(PAGE, (n & 1 ? 0x70000 : 0x90000) | 7);
        x86_rig_poke(r, n & 1 ? 0x70000 : 0x90000, n, 4);
        x86_write_cr3(cpu, RIG_PML4);
        ck_assert_uint_eq(mem_read32(cpu, PAGE), n);
    }
    ck_assert_uint_gt(mmu_context_wraps(cpu), 0);
    ck_assert_uint_eq(r->mapping_changes, mmu_context_wraps(cpu));
}
END_TEST

START_TEST(user_rights_do_not_leak_from_supervisor_entries)
{
    set_pte(PAGE, PAGE | P | W);
    ck_assert_no_fault(write_at(PAGE, 1));
    x86_rig_user(r);
    ck_assert_fault(read_at(PAGE), X86_PF, 5);
}
END_TEST

START_TEST(clac_closes_user_pages_at_once)
{
    x86_write_cr4(cpu, cpu->cr4 | CR4_SMAP);
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xcb)); /* stac */
    for (unsigned n = 0; n < 3; n++)
        ck_assert_no_fault(write_at(PAGE, n));
    ck_assert_no_fault(TRY(
        r, 0x0f, 0x01, 0xca)); /* clac: the code page is a user page, but fetching is not SMAP's */
    ck_assert_fault(write_at(PAGE, 9), X86_PF, 3);
}
END_TEST

START_TEST(popf_closes_more_user_pages_than_are_lent)
{
    x86_write_cr4(cpu, cpu->cr4 | CR4_SMAP);
    x86_write_rflags(cpu, FL_AC, FL_AC);
    for (unsigned n = 0; n < 12; n++) {
        set_pte(PAGE + n * 0x1000, PAGE | P | W | U);
        ck_assert_no_fault(read_at(PAGE + n * 0x1000));
        ck_assert_no_fault(write_at(PAGE + n * 0x1000, n));
    }
    x86_write_rflags(cpu, 0, FL_AC);
    for (unsigned n = 0; n < 12; n++) {
        ck_assert_fault(read_at(PAGE + n * 0x1000), X86_PF, 1);
        ck_assert_fault(write_at(PAGE + n * 0x1000, 9), X86_PF, 3);
    }
}
END_TEST

START_TEST(descriptor_reads_ignore_ac_under_smap)
{
    struct outcome o;
    struct seg_desc d;
    x86_write_cr4(cpu, cpu->cr4 | CR4_SMAP);
    x86_write_rflags(cpu, FL_AC, FL_AC);
    CATCH(r, &o, desc_fetch(cpu, SEL_DATA, &d));
    ck_assert_fault(o, X86_PF, 1);
}
END_TEST

START_TEST(user_reads_descriptors_with_supervisor_rights)
{
    struct outcome o;
    struct seg_desc d = {0};
    set_pte(RIG_GDT, RIG_GDT | P | W);
    x86_rig_user(r);
    CATCH(r, &o, desc_fetch(cpu, SEL_DATA, &d));
    ck_assert_no_fault(o);
    ck_assert_uint_eq(d.seg.limit, 0xffffffff);
}
END_TEST

START_TEST(alignment_check_at_ring_3)
{
    x86_rig_user(r);
    x86_write_rflags(cpu, FL_AC, FL_AC);
    ck_assert_no_fault(read_at(PAGE + 2));
    cpu->cr0 |= CR0_AM;
    mmu_flush_rights(cpu);
    ck_assert_fault(read_at(PAGE + 2), X86_AC, 0);
    ck_assert_no_fault(read_at(PAGE + 4));
    x86_write_rflags(cpu, 0, FL_AC);
    ck_assert_no_fault(read_at(PAGE + 2));
}
END_TEST

START_TEST(probe_raises_before_anything_is_written)
{
    struct outcome o;
    set_pte(PAGE + 0x1000, 0);
    CATCH(r, &o, mmu_probe_write(cpu, PAGE + 0xff0, 64));
    ck_assert_fault(o, X86_PF, 2);
    ck_assert_uint_eq(cpu->cr2, PAGE + 0x1000);
    CATCH(r, &o, mmu_probe_write(cpu, PAGE + 0xfc0, 64));
    ck_assert_no_fault(o);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_mmu");
    TCase *l = suite_case(s, "long", setup_long, teardown);
    tcase_add_loop_test(l, page_rights_give_the_right_error_code, 0,
                        sizeof rights / sizeof rights[0]);
    tcase_add_loop_test(l, rights_are_those_of_all_levels, 0, 3);
    tcase_add_test(l, page_size_bit_is_reserved_in_the_top_level);
    tcase_add_test(l, reads_set_accessed_and_writes_dirty);
    tcase_add_test(l, read_for_write_sets_dirty);
    tcase_add_test(l, two_megabyte_pages_translate);
    tcase_add_test(l, one_gigabyte_pages_translate);
    tcase_add_test(l, high_half_addresses_translate);
    tcase_add_test(l, five_levels_translate);
    tcase_add_test(l, non_canonical_addresses_are_general_protection);
    tcase_add_test(l, non_canonical_stack_is_a_stack_fault);
    tcase_add_test(l, crossing_write_checks_both_pages_first);
    tcase_add_test(l, crossing_accesses_join_two_pages);
    tcase_add_test(l, neighbouring_pages_have_different_entries);
    tcase_add_test(l, linear_addresses_wrap_at_four_gigabytes_outside_64_bit_mode);
    tcase_add_test(l, device_pages_are_never_cached);
    tcase_add_test(l, writes_to_code_are_told);
    tcase_add_test(l, invlpg_forgets_one_page);
    tcase_add_test(l, invlpg_forgets_global_pages);
    tcase_add_test(l, invlpg_forgets_all_of_a_large_page);
    tcase_add_test(l, cr3_write_keeps_global_pages_only);
    tcase_add_test(l, global_bit_needs_pge);
    tcase_add_test(l, pge_change_forgets_global_pages);
    tcase_add_test(l, pcid_write_without_flush_keeps_translations);
    tcase_add_loop_test(l, invpcid_forgets_what_its_type_says, 0, 5);
    tcase_add_test(l, context_numbers_may_run_out);
    tcase_add_test(l, user_rights_do_not_leak_from_supervisor_entries);
    tcase_add_test(l, clac_closes_user_pages_at_once);
    tcase_add_test(l, popf_closes_more_user_pages_than_are_lent);
    tcase_add_test(l, descriptor_reads_ignore_ac_under_smap);
    tcase_add_test(l, user_reads_descriptors_with_supervisor_rights);
    tcase_add_test(l, alignment_check_at_ring_3);
    tcase_add_test(l, probe_raises_before_anything_is_written);
    TCase *b32 = suite_case(s, "32-bit", setup_32, teardown);
    tcase_add_test(b32, paging_32_translates_and_faults);
    tcase_add_test(b32, paging_32_four_megabyte_pages);
    TCase *pae = suite_case(s, "pae", setup_pae, teardown);
    tcase_add_test(pae, pae_translates_and_faults);
    tcase_add_test(pae, pae_top_entries_are_registers);
    return suite_run(s);
}
