// SPDX-License-Identifier: MIT
//
// Linux's zero page (struct boot_params: kernel
// Documentation/arch/x86/zero-page.rst and boot.rst). Left out: video, EDD and APM data (there is
// no such firmware) and the setup_data list.
#include "bootparams.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "layout.h"
#include "memmap.h"
#include "util.h"

#define LOADER_TYPE_UNDEFINED 0xff /* a boot loader without an assigned number */

static_assert(offsetof(struct boot_params, hdr) == SETUP_HEADER_OFFSET, "zero page layout");
static_assert(sizeof(struct setup_header) <= SETUP_HEADER_SPACE, "zero page layout");

static void fill_e820(struct boot_params *params, uint64_t ram_size)
{
    struct memmap_entry map[MEMMAP_MAX];
    unsigned n = memmap_make(ram_size, map);

    for (unsigned i = 0; i < n; i++) {
        params->e820_table[i].addr = map[i].base;
        params->e820_table[i].size = map[i].size;
        params->e820_table[i].type = map[i].type;
    }
    params->e820_entries = (uint8_t)n;
}

int bootparams_add(const struct boot_request *req, struct boot_plan *plan, const uint8_t *header,
                   size_t header_len, gpa_t load, const struct initrd_place *initrd,
                   struct err *err)
{
    struct boot_params *params = plan_alloc(plan, sizeof *params, err);
    if (!params)
        return -ENOMEM;
    struct setup_header *hdr = &params->hdr;

    if (header) {
        /* As raw bytes: a newer kernel's header may be longer than the struct we know. */
        uint8_t *to = (uint8_t *)params + SETUP_HEADER_OFFSET;
        memcpy(to, header, header_len < SETUP_HEADER_SPACE ? header_len : SETUP_HEADER_SPACE);
    } else {
        hdr->boot_flag = 0xaa55;
        hdr->header = 0x53726448; /* "HdrS" */
        hdr->version = 0x020c;
        hdr->kernel_alignment = 0x1000000;
    }
    hdr->loadflags |= LOADED_HIGH;
    hdr->type_of_loader = LOADER_TYPE_UNDEFINED;
    hdr->code32_start = (uint32_t)load;
    hdr->cmd_line_ptr = BOOT_CMDLINE;
    hdr->setup_data = 0;
    /* plan_add_initrd places it below 4 GiB. */
    hdr->ramdisk_image = (uint32_t)initrd->gpa;
    hdr->ramdisk_size = (uint32_t)initrd->size;
    params->acpi_rsdp_addr = req->rsdp;
    fill_e820(params, req->ram_size);
    return plan_add_data(plan, req->ram_size, "zero page", BOOT_ZEROPAGE, params, sizeof *params,
                         err);
}
