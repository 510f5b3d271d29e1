// SPDX-License-Identifier: MIT
//
// The watchdog timer of the Intel 6300ESB I/O controller hub (datasheet 300641, chapter 16), as a
// PCI function of its own. Two stages: when the first runs out there may be an interrupt, when the
// second does the machine is to be reset, unless the output is switched off or the timer runs
// freely. Registers in BAR 0 take a write only right after 0x80 and 0x86 were written to the reload
// register; the lock register in configuration space keeps its value once locked, until a reset of
// the machine. That a watchdog fired stays readable over that reset.
// Left out: SMI as the first stage's interrupt (nothing would handle it), reading the running
// count.
#include "devices/i6300esb.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

#define BAR_BYTES 4096 /* 16 on the chip */
enum { PRELOAD1 = 0x0, PRELOAD2 = 0x4, GINTSR = 0x8, RELOAD = 0xc };
#define PRELOAD_MASK 0xfffffu
#define RELOAD_PING 0x100u
#define RELOAD_TIMED_OUT 0x200u
/* A timer that runs freely with nothing in it must not keep the host busy. */
#define STAGE_MIN_NS 1000000ull
#define UNLOCK1 0x80
#define UNLOCK2 0x86

/* Configuration space. */
enum { CONFIG = 0x60, LOCK = 0x68, CONFIG_END = 0x6c };
#define CONFIG_INTERRUPT 0x03u /* 0: INTx, 2: SMI, 3: none */
#define CONFIG_FAST 0x04u      /* steps of 2^5 PCI clocks, about 1 us, not of 2^15, about 1 ms */
#define CONFIG_OUTPUT_OFF 0x20u
#define LOCK_LOCKED 0x01u
#define LOCK_ENABLED 0x02u
#define LOCK_FREE_RUN 0x04u
#define LOCK_BITS (LOCK_LOCKED | LOCK_ENABLED | LOCK_FREE_RUN)

struct i6300esb_regs {
    uint32_t preload[2];
    uint8_t unlock;   /* how many bytes of the unlock sequence have come: 0 to 2 */
    uint8_t stage;    /* running: 1 or 2; else 0 */
    bool interrupt;   /* the first stage ran out */
    bool timed_out;   /* survives a reset of the machine */
    uint8_t lock_was; /* the lock register before the present write */
};

struct i6300esb {
    struct pci_func func;
    struct i6300esb_regs regs;
    struct i6300esb_config cfg;
    struct timer timer;
};

static struct i6300esb *from_device(struct device *dev)
{
    return container_of(dev, struct i6300esb, func.device);
}

/* --- the timer --- */

static uint64_t stage_ns(const struct i6300esb *w)
{
    bool fast = w->func.config[CONFIG] & CONFIG_FAST;
    uint64_t clocks = (uint64_t)w->regs.preload[w->regs.stage - 1] << (fast ? 5 : 15);
    uint64_t ns = clocks * 1000 / 33; /* of 33 MHz */
    return ns > STAGE_MIN_NS ? ns : STAGE_MIN_NS;
}

static void start_stage(struct i6300esb *w, uint8_t stage)
{
    w->regs.stage = stage;
    timer_arm(&w->timer, clock_now_ns(w->cfg.clock) + stage_ns(w));
}

static void stop(struct i6300esb *w)
{
    w->regs.stage = 0;
    timer_cancel(&w->timer);
}

static bool is_on(const struct i6300esb *w, uint8_t lock_bit)
{
    return w->func.config[LOCK] & lock_bit;
}

static void ping(struct i6300esb *w)
{
    if (is_on(w, LOCK_ENABLED))
        start_stage(w, 1);
}

static void first_stage_over(struct i6300esb *w)
{
    if ((w->func.config[CONFIG] & CONFIG_INTERRUPT) == 0) {
        w->regs.interrupt = true;
        pci_intx_set(&w->func, true);
    }
    start_stage(w, 2);
}

static void second_stage_over(struct i6300esb *w)
{
    if (is_on(w, LOCK_FREE_RUN)) {
        start_stage(w, 1);
        return;
    }
    stop(w);
    w->regs.timed_out = true;
    if (!(w->func.config[CONFIG] & CONFIG_OUTPUT_OFF))
        w->cfg.expired(w->cfg.opaque);
}

static void fire(void *self)
{
    struct i6300esb *w = self;
    if (w->regs.stage == 1)
        first_stage_over(w);
    else if (w->regs.stage == 2)
        second_stage_over(w);
}

/* --- BAR 0 --- */

