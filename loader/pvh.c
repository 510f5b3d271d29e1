// SPDX-License-Identifier: MIT
//
// PVH: the kernel gets a start-info block (version 1) with memory map, initrd, command line and
// ACPI root pointer, and starts in 32-bit protected mode with its address in EBX. One page at
// BOOT_PVH_INFO holds it all. No initrd arguments.
#include "pvh.h"

#include <assert.h>
#include <errno.h>

#include "entry.h"
#include "layout.h"
#include "memmap.h"

#define START_INFO_MAGIC 0x336ec578u

struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
    uint32_t memmap_entries, reserved;
};

struct modlist_entry {
    uint64_t paddr, size, cmdline_paddr, reserved;
};

struct pvh_memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

struct pvh_page {
    struct start_info info;
    struct modlist_entry module;
    struct pvh_memmap_entry memmap[MEMMAP_MAX];
};

static_assert(sizeof(struct start_info) == 56, "start info layout");
static_assert(BOOT_PVH_INFO + sizeof(struct pvh_page) <= BOOT_ZEROPAGE, "one page");

static int add_start_info(const struct boot_request *req, struct boot_plan *plan,
                          const struct initrd_place *initrd, struct err *err)
{
    struct pvh_page *page = plan_alloc(plan, sizeof *page, err);
    if (!page)
        return -ENOMEM;

    struct memmap_entry map[MEMMAP_MAX];
    unsigned n = memmap_make(req->ram_size, map);
    for (unsigned i = 0; i < n; i++)
        page->memmap[i] = (struct pvh_memmap_entry){
            .addr = map[i].base,
            .size = map[i].size,
            .type = map[i].type,
        };
    page->info = (struct start_info){
        .magic = START_INFO_MAGIC,
        .version = 1,
        .cmdline_paddr = BOOT_CMDLINE,
        .rsdp_paddr = req->rsdp,
        .memmap_paddr = BOOT_PVH_INFO + offsetof(struct pvh_page, memmap),
        .memmap_entries = n,
    };
    if (initrd->size) {
        page->module = (struct modlist_entry){.paddr = initrd->gpa, .size = initrd->size};
        page->info.nr_modules = 1;
        page->info.modlist_paddr = BOOT_PVH_INFO + offsetof(struct pvh_page, module);
    }
    return plan_add_data(plan, req->ram_size, "PVH start info", BOOT_PVH_INFO, page, sizeof *page,
                         err);
}

int pvh_plan(const struct boot_request *req, struct boot_plan *plan, uint32_t entry,
             uint64_t cmdline_max, gpa_t initrd_limit, struct err *err)
{
    int ret = plan_add_cmdline(req, plan, cmdline_max, err);
    if (ret < 0)
        return ret;
    struct initrd_place initrd;
    ret = plan_add_initrd(req, plan, initrd_limit, &initrd, err);
    if (ret < 0)
        return ret;
    ret = add_start_info(req, plan, &initrd, err);
    if (ret < 0)
        return ret;
    return entry_protected_mode(req, plan, entry, 0, BOOT_PVH_INFO, err);
}
