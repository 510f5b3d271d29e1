// SPDX-License-Identifier: MIT
//
// Control, debug and model-specific registers, mode switches, SYSCALL and friends, CPUID, state
// conversion.
#include <check.h>
#include <string.h>

#include "src/accel/x86/cpuid.h"
#include "tests/lib/suite.h"
#include "tests/lib/x86_fixture.h"

/* mov crN, rax */
static struct outcome write_cr(unsigned n, uint64_t val)
{
    cpu->gpr[RAX] = val;
    if (n == 8)
        return TRY(r, 0x44, 0x0f, 0x22, 0xc0);
    return TRY(r, 0x0f, 0x22, (uint8_t)(0xc0 | n << 3));
}

static struct outcome write_msr(uint32_t n, uint64_t val)
{
    cpu->gpr[RCX] = n;
    cpu->gpr[RAX] = (uint32_t)val;
    cpu->gpr[RDX] = val >> 32;
    return TRY(r, 0x0f, 0x30);
}

static struct outcome read_msr(uint32_t n)
{
    cpu->gpr[RCX] = n;
    return TRY(r, 0x0f, 0x32);
}

static uint64_t edx_eax(void)
{
    return cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
}

/* --- control registers --- */

#define CR0_LONG (CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define CR4_LONG (CR4_PAE | CR4_PGE)

static const struct {
    const char *what;
    unsigned cr;
    uint64_t val;
    bool fault;
} long_writes[] = {
    {"cr0 upper half", 0, 1ull << 32 | CR0_LONG, true},
    {"PG without PE", 0, CR0_PG | CR0_ET, true},
    {"NW without CD", 0, CR0_LONG | CR0_NW, true},
    {"NW with CD", 0, CR0_LONG | CR0_NW | CR0_CD, false},
    {"PG off in 64-bit code", 0, CR0_PE, true},
    {"TS", 0, CR0_LONG | CR0_TS, false},
    {"cr3", 3, RIG_PML4 | 0x18, false},
    {"cr3 beyond the physical width", 3, 1ull << 40 | RIG_PML4, true},
    {"cr3 bit 63 without PCIDE", 3, 1ull << 63 | RIG_PML4, true},
    {"PAE off", 4, CR4_PGE, true},
    {"reserved bit 15", 4, CR4_LONG | 1u << 15, true},
    {"VMXE", 4, CR4_LONG | 1u << 13, true},
    {"LA57", 4, CR4_LONG | CR4_LA57, true},
    {"upper half", 4, CR4_LONG | 1ull << 40, true},
    {"PCIDE", 4, CR4_LONG | CR4_PCIDE, false},
    {"SMAP SMEP UMIP FSGSBASE OSXSAVE", 4,
     CR4_LONG | CR4_SMEP | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE, false},
    {"cr8", 8, 15, false},
    {"cr8 reserved", 8, 16, true},
};

START_TEST(control_register_writes_check_reserved_bits)
{
    unsigned n = (unsigned)_i;
    struct outcome o = write_cr(long_writes[n].cr, long_writes[n].val);
    ck_assert_msg((o.vector >= 0) == long_writes[n].fault, "%s: vector %d", long_writes[n].what,
                  o.vector);
    if (long_writes[n].fault)
        ck_assert_fault(o, X86_GP, 0);
    ck_assert_uint_eq(cpu->cr0 & CR0_PG, CR0_PG);
}
END_TEST

START_TEST(control_registers_need_ring_0)
{
    x86_rig_user(r);
    ck_assert_fault(write_cr(3, RIG_PML4), X86_GP, 0);
    ck_assert_fault(TRY(r, 0x0f, 0x20, 0xc0), X86_GP, 0); /* mov rax, cr0 */
    ck_assert_fault(TRY(r, 0x0f, 0x06), X86_GP, 0);       /* clts */
    ck_assert_fault(read_msr(0x10), X86_GP, 0);
    ck_assert_fault(TRY(r, 0x0f, 0x09), X86_GP, 0);       /* wbinvd */
    ck_assert_fault(TRY(r, 0x0f, 0x01, 0x38), X86_GP, 0); /* invlpg [rax] */
    ck_assert_fault(TRY(r, 0x0f, 0x01, 0xf8), X86_GP, 0); /* swapgs */
    ck_assert_fault(TRY(r, 0xfa), X86_GP, 0);             /* cli */
    cpu->rflags |= FL_IOPL;
    ck_assert_no_fault(TRY(r, 0xfa));
}
END_TEST

