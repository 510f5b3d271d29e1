// SPDX-License-Identifier: MIT
//
// ACPI fixed hardware (ACPI 6.4, section 4.8): PM1 event and control registers, the PM timer, GPE
// block 0. The only sleep state is S5, soft off. The timer is computed from the clock; its overflow
// needs a wakeup only while the guest has enabled it.
//
// Left out: sleep button and RTC wake (status never set; the enables can be set as drivers check),
// bus-master status, the global lock towards firmware (there is none), sources for GPEs.
#include "devices/pm.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/ticks.h"
#include "layout.h"
#include "log.h"

#define TMR_STS 0x0001
#define GBL_STS 0x0020
#define PWRBTN_STS 0x0100
#define SLPBTN_STS 0x0200
#define RTC_STS 0x0400
/* Events that can be enabled and raise SCI; enables lie where the status bits lie. */
#define PM1_EVENTS (TMR_STS | GBL_STS | PWRBTN_STS | SLPBTN_STS | RTC_STS)

#define SCI_EN 0x0001
#define BM_RLD 0x0002
#define SLP_TYP_SHIFT 10
#define SLP_TYP 0x1c00
#define SLP_EN 0x2000

#define TMR_HALF_SHIFT 31 /* TMR_STS: bit 31 turned over */
#define GPE0_HALF (GPE0_LEN / 2)

struct pm {
    struct device dev;
    struct pm_regs regs;
    struct pm_config cfg;
    struct timer timer;
    struct region region;
    bool sci; /* the level last driven: a read of the timer must not cost a call into the kernel */
};

static uint64_t pm_ticks(const struct pm *pm)
{
    return ticks_from_ns(clock_now_ns(pm->cfg.clock), PM_TMR_HZ);
}

static bool sci_pending(const struct pm_regs *r)
{
    if (r->pm1_sts & r->pm1_en & PM1_EVENTS)
        return true;
    for (unsigned i = 0; i < GPE0_HALF; i++) {
        if (r->gpe0[i] & r->gpe0[GPE0_HALF + i])
            return true;
    }
    return false;
}

/* Note overflows of the timer up to `ticks`. */
static void pm_sync(struct pm *pm, uint64_t ticks)
{
    uint64_t half = ticks >> TMR_HALF_SHIFT;
    if (half != pm->regs.seen_half)
        pm->regs.pm1_sts |= TMR_STS;
    pm->regs.seen_half = half;
}

/* After any change: drive SCI, and wake at the next overflow if it would raise SCI. */
static void pm_settle(struct pm *pm)
{
    const struct pm_regs *r = &pm->regs;
    bool sci = sci_pending(r);
    if (sci != pm->sci)
        irq_set(&pm->cfg.sci, sci);
    pm->sci = sci;
    if ((r->pm1_en & TMR_STS) && !(r->pm1_sts & TMR_STS))
        timer_arm(&pm->timer, ns_from_ticks((r->seen_half + 1) << TMR_HALF_SHIFT, PM_TMR_HZ));
    else
        timer_cancel(&pm->timer);
}

static void pm_fire(void *self)
{
    struct pm *pm = self;
    pm_sync(pm, pm_ticks(pm));
    pm_settle(pm);
}

static void pm_sleep(struct pm *pm)
{
    unsigned type = (unsigned)(pm->regs.pm1_cnt & SLP_TYP) >> SLP_TYP_SHIFT;
    if (type == PM_SLP_TYP_S5)
        stop_request(&pm->cfg.stop, STOP_POWEROFF, 0);
    else
        log_guest("pm: sleep type %u is not offered, ignored", type);
}

static uint8_t byte_of(uint64_t val, uint64_t at)
{
    return (uint8_t)(val >> (8 * at));
}

static uint8_t pm_read_byte(const struct pm_regs *r, uint64_t off, uint64_t ticks)
{
    if (off < PM1_EVT_OFFSET + 2)
        return byte_of(r->pm1_sts, off);
    if (off < PM1_EVT_OFFSET + PM1_EVT_LEN)
        return byte_of(r->pm1_en, off - 2);
    if (off < PM1_CNT_OFFSET + PM1_CNT_LEN)
        return byte_of(r->pm1_cnt, off - PM1_CNT_OFFSET);
    if (range_fits(off - PM_TMR_OFFSET, 1, PM_TMR_LEN))
        return byte_of(ticks, off - PM_TMR_OFFSET);
    if (range_fits(off - GPE0_OFFSET, 1, GPE0_LEN))
        return r->gpe0[off - GPE0_OFFSET];
    return 0; /* reserved */
}

