// SPDX-License-Identifier: MIT
//
// Multiboot 1 (specification 0.6.96): 32-bit ELF kernels and any file with the address fields
// ("a.out kludge"), with modules, memory map and command line. Left out: video modes (ignored with
// a note, as QEMU does), symbol tables, drives, APM, and multiboot 2.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "elf_image.h"
#include "entry.h"
#include "layout.h"
#include "log.h"
#include "memmap.h"
#include "multiboot_header.h"
#include "plan.h"
#include "util.h"

#define BOOT_MAGIC 0x2badb002u

/* Info flags: which fields are valid. */
#define INFO_MEMORY 0x1u
#define INFO_CMDLINE 0x4u
#define INFO_MODS 0x8u
#define INFO_MMAP 0x40u
#define INFO_LOADER_NAME 0x200u

#define INFO_AT BOOT_PVH_INFO /* the two protocols never meet */
#define MODS_MAX 32

struct mb_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
    uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
    uint32_t apm_table, vbe[4];
};

struct mb_module {
    uint32_t start, end, string, reserved;
};

struct mb_mmap {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

struct mb_page {
    struct mb_info info;
    struct mb_module mods[MODS_MAX];
    struct mb_mmap mmap[MEMMAP_MAX];
    char loader_name[16];
};

static_assert(INFO_AT + sizeof(struct mb_page) <= BOOT_ZEROPAGE, "one page");

/* Of an ELF only a 32-bit one, or one with address fields: others may have a better entry. */
bool multiboot_match(const struct kernel_file *kernel)
{
    struct mb_header header;
    uint32_t offset;
    enum mb_found found = mb_find_header(kernel, &header, &offset);

    if (!elf_match(kernel))
        return found != MB_NONE;
    return found == MB_VALID &&
           (header.flags & HAS_ADDRESSES || kernel->head[EI_CLASS] == ELFCLASS32);
}

/*
 * Address fields: the file holds a flat image in which the header, at `offset`, belongs at
 * header_addr. Every difference is taken of numbers that were compared first.
 */
static int add_by_addresses(const struct boot_request *req, struct boot_plan *plan,
                            const struct kernel_file *kernel, const struct mb_header *h,
                            uint32_t offset, struct err *err)
{
    uint64_t size = kernel->file->size;
    if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > offset)
        return err_set(err, EINVAL,
                       "kernel '%s': multiboot load address 0x%" PRIx32
                       " does not fit header address 0x%" PRIx32 " at offset 0x%" PRIx32,
                       req->kernel, h->load_addr, h->header_addr, offset);
    uint64_t start = offset - (h->header_addr - h->load_addr);
    if (h->load_end_addr && h->load_end_addr < h->load_addr)
        return err_set(err, EINVAL,
                       "kernel '%s': multiboot load end 0x%" PRIx32
                       " is below load address 0x%" PRIx32,
                       req->kernel, h->load_end_addr, h->load_addr);
    uint64_t len = h->load_end_addr ? h->load_end_addr - h->load_addr : size - start;
    if (!range_fits(start, len, size))
        return err_set(err, EINVAL,
                       "kernel '%s': truncated multiboot image: header says 0x%" PRIx64
                       " bytes at offset 0x%" PRIx64 ", file has 0x%" PRIx64,
                       req->kernel, len, start, size);
    uint64_t load_end = h->load_addr + len;
    if (h->bss_end_addr && h->bss_end_addr < load_end)
        return err_set(err, EINVAL,
                       "kernel '%s': multiboot bss end 0x%" PRIx32 " is below load end 0x%" PRIx64,
                       req->kernel, h->bss_end_addr, load_end);
    if (h->entry_addr < h->load_addr || h->entry_addr >= load_end)
        return err_set(err, EINVAL,
                       "kernel '%s': multiboot entry 0x%" PRIx32 " is not in 0x%" PRIx32
                       "-0x%" PRIx64,
                       req->kernel, h->entry_addr, h->load_addr, load_end);
    const struct boot_segment segment = {
        .what = "kernel",
        .gpa = h->load_addr,
        .source = BOOT_FROM_FILE,
        .file = kernel->index,
        .offset = start,
        .file_size = len,
        .mem_size = h->bss_end_addr ? h->bss_end_addr - h->load_addr : len,
    };
    return plan_add(plan, req->ram_size, &segment, err);
}

