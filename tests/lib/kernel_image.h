// SPDX-License-Identifier: MIT
//
// Synthetic kernels for loader tests: a byte buffer that grows, builders for a small valid image of
// each format, and tables of ways to spoil one.
#pragma once

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout.h"
#include "loader.h"
#include "util.h"

#define TEST_RAM MIB(64)

struct image {
    uint8_t *data;
    size_t len;
};

static inline void image_size(struct image *img, size_t len)
{
    img->data = realloc(img->data, len ? len : 1);
    ck_assert_ptr_nonnull(img->data);
    if (len > img->len)
        memset(img->data + img->len, 0, len - img->len);
    img->len = len;
}

static inline void image_put(struct image *img, size_t at, uint64_t value, unsigned width)
{
    if (at + width > img->len)
        image_size(img, at + width);
    memcpy(img->data + at, &value, width);
}

static inline void image_copy(struct image *img, size_t at, const void *from, size_t len)
{
    if (at + len > img->len)
        image_size(img, at + len);
    memcpy(img->data + at, from, len);
}

static inline void image_free(struct image *img)
{
    free(img->data);
    *img = (struct image){0};
}

/* Bytes that differ from place to place. */
static inline void image_pattern(struct image *img, size_t at, size_t len, unsigned seed)
{
    if (at + len > img->len)
        image_size(img, at + len);
    for (size_t i = 0; i < len; i++)
        img->data[at + i] = (uint8_t)(seed + i * 7 + (i >> 8) * 13 + 1);
}

/* A file with these bytes; its path is good while the fd is open. */
struct image_file {
    int fd;
    char path[40];
};

static inline struct image_file image_open(const struct image *img)
{
    struct image_file f = {.fd = memfd_create("kernel", MFD_CLOEXEC)};
    ck_assert_int_ge(f.fd, 0);
    ck_assert_int_eq(write(f.fd, img->data, img->len), (ssize_t)img->len);
    snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
    return f;
}

/*
 * --- bzImage: 5 sectors of setup, BZ_PROT bytes of code, wants to be at 16 MiB with 4 MiB of room.
 * ---
 */
#define BZ_SETUP 2560u
#define BZ_PROT 0x8000u
#define BZ_LOAD 0x1000000u
#define BZ_INIT_SIZE 0x400000u
#define BZ_PAYLOAD 0x1000u /* from the start of the protected-mode code */

/* Offsets of setup header fields in the file. */
enum {
    BZ_SETUP_SECTS = 0x1f1,
    BZ_SYSSIZE = 0x1f4,
    BZ_BOOT_FLAG = 0x1fe,
    BZ_JUMP = 0x200,
    BZ_MAGIC = 0x202,
    BZ_VERSION = 0x206,
    BZ_LOADFLAGS = 0x211,
    BZ_INITRD_MAX = 0x22c,
    BZ_ALIGNMENT = 0x230,
    BZ_RELOCATABLE = 0x234,
    BZ_XLOADFLAGS = 0x236,
    BZ_CMDLINE_SIZE = 0x238,
    BZ_PAYLOAD_OFFSET = 0x248,
    BZ_PAYLOAD_LENGTH = 0x24c,
    BZ_PREF_ADDRESS = 0x258,
    BZ_INIT = 0x260,
};

static inline void bzimage_build(struct image *img)
{
    *img = (struct image){0};
    image_pattern(img, 0, BZ_SETUP + BZ_PROT, 3);
    memset(img->data + 0x1f1, 0, 0x290 - 0x1f1);
    image_put(img, BZ_SETUP_SECTS, 4, 1);
    image_put(img, BZ_SYSSIZE, BZ_PROT / 16, 4);
    image_put(img, BZ_BOOT_FLAG, 0xaa55, 2);
    image_put(img, BZ_JUMP, 0x6aeb, 2); /* over the header, which ends at 0x26c */
    image_copy(img, BZ_MAGIC, "HdrS", 4);
    image_put(img, BZ_VERSION, 0x20f, 2);
    image_put(img, BZ_LOADFLAGS, 1, 1);
    image_put(img, BZ_INITRD_MAX, 0x7fffffff, 4);
    image_put(img, BZ_ALIGNMENT, 0x200000, 4);
    image_put(img, BZ_RELOCATABLE, 1, 1);
    image_put(img, BZ_XLOADFLAGS, 3, 2);
    image_put(img, BZ_CMDLINE_SIZE, 2047, 4);
    image_put(img, BZ_PREF_ADDRESS, BZ_LOAD, 8);
    image_put(img, BZ_INIT, BZ_INIT_SIZE, 4);
}