static uint16_t with_byte(uint16_t reg, uint64_t at, uint8_t val)
{
    return (uint16_t)((reg & ~(0xffu << (8 * at))) | (unsigned)val << (8 * at));
}

static void pm_write_byte(struct pm *pm, uint64_t off, uint8_t val)
{
    struct pm_regs *r = &pm->regs;
    if (off < PM1_EVT_OFFSET + 2) { /* status bits: writing 1 clears */
        r->pm1_sts &= (uint16_t) ~((unsigned)val << (8 * off));
    } else if (off < PM1_EVT_OFFSET + PM1_EVT_LEN) {
        r->pm1_en = with_byte(r->pm1_en, off - 2, val) & PM1_EVENTS;
    } else if (off < PM1_CNT_OFFSET + PM1_CNT_LEN) {
        uint16_t cnt = with_byte(r->pm1_cnt, off - PM1_CNT_OFFSET, val);
        r->pm1_cnt = (cnt & (BM_RLD | SLP_TYP)) | SCI_EN;
        if (cnt & SLP_EN)
            pm_sleep(pm);
    } else if (range_fits(off - GPE0_OFFSET, 1, GPE0_HALF)) {
        r->gpe0[off - GPE0_OFFSET] &= (uint8_t)~val;
    } else if (range_fits(off - GPE0_OFFSET, 1, GPE0_LEN)) {
        r->gpe0[off - GPE0_OFFSET] = val;
    }
}

static uint64_t pm_read(void *self, uint64_t off, unsigned size)
{
    struct pm *pm = self;
    uint64_t ticks = pm_ticks(pm), val = 0;
    pm_sync(pm, ticks);
    pm_settle(pm);
    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)pm_read_byte(&pm->regs, off + i, ticks) << (8 * i);
    return val;
}

static void pm_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct pm *pm = self;
    pm_sync(pm, pm_ticks(pm));
    for (unsigned i = 0; i < size; i++)
        pm_write_byte(pm, off + i, byte_of(val, i));
    pm_settle(pm);
}

static const struct io_ops pm_io = {pm_read, pm_write, 1, 4};

static void pm_reset(struct device *dev)
{
    struct pm *pm = container_of(dev, struct pm, dev);
    pm->regs = (struct pm_regs){.pm1_cnt = SCI_EN, .seen_half = pm_ticks(pm) >> TMR_HALF_SHIFT};
    pm_settle(pm);
}

static void pm_fini(struct device *dev)
{
    struct pm *pm = pm_of(dev);
    timer_cancel(&pm->timer);
    bus_remove(pm->cfg.pio, &pm->region);
    free(pm);
}

static const struct device_ops pm_ops = {pm_reset, pm_fini};

struct pm *pm_of(struct device *dev)
{
    return container_of(dev, struct pm, dev);
}

void pm_power_button(struct pm *pm)
{
    pm->regs.pm1_sts |= PWRBTN_STS;
    pm_settle(pm);
}

struct device *pm_create(const struct pm_config *cfg, struct err *err)
{
    struct pm *pm = calloc(1, sizeof *pm);
    if (!pm) {
        err_set(err, ENOMEM, "pm: out of memory");
        return NULL;
    }
    pm->dev = (struct device){.name = "pm", .ops = &pm_ops};
    pm->cfg = *cfg;
    timer_init(&pm->timer, cfg->clock, pm_fire, pm);
    pm->region = (struct region){
        .name = "pm", .base = PM_BASE, .len = PM_REGION_LEN, .ops = &pm_io, .self = pm};
    pm_reset(&pm->dev);
    if (bus_add(cfg->pio, &pm->region, err)) {
        pm_fini(&pm->dev);
        return NULL;
    }
    return &pm->dev;
}
