// SPDX-License-Identifier: MIT
//
// Flat real-mode images: a boot sector, possibly longer than a sector, loaded at 0x7C00 as a BIOS
// would. There is no BIOS behind it: no interrupt services, no BIOS data area. The boot signature
// is what tells such an image from a random file.
#include <errno.h>
#include <inttypes.h>

#include "entry.h"
#include "layout.h"
#include "plan.h"
#include "util.h"

#define SIGNATURE_OFFSET 510
#define SIGNATURE 0xaa55
#define LOAD_ADDRESS 0x7c00
#define SIZE_MAX_FLAT KIB(512)

bool flat_match(const struct kernel_file *kernel)
{
    return kernel->head_len >= SIGNATURE_OFFSET + 2 &&
           load_le16(kernel->head + SIGNATURE_OFFSET) == SIGNATURE;
}

int flat_plan(const struct boot_request *req, struct boot_plan *plan,
              const struct kernel_file *kernel, struct err *err)
{
    plan->format = "flat real-mode image";
    if (kernel->file->size > SIZE_MAX_FLAT)
        return err_set(err, EFBIG,
                       "kernel '%s' looks like a boot sector but has %" PRIu64
                       " KiB; a flat real-mode image has at most %" PRIu64 " KiB",
                       req->kernel, kernel->file->size >> 10, (uint64_t)SIZE_MAX_FLAT >> 10);
    if (req->initrd)
        return err_set(err, EINVAL, "kernel '%s' is a flat real-mode image, which takes no -initrd",
                       req->kernel);
    entry_real_mode(plan, LOAD_ADDRESS);
    return plan_add_file(plan, req->ram_size, LOAD_ADDRESS, kernel->index, err);
}
