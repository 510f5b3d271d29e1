// SPDX-License-Identifier: MIT
//
// Loaders turn a kernel file (plus initrd and command line) into a neutral boot plan: which bytes
// go where in guest RAM, and the state of the boot CPU at its first instruction. The format is
// found by content. Loaders are pure: they read host files and compute; only boot_apply writes
// guest memory, and does so again at every machine reset.
//
// A plan holds open files, not copies of them: boot_apply reads (and unpacks) straight into guest
// RAM, so that beside guest RAM a plan costs a few dozen KiB. A file that was changed on disk since
// the plan was made is an error at boot_apply.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cpu_state.h"
#include "err.h"
#include "gmem.h"

/*
 * Who decompresses a bzImage. The kernel's own unpacker runs as guest code: slow on every software
 * engine, and the only thing it does besides unpacking is KASLR, the choice of a random physical
 * and virtual address. Unpacked by the host, the kernel runs at the address it was linked for, as
 * after `nokaslr`. (Kernel memory regions are then not randomized either.) AUTO is HOST where
 * compression and RAM size allow, else GUEST. A caller whose engine runs guest code at the host's
 * speed gains nothing by HOST and asks for GUEST.
 */
enum kernel_unpack {
    KERNEL_UNPACK_AUTO,
    KERNEL_UNPACK_HOST, /* or fail with the reason */
    KERNEL_UNPACK_GUEST,
};

struct boot_request {
    const char *kernel;  /* path; never NULL */
    const char *initrd;  /* path or NULL; for multiboot "FILE ARGS,FILE ARGS" as QEMU has it */
    const void
        *initrd_data; /* where initrd is NULL: one in memory, which outlives the plan; or NULL */
    size_t initrd_size;
    const char *cmdline; /* never NULL */
    uint64_t ram_size;   /* bytes of RAM, laid out by layout.h */
    gpa_t rsdp;          /* where the ACPI root pointer will be; 0: none */
    enum kernel_unpack unpack;
};

/* A host file of the plan, open for reading. */
struct boot_file {
    const char *what; /* "kernel", "initrd", "module" */
    char *path;
    int fd;
    uint64_t size;
    struct timespec mtime; /* to notice that somebody changed it under us */
};

enum boot_source {
    BOOT_FROM_MEMORY,  /* `data` */
    BOOT_FROM_FILE,    /* files[file], from `offset` */
    BOOT_FROM_PAYLOAD, /* the kernel's compressed payload, from `offset` of what it unpacks to */
    BOOT_RESERVED,     /* nothing is written: the kernel wants the room to itself */
};

struct boot_segment {
    const char *what; /* "kernel", "initrd", "zero page" … for messages and -d boot */
    gpa_t gpa;
    uint64_t file_size; /* bytes from the source */
    uint64_t mem_size;  /* >= file_size, > 0; the rest is zeroed */
    enum boot_source source;
    const void *data; /* owned by the plan, or the request's initrd_data */
    unsigned file;
    uint64_t offset;
};

#define BOOT_MAX_SEGMENTS 128
#define BOOT_MAX_FILES 40
#define BOOT_MAX_OWNED 16

struct payload; /* loader/payload.h */

struct boot_plan {
    bool linux_entry;   /* entered as Linux is, so most likely a whole Linux */
    const char *format; /* "bzImage", "bzImage unpacked, PVH", "ELF, PVH", … */
    unsigned nsegments;
    struct boot_segment segments[BOOT_MAX_SEGMENTS];
    struct cpu_state cpu; /* of vCPU 0 at entry */
    unsigned nfiles;
    struct boot_file files[BOOT_MAX_FILES];
    const struct payload *payload; /* of BOOT_FROM_PAYLOAD segments */
    unsigned nowned;
    void *owned[BOOT_MAX_OWNED]; /* buffers to free */
};

/*
 * Read, check and plan. One clear line on any malformed, truncated, overlapping or oversized input.
 * Segments then lie in RAM and apart from each other. After an error the plan holds nothing;
 * freeing it is allowed.
 */
int boot_plan_make(const struct boot_request *req, struct boot_plan *plan, struct err *err);

/* Put all segments into guest RAM. Vcpus must not run. */
int boot_apply(const struct boot_plan *plan, struct gmem *gm, struct err *err);

/* Close files, free buffers. Also right for a plan of all zeros. */
void boot_plan_free(struct boot_plan *plan);
