// SPDX-License-Identifier: MIT
//
// libFuzzer target: any bytes as a kernel file, planned and, if planned, put into a small RAM
// twice. The first byte of the input is not part of the file: it chooses the unpack policy and
// whether there is an initrd.
//
//   clang -fsanitize=fuzzer,address,undefined ... && ./loader_fuzz -max_len=65536 CORPUS
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout.h"
#include "loader.h"
#include "util.h"

#define FUZZ_RAM MIB(32)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_make(char *path, size_t path_len)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    snprintf(path, path_len, "/proc/self/fd/%d", fd);
    return fd;
}

static void file_set(int fd, const uint8_t *data, size_t size)
{
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
}

/* Whatever the loader accepts must keep its promises. */
static void check_plan(const struct boot_plan *plan)
{
    for (unsigned i = 0; i < plan->nsegments; i++) {
        const struct boot_segment *a = &plan->segments[i];
        if (!a->mem_size || a->file_size > a->mem_size ||
            !range_fits(a->gpa, a->mem_size, FUZZ_RAM))
            abort();
        for (unsigned j = 0; j < i; j++)
            if (ranges_overlap(a->gpa, a->mem_size, plan->segments[j].gpa,
                               plan->segments[j].mem_size))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gmem gm;
    static int kernel_fd = -1, initrd_fd;
    static char kernel[40], initrd[40];
    struct err err = {0};

    if (kernel_fd < 0) {
        if (gmem_init(&gm, FUZZ_RAM, RAM_HOLE_START, RAM_HOLE_END, &err) < 0)
            abort();
        kernel_fd = file_make(kernel, sizeof kernel);
        initrd_fd = file_make(initrd, sizeof initrd);
        file_set(initrd_fd, (const uint8_t *)"initrd", 6);
    }
    if (!size)
        return 0;
    file_set(kernel_fd, data + 1, size - 1);

    const struct boot_request req = {
        .kernel = kernel,
        .initrd = data[0] & 4 ? initrd : NULL,
        .cmdline = "console=ttyS0",
        .ram_size = FUZZ_RAM,
        .rsdp = ACPI_TABLES,
        .unpack = data[0] % 3,
    };
    struct boot_plan plan;
    int ret = boot_plan_make(&req, &plan, &err);
    if (ret == 0) {
        check_plan(&plan);
        ret = boot_apply(&plan, &gm, &err);
        if (ret == 0)
            ret = boot_apply(&plan, &gm, &err);
    }
    if ((ret < 0) != (err.msg[0] != '\0') || strchr(err.msg, '\n'))
        abort();
    boot_plan_free(&plan);
    return 0;
}
