// SPDX-License-Identifier: MIT
//
// How the loaders of the single formats build a boot plan. Everything that lands in guest RAM goes
// through plan_add, which alone knows where RAM is, what is taken, and what is left for the
// firmware tables.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loader.h"

/* The start of the kernel file is read once; every format's headers must lie in it. */
#define KERNEL_HEAD_MAX 0x10000u

struct kernel_file {
    unsigned index; /* in plan->files */
    const struct boot_file *file;
    uint8_t *head;
    size_t head_len;
};

/* Open a regular, non-empty file as `what`; gives its index in plan->files, or -errno. */
int plan_open(struct boot_plan *plan, const char *what, const char *path, struct err *err);

/* Exactly `len` bytes at `offset`, or an error that names the file. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, size_t len,
                   struct err *err);

/* Zeroed memory that lives as long as the plan; NULL with err set. */
void *plan_alloc(struct boot_plan *plan, size_t size, struct err *err);

/*
 * Add a segment after checking that it lies in RAM, off the firmware's region, and overlaps no
 * other.
 */
int plan_add(struct boot_plan *plan, uint64_t ram_size, const struct boot_segment *segment,
             struct err *err);

/* plan_add for `len` bytes of plan_alloc'ed memory. */
int plan_add_data(struct boot_plan *plan, uint64_t ram_size, const char *what, gpa_t gpa,
                  const void *data, uint64_t len, struct err *err);

/* plan_add for a whole file. */
int plan_add_file(struct boot_plan *plan, uint64_t ram_size, gpa_t gpa, unsigned file,
                  struct err *err);

/*
 * A free, page-aligned range of `size` bytes between 1 MiB and the end of RAM below the hole: the
 * highest that ends at or below `limit`, or the lowest. 0 when there is none.
 */
gpa_t plan_find_high(const struct boot_plan *plan, uint64_t ram_size, uint64_t size, gpa_t limit);
gpa_t plan_find_low(const struct boot_plan *plan, uint64_t ram_size, uint64_t size);

/* The command line at BOOT_CMDLINE, refused when longer than `max` characters. */
int plan_add_cmdline(const struct boot_request *req, struct boot_plan *plan, uint64_t max,
                     struct err *err);

/* Where the initrd went; size 0: there is none. */
struct initrd_place {
    gpa_t gpa;
    uint64_t size;
};

/* The initrd as high as it fits below `limit`. All other segments must be there already. */
int plan_add_initrd(const struct boot_request *req, struct boot_plan *plan, gpa_t limit,
                    struct initrd_place *place, struct err *err);

/*
 * The formats. Each is asked in the order of the table in loader.c with the same kernel file.
 * *_match: is it this format? *_plan: fill the plan, or say what is wrong with the file.
 */
bool bzimage_match(const struct kernel_file *kernel);
int bzimage_plan(const struct boot_request *req, struct boot_plan *plan,
                 const struct kernel_file *kernel, struct err *err);
bool multiboot_match(const struct kernel_file *kernel);
int multiboot_plan(const struct boot_request *req, struct boot_plan *plan,
                   const struct kernel_file *kernel, struct err *err);
bool elf_match(const struct kernel_file *kernel);
int elf_plan(const struct boot_request *req, struct boot_plan *plan,
             const struct kernel_file *kernel, struct err *err);
bool flat_match(const struct kernel_file *kernel);
int flat_plan(const struct boot_request *req, struct boot_plan *plan,
              const struct kernel_file *kernel, struct err *err);
