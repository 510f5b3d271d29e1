// SPDX-License-Identifier: MIT
//
// The PVH boot protocol (Xen docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h).
#pragma once

#include "plan.h"

#define PVH_NOTE_NAME "Xen"
#define PVH_NOTE_TYPE 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

/*
 * Finish the plan of a kernel whose segments are in place: command line (at most cmdline_max
 * characters), initrd below initrd_limit, start info, entry state.
 */
int pvh_plan(const struct boot_request *req, struct boot_plan *plan, uint32_t entry,
             uint64_t cmdline_max, gpa_t initrd_limit, struct err *err);