START_TEST(pcide_needs_a_clear_pcid)
{
    cpu->cr3 = RIG_PML4 | 8;
    ck_assert_fault(write_cr(4, CR4_LONG | CR4_PCIDE), X86_GP, 0);
    cpu->cr3 = RIG_PML4;
    ck_assert_no_fault(write_cr(4, CR4_LONG | CR4_PCIDE));
}
END_TEST

START_TEST(long_mode_is_entered_step_by_step)
{
    x86_rig_long(r); /* the tables */
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr4 = 0;
    cpu->efer = 0;
    cpu->seg[SEG_CS].l = false;
    cpu->seg[SEG_CS].db = true;
    x86_update_mode(cpu);
    mmu_flush_all(cpu);
    ck_assert_no_fault(write_msr(0xc0000080, EFER_LME | EFER_NXE));
    ck_assert_fault(write_cr(0, CR0_PE | CR0_PG), X86_GP, 0); /* PAE is missing */
    ck_assert_no_fault(write_cr(4, CR4_PAE));
    ck_assert_no_fault(write_cr(3, RIG_PML4));
    cpu->seg[SEG_CS].l = true;
    ck_assert_fault(write_cr(0, CR0_PE | CR0_PG), X86_GP, 0); /* from a 64-bit segment */
    cpu->seg[SEG_CS].l = false;
    ck_assert_no_fault(write_cr(0, CR0_PE | CR0_PG));
    ck_assert_uint_eq(cpu->efer, EFER_LME | EFER_LMA | EFER_NXE);
    ck_assert_uint_eq(cpu->mode, X86_MODE32);
    ck_assert_fault(write_msr(0xc0000080, EFER_NXE), X86_GP, 0); /* LME under paging */
    ck_assert_fault(write_cr(4, 0), X86_GP, 0);
    ck_assert_no_fault(write_cr(0, CR0_PE));
    ck_assert_uint_eq(cpu->efer, EFER_LME | EFER_NXE);
}
END_TEST

START_TEST(lmsw_sets_but_never_clears_pe)
{
    cpu->gpr[RAX] = 0xfff0 | CR0_TS;
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xf0));
    ck_assert_uint_eq(cpu->cr0 & 15, CR0_PE | CR0_TS);
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xe0)); /* smsw eax */
    ck_assert_uint_eq(cpu->gpr[RAX], cpu->cr0);
}
END_TEST

START_TEST(umip_hides_tables_from_ring_3)
{
    x86_rig_user(r);
    cpu->gpr[RBX] = RIG_DATA;
    static const uint8_t code[][3] = {{0x0f, 0x01, 0x03},
                                      {0x0f, 0x01, 0x0b},
                                      {0x0f, 0x00, 0x03},
                                      {0x0f, 0x00, 0x0b},
                                      {0x0f, 0x01, 0x23}};
    for (unsigned n = 0; n < 5; n++) {
        cpu->cr4 &= ~(uint64_t)CR4_UMIP;
        ck_assert_no_fault(x86_rig_try(r, code[n], 3));
        cpu->cr4 |= CR4_UMIP;
        ck_assert_fault(x86_rig_try(r, code[n], 3), X86_GP, 0);
    }
}
END_TEST