/* Give a bzImage this payload (with the size field, if the format wants one appended). */
static inline void bzimage_set_payload(struct image *img, const void *payload, size_t len)
{
    size_t prot = align_up(BZ_PAYLOAD + len, 16);
    image_size(img, BZ_SETUP + BZ_PAYLOAD);
    image_copy(img, BZ_SETUP + BZ_PAYLOAD, payload, len);
    image_size(img, BZ_SETUP + prot);
    image_put(img, BZ_SYSSIZE, prot / 16, 4);
    image_put(img, BZ_PAYLOAD_OFFSET, BZ_PAYLOAD, 4);
    image_put(img, BZ_PAYLOAD_LENGTH, len, 4);
}

/* --- ELF64: two segments and a note, as a small vmlinux. --- */
#define ELF_TEXT 0x1000000u
#define ELF_TEXT_SIZE 0x2345u
#define ELF_DATA 0x1200000u
#define ELF_DATA_FILE 0x1800u
#define ELF_DATA_MEM 0x5000u
#define ELF_TEXT_AT 0x1000u
#define ELF_DATA_AT 0x4000u
#define ELF_NOTE_AT 0x6000u
#define ELF_PVH_ENTRY (ELF_TEXT + 0x850)
#define ELF64_PHDR(n, field)                                                                       \
    (sizeof(Elf64_Ehdr) + (n) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field))
#define ELF64_EHDR(field) offsetof(Elf64_Ehdr, field)

static inline size_t elf_put_note(struct image *img, size_t at, const char *name, uint32_t type,
                                  uint32_t value)
{
    size_t namesz = strlen(name) + 1, start = at;
    image_put(img, at, namesz, 4);
    image_put(img, at + 4, 4, 4);
    image_put(img, at + 8, type, 4);
    image_copy(img, at + 12, name, namesz);
    at += 12 + align_up(namesz, 4);
    image_put(img, at, value, 4);
    return at + 4 - start;
}

static inline void elf64_build(struct image *img, bool pvh)
{
    *img = (struct image){0};
    image_size(img, ELF_NOTE_AT);
    image_pattern(img, ELF_TEXT_AT, ELF_TEXT_SIZE, 5);
    image_pattern(img, ELF_DATA_AT, ELF_DATA_FILE, 9);
    size_t notes = elf_put_note(img, ELF_NOTE_AT, "Xen", 6, 0x11223344);
    if (pvh)
        notes += elf_put_note(img, ELF_NOTE_AT + notes, "Xen", 18, ELF_PVH_ENTRY);

    Elf64_Ehdr ehdr = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = ELF_TEXT + 0x40,
        .e_phoff = sizeof ehdr,
        .e_ehsize = sizeof ehdr,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 3,
    };
    Elf64_Phdr phdrs[3] = {
        {.p_type = PT_LOAD,
         .p_offset = ELF_TEXT_AT,
         .p_vaddr = 0xffffffff81000000,
         .p_paddr = ELF_TEXT,
         .p_filesz = ELF_TEXT_SIZE,
         .p_memsz = ELF_TEXT_SIZE},
        {.p_type = PT_LOAD,
         .p_offset = ELF_DATA_AT,
         .p_vaddr = 0xffffffff81200000,
         .p_paddr = ELF_DATA,
         .p_filesz = ELF_DATA_FILE,
         .p_memsz = ELF_DATA_MEM},
        {.p_type = PT_NOTE,
         .p_offset = ELF_NOTE_AT,
         .p_filesz = notes,
         .p_memsz = notes,
         .p_align = 4},
    };
    image_copy(img, 0, &ehdr, sizeof ehdr);
    image_copy(img, sizeof ehdr, phdrs, sizeof phdrs);
}

/*
 * --- ELF32: one segment at 1 MiB that begins with the file, so that a multiboot header can be in
 * it. ---
 */
#define ELF32_LOAD 0x100000u
#define ELF32_FILE 0x2000u
#define ELF32_MEM 0x9000u
#define ELF32_ENTRY (ELF32_LOAD + 0x1000)
#define ELF32_PHDR(n, field)                                                                       \
    (sizeof(Elf32_Ehdr) + (n) * sizeof(Elf32_Phdr) + offsetof(Elf32_Phdr, field))
#define MB_AT 0x100u

