// SPDX-License-Identifier: MIT
//
// A driver of the i6300esb watchdog (datasheet 300641, chapter 16), as Linux has it.
#pragma once

#include "guest.h"

void watchdog_find(void);               /* on bus 0; ends with FAIL if there is none */
bool watchdog_timed_out(void);          /* did it cause the last reset? */
void watchdog_forget(void);             /* clears that */
void watchdog_start(uint32_t stage_ms); /* two stages of so many steps of 2^15 PCI clocks each */
void watchdog_ping(void);
void watchdog_stop(void);