START_TEST(descriptor_table_registers_have_ten_bytes_in_64_bit_mode)
{
    x86_rig_poke(r, RIG_DATA, 0x1234, 2);
    x86_rig_poke(r, RIG_DATA + 2, 0xffff800012345678, 8);
    cpu->gpr[RBX] = RIG_DATA;
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0x1b)); /* lidt */
    ck_assert_uint_eq(cpu->idt.base, 0xffff800012345678);
    ck_assert_uint_eq(cpu->idt.limit, 0x1234);
    cpu->gpr[RBX] = RIG_DATA + 0x100;
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0x0b)); /* sidt */
    ck_assert_uint_eq(x86_rig_peek(r, RIG_DATA + 0x102, 8), 0xffff800012345678);
    x86_rig_poke(r, RIG_DATA + 2, 1ull << 50, 8);
    cpu->gpr[RBX] = RIG_DATA;
    ck_assert_fault(TRY(r, 0x0f, 0x01, 0x13), X86_GP, 0); /* lgdt */
}
END_TEST

/* --- debug registers --- */

START_TEST(debug_registers_check_reserved_bits)
{
    cpu->gpr[RAX] = 0x12345678;
    ck_assert_no_fault(TRY(r, 0x0f, 0x23, 0xf0)); /* dr6 */
    ck_assert_uint_eq(cpu->dr[6], (0x12345678 & 0xe00f) | DR6_ONES);
    ck_assert_no_fault(TRY(r, 0x0f, 0x23, 0xe0)); /* dr4 is dr6 */
    cpu->cr4 |= CR4_DE;
    ck_assert_int_eq(TRY(r, 0x0f, 0x23, 0xe0).vector, X86_UD);
    cpu->gpr[RAX] = 1ull << 32;
    ck_assert_fault(TRY(r, 0x0f, 0x23, 0xf8), X86_GP, 0);
    cpu->gpr[RAX] = 0;
    ck_assert_no_fault(TRY(r, 0x0f, 0x23, 0xf8));
    ck_assert_no_fault(TRY(r, 0x0f, 0x21, 0xf8));
    ck_assert_uint_eq(cpu->gpr[RAX], 0x400);
}
END_TEST

/* --- model-specific registers --- */

static const struct {
    uint32_t n;
    uint64_t val;
    bool fault;
} msr_writes[] = {
    {0xc0000080, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE, false},
    {0xc0000080, EFER_LME | EFER_LMA | 1 << 12, true}, /* SVME */
    {0xc0000080, EFER_LMA, true},
    {0xc0000082, 0xffffffff81000000, false},
    {0xc0000082, 1ull << 47, true},
    {0xc0000084, 0x47700, false},
    {0xc0000084, 1ull << 32, true},
    {0xc0000102, 0xffff888000000000, false},
    {0xc0000102, 0x8888888800000000, true},
    {0xc0000103, 5, false},
    {0x277, 0x0407010600070106, false},
    {0x277, 2, true},
    {0x2ff, 0xc06, false},
    {0x2ff, 0x1000, true},
    {0xfe, 0, true},
    {0x48, 1, false},
    {0x48, 1 << 8, true},
    {0x49, 1, false},
    {0x1b, 0xfee00900, false},
    {0x1b, 1, true},
    {0xda0, 1, true},
    {0x12345, 0, true},
    {0xc0010015, 1, false},
    {0x174, 0x10, false},
    {0x176, 1ull << 50, true},
};

START_TEST(msr_writes_check_their_bits)
{
    unsigned n = (unsigned)_i;
    struct outcome o = write_msr(msr_writes[n].n, msr_writes[n].val);
    ck_assert_msg((o.vector >= 0) == msr_writes[n].fault, "%x: vector %d", msr_writes[n].n,
                  o.vector);
    if (o.vector >= 0)
        ck_assert_fault(o, X86_GP, 0);
}
END_TEST

