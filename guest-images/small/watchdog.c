// SPDX-License-Identifier: MIT
//
// See watchdog.h.
#include "watchdog.h"

enum { PRELOAD1 = 0, PRELOAD2 = 4, RELOAD = 0xc };
enum { CONFIG = 0x60, LOCK = 0x68 };

static unsigned slot;
static uintptr_t base;

void watchdog_find(void)
{
    for (slot = 0; slot < 32 && pci_read(slot, 0) != 0x25ab8086; slot++)
        ;
    CHECK(slot < 32);
    base = pci_read(slot, 0x10) & ~15u;
    CHECK(base);
}

static void unlock(void)
{
    write16(base + RELOAD, 0x80);
    write16(base + RELOAD, 0x86);
}

bool watchdog_timed_out(void)
{
    return read16(base + RELOAD) & 0x200;
}

void watchdog_forget(void)
{
    unlock();
    write16(base + RELOAD, 0x200);
}

void watchdog_start(uint32_t stage_ms)
{
    pci_write16(slot, CONFIG, 3);
    unlock();
    write32(base + PRELOAD1, stage_ms);
    unlock();
    write32(base + PRELOAD2, stage_ms);
    pci_write16(slot, LOCK, 2);
}

void watchdog_ping(void)
{
    unlock();
    write16(base + RELOAD, 0x100);
}

void watchdog_stop(void)
{
    pci_write16(slot, LOCK, 0);
}