static uint64_t bar_read(void *self, uint64_t off, unsigned size)
{
    const struct i6300esb *w = self;
    uint32_t val = 0;
    switch (off & ~3ull) {
    case GINTSR:
        val = w->regs.interrupt;
        break;
    case RELOAD:
        val = w->regs.timed_out ? RELOAD_TIMED_OUT : 0;
        break;
    default: /* preloads cannot be read; the rest is reserved */
        break;
    }
    return val >> (8 * (off & 3)) & size_mask(size);
}

static void reload_write(struct i6300esb *w, uint32_t val)
{
    if (val & RELOAD_TIMED_OUT)
        w->regs.timed_out = false;
    if (val & RELOAD_PING)
        ping(w);
}

static bool take_unlock(struct i6300esb *w, uint64_t off, uint64_t val)
{
    if (off != RELOAD || w->regs.unlock == 2)
        return false;
    if (val == UNLOCK1)
        w->regs.unlock = 1;
    else if (val == UNLOCK2 && w->regs.unlock == 1)
        w->regs.unlock = 2;
    else
        return false;
    return true;
}

static void bar_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct i6300esb *w = self;
    (void)size;
    if (off == GINTSR) { /* not behind the lock: writing 1 clears */
        if (val & 1) {
            w->regs.interrupt = false;
            pci_intx_set(&w->func, false);
        }
        return;
    }
    if (take_unlock(w, off, val))
        return;
    bool open = w->regs.unlock == 2;
    w->regs.unlock = 0;
    if (!open) {
        log_guest("i6300esb: write to register %#llx without unlocking",
                  (unsigned long long)off);
        return;
    }
    switch (off) {
    case PRELOAD1:
    case PRELOAD2:
        w->regs.preload[off / 4] = (uint32_t)val & PRELOAD_MASK;
        break;
    case RELOAD:
        reload_write(w, (uint32_t)val);
        break;
    default:
        break;
    }
}

static const struct io_ops bar_io = {bar_read, bar_write, 1, 4};

/* --- configuration space --- */

static void config_written(struct pci_func *func, unsigned off, unsigned size)
{
    struct i6300esb *w = container_of(func, struct i6300esb, func);
    if (!ranges_overlap(off, size, LOCK, 1))
        return;
    uint8_t lock = func->config[LOCK];
    if (lock & LOCK_LOCKED) /* until the next reset */
        func->wmask[LOCK] = 0;
    bool was_on = w->regs.lock_was & LOCK_ENABLED;
    w->regs.lock_was = lock;
    if ((lock & LOCK_ENABLED) && !was_on)
        start_stage(w, 1);
    else if (!(lock & LOCK_ENABLED))
        stop(w);
}

static const struct pci_func_ops func_ops = {.config_written = config_written};

/* --- life --- */

static void i6300esb_reset(struct device *dev)
{
    struct i6300esb *w = from_device(dev);
    stop(w);
    pci_func_reset(&w->func);
    w->func.wmask[LOCK] = LOCK_BITS;
    w->regs = (struct i6300esb_regs){
        .preload = {PRELOAD_MASK, PRELOAD_MASK},
        .timed_out = w->regs.timed_out,
    };
}

static void i6300esb_fini(struct device *dev)
{
    struct i6300esb *w = from_device(dev);
    timer_cancel(&w->timer);
    pci_remove(&w->func);
    free(w);
}

static const struct device_ops device_ops = {i6300esb_reset, i6300esb_fini};

struct device *i6300esb_create(const struct i6300esb_config *cfg, struct err *err)
{
    static const struct pci_ident ident = {
        .vendor = 0x8086,
        .device = 0x25ab,
        .class_code = 0x088000, /* a system peripheral */
        .interrupt_pin = true,
    };
    struct i6300esb *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(err, ENOMEM, "i6300esb: out of memory");
        return NULL;
    }
    w->cfg = *cfg;
    timer_init(&w->timer, cfg->clock, fire, w);
    pci_func_init(&w->func, &ident);
    w->func.device = (struct device){.name = "i6300esb", .ops = &device_ops};
    w->func.pci_ops = &func_ops;
    pci_bar_init(&w->func, 0, BAR_BYTES, "i6300esb", &bar_io, w);
    /* The chip's own registers lie where capabilities would; it has none. */
    w->func.cap_end = CONFIG_END;
    w->func.wmask[CONFIG] = CONFIG_INTERRUPT | CONFIG_FAST | CONFIG_OUTPUT_OFF;
    w->func.wmask[LOCK] = LOCK_BITS;
    if (pci_add(cfg->host, &w->func, cfg->slot, err)) {
        free(w);
        return NULL;
    }
    i6300esb_reset(&w->func.device);
    return &w->func.device;
}