START_TEST(msrs_keep_what_is_written)
{
    static const uint32_t kept[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000102, 0xc0000100,
                                    0xc0000101, 0x175,      0x200,      0x20f,      0x26f};
    for (unsigned n = 0; n < sizeof kept / sizeof kept[0]; n++) {
        uint64_t val = kept[n] == 0x26f ? 0x0606060606060606 : 0x1234500 + n;
        ck_assert_no_fault(write_msr(kept[n], val));
        cpu->gpr[RAX] = cpu->gpr[RDX] = 0;
        ck_assert_no_fault(read_msr(kept[n]));
        ck_assert_uint_eq(edx_eax(), val);
    }
    ck_assert_fault(read_msr(0x49), X86_GP, 0);
    ck_assert_no_fault(read_msr(0x802)); /* the environment's */
    ck_assert_uint_eq(edx_eax(), 0x77);
    ck_assert_fault(read_msr(0x803), X86_GP, 0);
}
END_TEST

START_TEST(time_stamp_counter_can_be_set)
{
    r->tsc = 1000;
    ck_assert_no_fault(write_msr(0x10, 5000));
    r->tsc = 1234;
    ck_assert_no_fault(TRY(r, 0x0f, 0x31));
    ck_assert_uint_eq(edx_eax(), 5234);
    ck_assert_no_fault(read_msr(0x3b));
    ck_assert_uint_eq(edx_eax(), 4000);
    cpu->cr4 |= CR4_TSD;
    ck_assert_no_fault(TRY(r, 0x0f, 0x31));
    x86_rig_user(r);
    ck_assert_fault(TRY(r, 0x0f, 0x31), X86_GP, 0);
    ck_assert_fault(TRY(r, 0x0f, 0x01, 0xf9), X86_GP, 0);
}
END_TEST

/* --- system calls --- */

START_TEST(syscall_and_sysret_go_there_and_back)
{
    cpu->msr.star = (uint64_t)0x10 << 48 | (uint64_t)SEL_CODE
                                               << 32; /* so that user code is 0x23, data 0x1b */
    cpu->msr.lstar = 0x50000;
    cpu->msr.sfmask = FL_IF | FL_TF | FL_AC;
    x86_rig_user(r);
    x86_write_rflags(cpu, FL_IF | FL_CF, FL_IF | FL_CF);
    ck_assert_no_fault(TRY(r, 0x0f, 0x05));
    ck_assert_uint_eq(cpu->next_rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RCX], RIG_CODE + 2);
    ck_assert_uint_eq(cpu->gpr[R11], 2 | FL_IF | FL_CF);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, SEL_CODE);
    ck_assert_uint_eq(cpu->seg[SEG_SS].sel, SEL_CODE + 8);
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_CF);
    ck_assert_uint_eq(cpu->gpr[RSP], RIG_USER_STACK);
    ck_assert_no_fault(TRY(r, 0x48, 0x0f, 0x07)); /* sysretq */
    ck_assert_uint_eq(cpu->next_rip, RIG_CODE + 2);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, 0x23);
    ck_assert_uint_eq(cpu->seg[SEG_SS].sel, 0x1b);
    ck_assert_uint_eq(rflags_get(cpu), 2 | FL_IF | FL_CF);
    ck_assert_fault(TRY(r, 0x48, 0x0f, 0x07), X86_GP, 0);
    cpu->efer &= ~(uint64_t)EFER_SCE;
    ck_assert_int_eq(TRY(r, 0x0f, 0x05).vector, X86_UD);
}
END_TEST

START_TEST(sysret_to_32_bits_and_syscall_from_there)
{
    cpu->msr.star = (uint64_t)0x10 << 48 | (uint64_t)SEL_CODE << 32;
    cpu->msr.cstar = 0x51000;
    cpu->gpr[RCX] = 0x1234500060000;
    cpu->gpr[R11] = FL_IF;
    ck_assert_no_fault(TRY(r, 0x0f, 0x07));
    ck_assert_uint_eq(cpu->next_rip, 0x60000);
    ck_assert_uint_eq(cpu->mode, X86_MODE32);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, 0x13);
    ck_assert_no_fault(TRY(r, 0x0f, 0x05));
    ck_assert_uint_eq(cpu->mode, X86_MODE64);
    ck_assert_uint_eq(cpu->next_rip, 0x51000);
}
END_TEST

