// SPDX-License-Identifier: MIT
//
// What a kernel is told about the machine: the memory map that all protocols share, and Linux's
// zero page.
#pragma once

#include "plan.h"

/* Linux's setup header lies at this offset in a bzImage and in the zero page. */
#define SETUP_HEADER_OFFSET 0x1f1u
#define SETUP_HEADER_SPACE (0x290u - SETUP_HEADER_OFFSET) /* what the zero page has room for */

/*
 * Add the zero page at BOOT_ZEROPAGE. `header`: the kernel's own setup header, header_len bytes of
 * it; NULL for a kernel without one (vmlinux), for which a plain one is made. load: where the
 * kernel lies.
 */
int bootparams_add(const struct boot_request *req, struct boot_plan *plan, const uint8_t *header,
                   size_t header_len, gpa_t load, const struct initrd_place *initrd,
                   struct err *err);