static int add_elf(const struct boot_request *req, struct boot_plan *plan,
                   const struct kernel_file *kernel, uint32_t *entry, struct err *err)
{
    const struct elf_input input = {
        .path = req->kernel,
        .file = kernel->index,
        .plain = kernel->file,
        .size = kernel->file->size,
        .head = kernel->head,
        .head_len = kernel->head_len,
    };
    struct elf_image image;
    int ret = elf_parse(&input, &image, err);
    if (ret < 0)
        return ret;
    if (!image.entry_gpa)
        return err_set(err, ENOEXEC, "kernel '%s': ELF entry 0x%" PRIx64 " is in no segment",
                       req->kernel, image.entry);
    *entry = (uint32_t)image.entry_gpa; /* plan_add makes sure that segments are in RAM */
    return elf_add_segments(req, plan, &input, &image, err);
}

/*
 * Strings for the kernel: command lines of kernel and modules, one after the other at BOOT_CMDLINE.
 */
struct strings {
    char *buf;
    size_t used;
};

static uint32_t strings_end(const struct strings *s)
{
    return (uint32_t)(BOOT_CMDLINE + s->used);
}

static void strings_put(struct strings *s, const char *text, size_t len)
{
    memcpy(s->buf + s->used, text, len);
    s->used += len;
}

/*
 * Copy one element of the -initrd list, ",," standing for a comma; gives what follows it, or NULL
 * at the end.
 */
static const char *take_element(struct strings *s, const char *list)
{
    for (; *list; list++) {
        if (*list == ',' && *++list != ',') {
            strings_put(s, "", 1);
            return list;
        }
        strings_put(s, list, 1);
    }
    strings_put(s, "", 1);
    return NULL;
}

static int add_module(const struct boot_request *req, struct boot_plan *plan, struct mb_page *page,
                      const char *string, uint32_t string_at, struct err *err)
{
    struct mb_module *mod = &page->mods[page->info.mods_count];
    char *path = strndup(string, strcspn(string, " "));
    if (!path)
        return err_set(err, ENOMEM, "out of memory opening module '%s'", string);
    int file = plan_open(plan, "module", path, err);
    free(path);
    if (file < 0)
        return file;

    uint64_t size = plan->files[file].size;
    gpa_t gpa = plan_find_low(plan, req->ram_size, size);
    if (!gpa)
        return err_set(err, ENOSPC,
                       "module '%s' has %" PRIu64
                       " KiB, which does not fit beside the kernel in %" PRIu64
                       " MiB of RAM; give more with -m",
                       string, align_up(size, 1024) >> 10, req->ram_size >> 20);
    *mod = (struct mb_module){
        .start = (uint32_t)gpa,
        .end = (uint32_t)(gpa + size),
        .string = string_at,
    };
    page->info.mods_count++;
    return plan_add_file(plan, req->ram_size, gpa, (unsigned)file, err);
}

