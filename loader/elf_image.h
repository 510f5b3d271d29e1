// SPDX-License-Identifier: MIT
//
// ELF executables as kernels, from a plain file or from a bzImage's payload.
#pragma once

#include <gelf.h>

#include "payload.h"
#include "plan.h"

#define ELF_MAX_PHDRS 64

/* Where an ELF image's bytes come from. */
struct elf_input {
    const char *path;
    unsigned file;                 /* in plan->files */
    const struct boot_file *plain; /* the image itself, or … */
    const struct payload *payload; /* … what it is packed in */
    uint64_t size;
    const uint8_t *head; /* the first bytes; program headers must lie in them */
    size_t head_len;
};

struct elf_image {
    bool is64;
    uint64_t entry;  /* as in the header */
    gpa_t entry_gpa; /* the same as a physical address; 0: in no segment */
    unsigned nphdrs;
    GElf_Phdr phdrs[ELF_MAX_PHDRS];
    bool has_pvh;
    uint32_t pvh_entry;
};

/* Read and check headers and notes. */
int elf_parse(const struct elf_input *input, struct elf_image *image, struct err *err);

/* Add all loadable segments, at their physical addresses. */
int elf_add_segments(const struct boot_request *req, struct boot_plan *plan,
                     const struct elf_input *input, const struct elf_image *image, struct err *err);

/* Linux's setup header, for a kernel that came with one. */
struct elf_linux {
    const uint8_t *header;
    size_t header_len;
    uint64_t cmdline_max;
    gpa_t initrd_limit;
};

/*
 * Finish a plan whose segments are in: by PVH when the kernel has the note, else by Linux's 64-bit
 * protocol.
 */
int elf_finish(const struct boot_request *req, struct boot_plan *plan,
               const struct elf_image *image, const struct elf_linux *linux_info, struct err *err);