START_TEST(sysret_to_a_wild_address_faults_in_ring_3)
{
    cpu->gpr[RCX] = 1ull << 47;
    STEP(r, 0x48, 0x0f, 0x07);
    ck_assert_uint_eq(cpu->cpl, 3);
    x86_step(cpu);
    ck_assert_uint_eq(cpu->next_rip, x86_rig_handler(X86_GP));
    ck_assert_uint_eq(x86_rig_peek(r, cpu->gpr[RSP] + 8, 8), 1ull << 47);
}
END_TEST

START_TEST(sysenter_works_in_protected_mode_only)
{
    ck_assert_fault(TRY(r, 0x0f, 0x34), X86_GP, 0); /* no segment set */
    cpu->msr.sysenter_cs = SEL_CODE;
    cpu->msr.sysenter_esp = 0x30000;
    cpu->msr.sysenter_eip = 0x50000;
    x86_rig_user(r);
    cpu->rflags |= FL_IF;
    ck_assert_no_fault(TRY(r, 0x0f, 0x34));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->next_rip, 0x50000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x30000);
    ck_assert_uint_eq(cpu->rflags & FL_IF, 0);
    cpu->gpr[RCX] = 0x40000;
    cpu->gpr[RDX] = 0x60000;
    ck_assert_no_fault(TRY(r, 0x0f, 0x35));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, (SEL_CODE + 16) | 3);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x40000);
    teardown();
    setup_long();
    cpu->msr.sysenter_cs = SEL_CODE;
    ck_assert_int_eq(TRY(r, 0x0f, 0x34).vector, X86_UD);
}
END_TEST

START_TEST(swapgs_exchanges_the_bases)
{
    cpu->msr.kernel_gs_base = 0xffff888000000000;
    cpu->seg[SEG_GS].base = 0x1000;
    ck_assert_no_fault(TRY(r, 0x0f, 0x01, 0xf8));
    ck_assert_uint_eq(cpu->seg_base[SEG_GS], 0xffff888000000000);
    ck_assert_uint_eq(cpu->msr.kernel_gs_base, 0x1000);
    cpu->cr4 |= CR4_FSGSBASE;
    ck_assert_no_fault(TRY(r, 0xf3, 0x48, 0x0f, 0xae, 0xc8)); /* rdgsbase rax */
    ck_assert_uint_eq(cpu->gpr[RAX], 0xffff888000000000);
    cpu->gpr[RAX] = 1ull << 50;
    ck_assert_fault(TRY(r, 0xf3, 0x48, 0x0f, 0xae, 0xd0), X86_GP, 0); /* wrfsbase */
}
END_TEST

/* --- flags --- */

START_TEST(pvi_gives_ring_3_a_virtual_interrupt_flag)
{
    x86_rig_user(r);
    cpu->cr4 |= CR4_PVI;
    ck_assert_no_fault(TRY(r, 0xfb));
    ck_assert_uint_eq(cpu->rflags & (FL_IF | FL_VIF), FL_VIF);
    ck_assert_no_fault(TRY(r, 0xfa));
    ck_assert_uint_eq(cpu->rflags & FL_VIF, 0);
    cpu->rflags |= FL_VIP;
    ck_assert_fault(TRY(r, 0xfb), X86_GP, 0);
}
END_TEST

/* --- CPUID --- */

static uint32_t cpuid(uint32_t leaf, uint32_t sub, unsigned reg)
{
    uint32_t out[4];
    x86_cpuid(cpu, leaf, sub, out);
    return out[reg];
}