static inline void elf32_build(struct image *img)
{
    *img = (struct image){0};
    image_pattern(img, 0, ELF32_FILE, 1);
    Elf32_Ehdr ehdr = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_386,
        .e_version = EV_CURRENT,
        .e_entry = ELF32_ENTRY,
        .e_phoff = sizeof ehdr,
        .e_ehsize = sizeof ehdr,
        .e_phentsize = sizeof(Elf32_Phdr),
        .e_phnum = 1,
    };
    Elf32_Phdr phdr = {
        .p_type = PT_LOAD,
        .p_vaddr = ELF32_LOAD,
        .p_paddr = ELF32_LOAD,
        .p_filesz = ELF32_FILE,
        .p_memsz = ELF32_MEM,
    };
    image_copy(img, 0, &ehdr, sizeof ehdr);
    image_copy(img, sizeof ehdr, &phdr, sizeof phdr);
}

static inline void multiboot_put_header(struct image *img, size_t at, uint32_t flags)
{
    image_put(img, at, 0x1badb002, 4);
    image_put(img, at + 4, flags, 4);
    image_put(img, at + 8, (uint32_t) - (0x1badb002 + flags), 4);
}

/* --- Making plans --- */

static inline struct boot_request request_default(const char *kernel)
{
    return (struct boot_request){
        .kernel = kernel,
        .cmdline = "console=ttyS0",
        .ram_size = TEST_RAM,
        .rsdp = ACPI_TABLES,
    };
}

/* A plan for these bytes, with defaults; the plan keeps its own descriptor of the file. */
static inline int plan_image(const struct image *img, struct boot_plan *plan, struct err *err)
{
    struct image_file f = image_open(img);
    struct boot_request req = request_default(f.path);
    *err = (struct err){0};
    int ret = boot_plan_make(&req, plan, err);
    close(f.fd);
    return ret;
}

/* The n-th segment of that name, or NULL. */
static inline const struct boot_segment *plan_segment(const struct boot_plan *plan,
                                                      const char *what, unsigned n)
{
    for (unsigned i = 0; i < plan->nsegments; i++)
        if (!strcmp(plan->segments[i].what, what) && n-- == 0)
            return &plan->segments[i];
    return NULL;
}

/* RAM as the guest finds it; garbage before, so that forgotten zeroing shows. */
static inline void apply_to_ram(const struct boot_plan *plan, struct gmem *gm, uint64_t ram)
{
    struct err err = {0};
    ck_assert_int_eq(gmem_init(gm, ram, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
    memset(gm->slots[0].host, 0xcc, gm->slots[0].size < MIB(32) ? gm->slots[0].size : MIB(32));
    int ret = boot_apply(plan, gm, &err);
    ck_assert_msg(ret == 0, "%s", err.msg);
}

static inline bool all_bytes(const uint8_t *p, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != value)
            return false;
    return true;
}

/* --- Spoiling --- */
struct patch {
    size_t at;
    unsigned width; /* 0: no patch */
    uint64_t value;
};

struct spoiled {
    const char *name;
    size_t truncate; /* 0: not */
    struct patch patch[3];
    int errnum;
    const char *says; /* part of the message */
};

/* Plan the spoiled image; it must fail as told and leave nothing behind. */
static inline void check_spoiled(const struct image *good, const struct spoiled *row)
{
    struct image img = {0};
    image_copy(&img, 0, good->data, good->len);
    for (unsigned i = 0; i < ARRAY_LEN(row->patch); i++)
        if (row->patch[i].width)
            image_put(&img, row->patch[i].at, row->patch[i].value, row->patch[i].width);
    if (row->truncate)
        image_size(&img, row->truncate);

    struct boot_plan plan;
    struct err err;
    int ret = plan_image(&img, &plan, &err);
    ck_assert_msg(ret == -row->errnum, "%s: got %d (%s), wanted %d", row->name, ret, err.msg,
                  -row->errnum);
    ck_assert_msg(strstr(err.msg, row->says) != NULL, "%s: '%s' does not say '%s'", row->name,
                  err.msg, row->says);
    ck_assert_msg(!strchr(err.msg, '\n'), "%s: more than one line", row->name);
    ck_assert_uint_eq(plan.nfiles, 0);
    ck_assert_uint_eq(plan.nsegments, 0);
    image_free(&img);
}

/*
 * Cut a good image at every length in [from, upto): each must fail with a message and without a
 * crash.
 */
static inline void check_truncations(const struct image *good, size_t from, size_t upto)
{
    for (size_t len = from; len < upto; len += len < 1024 ? 1 : 61) {
        struct image img = {0};
        image_copy(&img, 0, good->data, len);
        struct boot_plan plan;
        struct err err;
        int ret = plan_image(&img, &plan, &err);
        ck_assert_msg(ret < 0 && err.msg[0], "accepted when cut to %zu bytes", len);
        image_free(&img);
    }
}

