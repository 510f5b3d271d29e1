// SPDX-License-Identifier: MIT
//
// The local APIC as MSRs and CR8 (SDM vol. 3 sections 11.4.3-4, 11.8.6, 11.12; IA32_TSC_DEADLINE):
// which accesses are #GP, and the modes that IA32_APIC_BASE goes through.
#include "devices/lapic_priv.h"

#include "util.h"

/* Reserved bits of the x2APIC interrupt command; 12, the status of old, is ignored. */
#define ICR_RESERVED (0xfff00000u | 3u << 16 | 1u << 13)
#define ANY 0xffffffffu
#define READ 1
#define WRITE 2

/* Which registers exist as MSRs. `bits` may be set in a write. */
static const struct {
    uint8_t first, last, access;
    uint32_t bits;
} x2apic_regs[] = {
    {REG_ID, REG_VERSION, READ, 0},
    {REG_TPR, REG_TPR, READ | WRITE, 0xff},
    {REG_PPR, REG_PPR, READ, 0},
    {REG_EOI, REG_EOI, WRITE, 0},
    {REG_LDR, REG_LDR, READ, 0},
    {REG_SVR, REG_SVR, READ | WRITE, SVR_WRITABLE},
    {REG_ISR, REG_IRR + 7, READ, 0},
    {REG_ESR, REG_ESR, READ | WRITE, 0},
    {REG_LVT, REG_LVT_LAST, READ | WRITE, ANY}, /* bits by entry */
    {REG_INITIAL, REG_INITIAL, READ | WRITE, ANY},
    {REG_CURRENT, REG_CURRENT, READ, 0},
    {REG_DIVIDE, REG_DIVIDE, READ | WRITE, DIVIDE_WRITABLE},
    {REG_SELF_IPI, REG_SELF_IPI, WRITE, 0xff},
};

/* The bits that may be written, by register; -1 where the access is #GP. */
static int64_t x2apic_bits(const struct lapic *l, unsigned reg, unsigned access)
{
    for (unsigned i = 0; i < ARRAY_LEN(x2apic_regs); i++) {
        if (reg < x2apic_regs[i].first || reg > x2apic_regs[i].last)
            continue;
        if (!(x2apic_regs[i].access & access))
            return -1;
        if (reg >= REG_LVT && reg <= REG_LVT_LAST)
            return lapic_lvt_writable(l, reg - REG_LVT) | LVT_STATUS | LVT_REMOTE_IRR;
        return x2apic_regs[i].bits;
    }
    return -1;
}

static int x2apic_read(struct lapic *l, unsigned reg, uint64_t *val)
{
    if (reg == REG_ICR) {
        *val = l->regs.icr;
        return 0;
    }
    uint32_t low = 0;
    if (x2apic_bits(l, reg, READ) < 0 || !lapic_register_read(l, reg, &low))
        return -1;
    *val = low;
    return 0;
}

static int x2apic_write(struct lapic *l, unsigned reg, uint64_t val)
{
    if (reg == REG_ICR) {
        if (val & ICR_RESERVED)
            return -1;
        l->regs.icr = val;
        lapic_command(l, val);
        return 0;
    }
    int64_t bits = x2apic_bits(l, reg, WRITE);
    if (bits < 0 || (val & ~(uint64_t)bits))
        return -1;
    if (reg == REG_SELF_IPI)
        lapic_command(l, ICR_SELF | val);
    else
        lapic_register_write(l, reg, (uint32_t)val);
    return 0;
}

/* off -> xAPIC -> x2APIC -> off; every other change of mode is refused. */
static bool mode_change_is_legal(uint64_t from, uint64_t to)
{
    bool en = to & APIC_BASE_EN, extd = to & APIC_BASE_EXTD;
    if (extd)
        return en && (from & APIC_BASE_EN);
    return !en || !(from & APIC_BASE_EXTD);
}

static int write_apic_base(struct lapic *l, uint64_t val)
{
    uint64_t address = ((1ull << l->wires->phys_bits) - 1) & ~(uint64_t)(APIC_PAGE - 1);
    if (val & ~(address | APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN))
        return -1;
    uint64_t before = l->regs.apic_base;
    if (!mode_change_is_legal(before, val))
        return -1;
    l->regs.apic_base = val;
    if ((before & APIC_BASE_EN) && !(val & APIC_BASE_EN))
        lapic_reset_registers(l);
    if ((val & APIC_BASE_EXTD) && !(before & APIC_BASE_EXTD))
        l->regs.icr = (uint32_t)l->regs.icr;
    lapic_update(l);
    return 0;
}

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val)
{
    if (msr == MSR_APIC_BASE) {
        *val = l->regs.apic_base;
        return 0;
    }
    if (msr == MSR_TSC_DEADLINE && lapic_has_deadline(l)) {
        *val = lapic_timer_deadline(l);
        return 0;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !lapic_is_x2apic(l))
        return -1;
    return x2apic_read(l, msr - MSR_X2APIC_FIRST, val);
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val)
{
    if (msr == MSR_APIC_BASE)
        return write_apic_base(l, val);
    if (msr == MSR_TSC_DEADLINE && lapic_has_deadline(l)) {
        lapic_timer_write_deadline(l, val);
        return 0;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !lapic_is_x2apic(l))
        return -1;
    return x2apic_write(l, msr - MSR_X2APIC_FIRST, val);
}

uint64_t lapic_cr8_read(const struct lapic *l)
{
    return l->regs.tpr >> 4;
}

void lapic_cr8_write(struct lapic *l, uint64_t val)
{
    l->regs.tpr = (uint32_t)(val & 15) << 4;
    lapic_update(l);
}
