// SPDX-License-Identifier: MIT
//
// From a kernel file to a boot plan: the formats are asked in a fixed order, and the first that
// knows the file has it.
#include "loader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "plan.h"
#include "util.h"

struct format {
    bool (*match)(const struct kernel_file *kernel);
    int (*plan)(const struct boot_request *req, struct boot_plan *plan,
                const struct kernel_file *kernel, struct err *err);
};

/*
 * bzImage and ELF files may carry the boot-sector signature by design or by chance, so flat comes
 * last.
 */
static const struct format formats[] = {
    {bzimage_match, bzimage_plan},
    {multiboot_match, multiboot_plan},
    {elf_match, elf_plan},
    {flat_match, flat_plan},
};

/* Files that people take for kernels. */
static const struct {
    uint8_t len, magic[6];
    const char *what;
} lookalikes[] = {
    {2, {0x1f, 0x8b}, "a gzip file; unpack it with gunzip"},
    {6, {0xfd, '7', 'z', 'X', 'Z', 0}, "an xz file; unpack it with unxz"},
    {4, {0x28, 0xb5, 0x2f, 0xfd}, "a zstd file; unpack it with unzstd"},
    {3, {'B', 'Z', 'h'}, "a bzip2 file; unpack it with bunzip2"},
    {6, {'0', '7', '0', '7', '0', '1'}, "a cpio archive; give it with -initrd"},
    {4, {'Q', 'F', 'I', 0xfb}, "a qcow2 disk image; qemu-img convert -O raw makes one for -disk"},
};

static int unknown_format(const struct kernel_file *kernel, struct err *err)
{
    const char *path = kernel->file->path;
    for (unsigned i = 0; i < ARRAY_LEN(lookalikes); i++)
        if (kernel->head_len >= lookalikes[i].len &&
            !memcmp(kernel->head, lookalikes[i].magic, lookalikes[i].len))
            return err_set(err, ENOEXEC, "kernel '%s' is %s", path, lookalikes[i].what);
    return err_set(err, ENOEXEC,
                   "kernel '%s' has no known format: need a bzImage, an x86 ELF (vmlinux, PVH), a"
                   " multiboot kernel or a boot sector",
                   path);
}

static int plan_kernel(const struct boot_request *req, struct boot_plan *plan,
                       struct kernel_file *kernel, struct err *err)
{
    int ret = boot_file_read(kernel->file, 0, kernel->head, kernel->head_len, err);
    if (ret < 0)
        return ret;
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].match(kernel))
            return formats[i].plan(req, plan, kernel, err);
    return unknown_format(kernel, err);
}

static void log_plan(const struct boot_plan *plan)
{
    if (!log_on(LOG_BOOT))
        return;
    log_msg(LOG_BOOT, "kernel '%s': %s", plan->files[0].path, plan->format);
    for (unsigned i = 0; i < plan->nsegments; i++) {
        const struct boot_segment *s = &plan->segments[i];
        log_msg(LOG_BOOT, "  0x%09" PRIx64 "-0x%09" PRIx64 " %s", s->gpa, s->gpa + s->mem_size,
                s->what);
    }
    log_msg(LOG_BOOT, "  entry 0x%" PRIx64, plan->cpu.seg[SEG_CS].base + plan->cpu.rip);
}

int boot_plan_make(const struct boot_request *req, struct boot_plan *plan, struct err *err)
{
    *plan = (struct boot_plan){0};
    int ret = plan_open(plan, "kernel", req->kernel, err);
    if (ret < 0) {
        boot_plan_free(plan);
        return ret;
    }

    struct kernel_file kernel = {.index = (unsigned)ret, .file = &plan->files[ret]};
    kernel.head_len = kernel.file->size < KERNEL_HEAD_MAX ? (size_t)kernel.file->size
                                                          : KERNEL_HEAD_MAX;
    kernel.head = malloc(kernel.head_len);
    ret = kernel.head ? plan_kernel(req, plan, &kernel, err)
                      : err_set(err, ENOMEM, "out of memory reading kernel '%s'", req->kernel);
    free(kernel.head);
    if (ret < 0) {
        boot_plan_free(plan);
        return ret;
    }
    log_plan(plan);
    return 0;
}