static int add_modules(const struct boot_request *req, struct boot_plan *plan, struct mb_page *page,
                       struct strings *strings, struct err *err)
{
    const char *list = req->initrd;
    while (list) {
        if (page->info.mods_count == MODS_MAX)
            return err_set(err, E2BIG, "more than %d multiboot modules in -initrd '%s'", MODS_MAX,
                           req->initrd);
        uint32_t at = strings_end(strings);
        const char *string = strings->buf + strings->used;
        list = take_element(strings, list);
        int ret = add_module(req, plan, page, string, at, err);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static void fill_memory(struct mb_page *page, uint64_t ram_size)
{
    struct memmap_entry map[MEMMAP_MAX];
    unsigned n = memmap_make(ram_size, map);
    for (unsigned i = 0; i < n; i++)
        page->mmap[i] = (struct mb_mmap){
            .size = sizeof(struct mb_mmap) - sizeof(uint32_t),
            .base = map[i].base,
            .length = map[i].size,
            .type = map[i].type,
        };
    uint64_t end = ram_low_end(ram_size);
    page->info.mem_lower = EBDA_START >> 10;
    page->info.mem_upper = end > HIGH_RAM_START ? (uint32_t)((end - HIGH_RAM_START) >> 10) : 0;
    page->info.mmap_length = (uint32_t)(n * sizeof(struct mb_mmap));
    page->info.mmap_addr = INFO_AT + offsetof(struct mb_page, mmap);
}

static int add_info(const struct boot_request *req, struct boot_plan *plan, struct err *err)
{
    size_t room = strlen(req->kernel) + 1 + strlen(req->cmdline) + 1 +
                  (req->initrd ? strlen(req->initrd) + 1 : 0);
    if (room > BOOT_CMDLINE_MAX)
        return err_set(err, E2BIG,
                       "kernel '%s': command line and modules have %zu characters, at most %llu are"
                       " taken; shorten -append or -initrd",
                       req->kernel, room, BOOT_CMDLINE_MAX);
    struct mb_page *page = plan_alloc(plan, sizeof *page, err);
    struct strings strings = {.buf = plan_alloc(plan, room, err)};
    if (!page || !strings.buf)
        return -ENOMEM;

    strings_put(&strings, req->kernel, strlen(req->kernel));
    strings_put(&strings, " ", 1);
    strings_put(&strings, req->cmdline, strlen(req->cmdline) + 1);
    int ret = add_modules(req, plan, page, &strings, err);
    if (ret < 0)
        return ret;
    fill_memory(page, req->ram_size);
    page->info.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER_NAME;
    page->info.cmdline = BOOT_CMDLINE;
    page->info.mods_addr = INFO_AT + offsetof(struct mb_page, mods);
    page->info.boot_loader_name = INFO_AT + offsetof(struct mb_page, loader_name);
    memcpy(page->loader_name, "minivmm", sizeof "minivmm");

    ret = plan_add_data(plan, req->ram_size, "multiboot strings", BOOT_CMDLINE, strings.buf,
                        strings.used, err);
    if (ret < 0)
        return ret;
    return plan_add_data(plan, req->ram_size, "multiboot info", INFO_AT, page, sizeof *page, err);
}

int multiboot_plan(const struct boot_request *req, struct boot_plan *plan,
                   const struct kernel_file *kernel, struct err *err)
{
    struct mb_header header;
    uint32_t offset, entry;
    if (mb_find_header(kernel, &header, &offset) != MB_VALID)
        return err_set(err, EINVAL, "kernel '%s': multiboot header with a bad checksum",
                       req->kernel);
    if (header.flags & WANT_REQUIRED & ~WANT_KNOWN)
        return err_set(err, ENOTSUP,
                       "kernel '%s' demands multiboot features we do not have (flags 0x%" PRIx32
                       ")",
                       req->kernel, header.flags & WANT_REQUIRED & ~WANT_KNOWN);
    if (header.flags & WANT_VIDEO)
        log_msg(LOG_BOOT, "multiboot kernel asks for a video mode: there is no video, ignored");

    int ret;
    if (header.flags & HAS_ADDRESSES) {
        plan->format = "multiboot, address fields";
        entry = header.entry_addr;
        ret = add_by_addresses(req, plan, kernel, &header, offset, err);
    } else if (elf_match(kernel)) {
        plan->format = "multiboot, ELF";
        ret = add_elf(req, plan, kernel, &entry, err);
    } else {
        return err_set(err, ENOEXEC,
                       "kernel '%s': multiboot header without address fields in a file that is no"
                       " ELF",
                       req->kernel);
    }
    if (ret == 0)
        ret = entry_protected_mode(req, plan, entry, BOOT_MAGIC, INFO_AT, err);
    if (ret == 0)
        ret = add_info(req, plan, err);
    return ret;
}