START_TEST(cpuid_is_consistent)
{
    ck_assert_uint_ge(cpuid(0, 0, 0), 0xd);
    ck_assert_uint_eq(cpuid(0x80000008, 0, 0) & 0xff, r->env.phys_bits);
    ck_assert_uint_eq(cpuid(1, 0, 0), cpuid(0x80000001, 0, 0));
    uint32_t both = 0x0183f3ff;
    ck_assert_uint_eq(cpuid(1, 0, 3) & both, cpuid(0x80000001, 0, 3) & both);
    bool avx = cpuid(1, 0, 2) & 1u << 28;
    ck_assert_uint_eq(cpuid(0xd, 0, 0), avx ? 7 : 3);
    ck_assert_uint_eq(cpuid(0xd, 0, 2), avx ? 832 : 576);
    ck_assert_uint_eq(cpuid(0xd, 0, 1), 576);
    ck_assert_uint_eq(cpuid(0xb, 1, 1), 2);
    ck_assert_uint_eq(cpuid(0xb, 2, 2), 2);
    ck_assert_uint_eq(cpuid(0x80000008, 0, 2), 1u << 12 | 1);
    ck_assert_uint_eq(cpuid(1, 0, 2) & 1u << 27, 0);
    cpu->cr4 |= CR4_OSXSAVE;
    ck_assert_uint_ne(cpuid(1, 0, 2) & 1u << 27, 0);
    ck_assert_uint_eq(cpuid(0x40000010, 0, 0), r->env.tsc_hz / 1000);
    ck_assert_uint_eq(cpuid(0x12345678, 0, 0) | cpuid(0xffffffff, 0, 1), 0);
}
END_TEST

/* --- reset, INIT, SIPI, state --- */

START_TEST(reset_starts_at_the_top_of_4_gigabytes)
{
    x86_reset(cpu, true);
    ck_assert_uint_eq(cpu->seg_base[SEG_CS] + cpu->next_rip, 0xfffffff0);
    ck_assert_uint_eq(cpu->cr0, 0x60000010);
    ck_assert_uint_eq(cpu->gpr[RDX], cpuid(1, 0, 0));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->mode, X86_MODE16);
    ck_assert_uint_eq(cpu->dr[6], 0xffff0ff0);
    ck_assert_uint_eq(cpu->xcr0, 1);
}
END_TEST

START_TEST(init_keeps_what_the_manual_says_and_sipi_starts)
{
    cpu->apic_base = 0xfee00800; /* not the bootstrap processor */
    cpu->msr.lstar = 0x1234;
    cpu->ymm[3].u64[1] = 77;
    cpu->cr0 &= ~(uint64_t)CR0_CD;
    x86_init_ipi(cpu);
    ck_assert(cpu->wait_for_sipi);
    ck_assert_uint_eq(cpu->msr.lstar, 0x1234);
    ck_assert_uint_eq(cpu->ymm[3].u64[1], 77);
    ck_assert_uint_eq(cpu->cr0, CR0_ET);
    ck_assert_uint_eq(cpu->efer, 0);
    ck_assert_uint_eq(cpu->apic_base, 0xfee00800);
    x86_step(cpu);
    x86_sipi(cpu, 0x9a);
    ck_assert(!cpu->wait_for_sipi);
    ck_assert_uint_eq(cpu->seg_base[SEG_CS], 0x9a000);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, 0x9a00);
    ck_assert_uint_eq(cpu->next_rip, 0);
}
END_TEST

START_TEST(state_goes_out_and_comes_back)
{
    struct cpu_state a, b;
    x86_rig_user(r);
    x86_write_rflags(cpu, FL_CF | FL_PF | FL_ZF | FL_IF, FL_ARITH | FL_IF);
    cpu->gpr[R12] = 0xfeed;
    cpu->x87.top = 5;
    cpu->x87.st[5].mantissa = 1ull << 63;
    cpu->x87.st[5].sign_exp = 0x3fff;
    cpu->x87.status = 0x4100;
    cpu->ymm[15].u64[3] = 99;
    cpu->msr.star = 0x1234;
    cpu->dr[2] = 0x4444;
    cpu->halted = true;
    cpu->nmi_blocked = true;
    r->cr8 = 7;
    x86_get_state(cpu, &a);
    ck_assert_uint_eq(a.x87.status, 0x4100 | 5 << 11);
    ck_assert_uint_eq(a.x87.st[0].sign_exp, 0x3fff);
    ck_assert_uint_eq(a.rip, RIG_CODE);
    ck_assert_uint_eq(a.run, CPU_HALTED);
    x86_reset(cpu, true);
    ck_assert_int_eq(x86_put_state(cpu, &a), 0);
    x86_get_state(cpu, &b);
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->mode, X86_MODE64);
    ck_assert_uint_eq(r->cr8, 7);
}
END_TEST

