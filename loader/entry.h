// SPDX-License-Identifier: MIT
//
// The state of the boot CPU at a kernel's first instruction, one function per boot protocol, and
// the tables it needs in RAM.
#pragma once

#include "plan.h"

/* Linux 64-bit boot protocol: long mode, first 4 GiB mapped one to one, zero page in RSI. */
int entry_long_mode(const struct boot_request *req, struct boot_plan *plan, gpa_t rip, gpa_t rsi,
                    struct err *err);

/* PVH and multiboot: 32-bit protected mode, flat segments, paging off. */
int entry_protected_mode(const struct boot_request *req, struct boot_plan *plan, uint32_t eip,
                         uint32_t eax, uint32_t ebx, struct err *err);

/* A boot sector: real mode at 0000:offset, as a BIOS jumps to it, but with interrupts off. */
void entry_real_mode(struct boot_plan *plan, uint16_t offset);
