// SPDX-License-Identifier: MIT
//
// The multiboot 1 header (specification 0.6.96, section 3.1), for those who load by it and those
// who only want to know that it is there.
#pragma once

#include "plan.h"

/* Header flags. The low half are demands: an unknown one means that we cannot boot the kernel. */
#define WANT_PAGE_ALIGN 0x1u
#define WANT_MEMORY 0x2u
#define WANT_VIDEO 0x4u
#define WANT_KNOWN (WANT_PAGE_ALIGN | WANT_MEMORY | WANT_VIDEO)
#define WANT_REQUIRED 0xffffu
#define HAS_ADDRESSES 0x10000u

struct mb_header {
    uint32_t magic, flags, checksum;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

enum mb_found { MB_NONE, MB_DAMAGED, MB_VALID };

/* The first header with a right checksum, and where. The magic alone (MB_DAMAGED) may be chance. */
enum mb_found mb_find_header(const struct kernel_file *kernel, struct mb_header *header,
                             uint32_t *offset);