START_TEST(impossible_states_are_refused)
{
    struct cpu_state good, s;
    x86_get_state(cpu, &good);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        s = good;                                                                                  \
        change;                                                                                    \
        ck_assert_int_lt(x86_put_state(cpu, &s), 0);                                               \
    } while (0)
    REFUSED(s.cr0 &= ~(uint64_t)CR0_PE);
    REFUSED(s.efer &= ~(uint64_t)EFER_LMA);
    REFUSED(s.cr4 &= ~(uint64_t)CR4_PAE);
    REFUSED(s.cr3 = 1ull << 60);
    REFUSED(s.seg[SEG_TR].base = 1ull << 50);
    REFUSED(s.seg[SEG_CS].type = 16);
    REFUSED(s.xcr0 = 0);
    REFUSED(s.xcr0 = 1ull << 9 | 3);
    ck_assert_int_eq(x86_put_state(cpu, &good), 0);
#undef REFUSED
}
END_TEST

START_TEST(absent_instructions_are_undefined)
{
    ck_assert_int_eq(TRY(r, 0x0f, 0x01, 0xc8).vector, X86_UD); /* monitor */
    ck_assert_int_eq(TRY(r, 0x0f, 0x01, 0xc9).vector, X86_UD); /* mwait */
    ck_assert_int_eq(TRY(r, 0x0f, 0xaa).vector, X86_UD);       /* rsm */
    x86_rig_user(r);
    ck_assert_int_eq(TRY(r, 0x0f, 0x01, 0xcb).vector, X86_UD); /* stac at ring 3 */
    ck_assert_fault(TRY(r, 0x0f, 0x33), X86_GP, 0);            /* rdpmc */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_sys");
    TCase *l = suite_case(s, "long", setup_long, teardown);
    tcase_add_loop_test(l, control_register_writes_check_reserved_bits, 0,
                        sizeof long_writes / sizeof long_writes[0]);
    tcase_add_test(l, control_registers_need_ring_0);
    tcase_add_test(l, pcide_needs_a_clear_pcid);
    tcase_add_test(l, umip_hides_tables_from_ring_3);
    tcase_add_test(l, descriptor_table_registers_have_ten_bytes_in_64_bit_mode);
    tcase_add_test(l, debug_registers_check_reserved_bits);
    tcase_add_loop_test(l, msr_writes_check_their_bits, 0,
                        sizeof msr_writes / sizeof msr_writes[0]);
    tcase_add_test(l, msrs_keep_what_is_written);
    tcase_add_test(l, time_stamp_counter_can_be_set);
    tcase_add_test(l, syscall_and_sysret_go_there_and_back);
    tcase_add_test(l, sysret_to_32_bits_and_syscall_from_there);
    tcase_add_test(l, sysret_to_a_wild_address_faults_in_ring_3);
    tcase_add_test(l, swapgs_exchanges_the_bases);
    tcase_add_test(l, cpuid_is_consistent);
    tcase_add_test(l, init_keeps_what_the_manual_says_and_sipi_starts);
    tcase_add_test(l, state_goes_out_and_comes_back);
    tcase_add_test(l, impossible_states_are_refused);
    tcase_add_test(l, absent_instructions_are_undefined);
    TCase *p = suite_case(s, "protected", setup_protected, teardown);
    tcase_add_test(p, long_mode_is_entered_step_by_step);
    tcase_add_test(p, lmsw_sets_but_never_clears_pe);
    tcase_add_test(p, sysenter_works_in_protected_mode_only);
    tcase_add_test(p, pvi_gives_ring_3_a_virtual_interrupt_flag);
    TCase *real = suite_case(s, "real", setup, teardown);
    tcase_add_test(real, reset_starts_at_the_top_of_4_gigabytes);
    return suite_run(s);
}
