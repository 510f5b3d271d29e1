// SPDX-License-Identifier: MIT
//
// Where the initrd goes: as high as the kernel can reach, so that nothing the kernel unpacks or
// allocates early runs into it.
#include "plan.h"

#include <errno.h>
#include <inttypes.h>

#include "util.h"

int plan_add_initrd(const struct boot_request *req, struct boot_plan *plan, gpa_t limit,
                    struct initrd_place *place, struct err *err)
{
    *place = (struct initrd_place){0};
    if (!req->initrd)
        return 0;
    int file = plan_open(plan, "initrd", req->initrd, err);
    if (file < 0)
        return file;

    uint64_t size = plan->files[file].size;
    gpa_t gpa = plan_find_high(plan, req->ram_size, size, limit);
    if (!gpa && plan_find_high(plan, req->ram_size, size, UINT64_MAX))
        return err_set(err, ENOSPC,
                       "initrd '%s' has %" PRIu64 " KiB, which does not fit beside the kernel below"
                       " 0x%" PRIx64 ", the highest address this kernel takes",
                       req->initrd, align_up(size, 1024) >> 10, limit);
    if (!gpa)
        return err_set(err, ENOSPC,
                       "initrd '%s' has %" PRIu64
                       " KiB, which does not fit beside the kernel in %" PRIu64
                       " MiB of RAM; give more with -m",
                       req->initrd, align_up(size, 1024) >> 10, req->ram_size >> 20);
    int ret = plan_add_file(plan, req->ram_size, gpa, (unsigned)file, err);
    if (ret < 0)
        return ret;
    *place = (struct initrd_place){.gpa = gpa, .size = size};
    return 0;
}
