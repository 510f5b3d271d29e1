// SPDX-License-Identifier: MIT
//
// Where the initrd goes: as high as the kernel can reach, so that nothing the kernel unpacks or
// allocates early runs into it.
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "util.h"

/* Where `size` bytes go, or why they go nowhere. `what` is how the user knows them. */
static int find_place(const struct boot_request *req, const struct boot_plan *plan,
                      const char *what, uint64_t size, gpa_t limit, gpa_t *gpa, struct err *err)
{
    *gpa = plan_find_high(plan, req->ram_size, size, limit);
    if (*gpa)
        return 0;
    if (plan_find_high(plan, req->ram_size, size, UINT64_MAX))
        return err_set(err, ENOSPC,
                       "%s has %" PRIu64 " KiB, which does not fit beside the kernel below"
                       " 0x%" PRIx64 ", the highest address this kernel takes",
                       what, align_up(size, 1024) >> 10, limit);
    return err_set(err, ENOSPC,
                   "%s has %" PRIu64 " KiB, which does not fit beside the kernel in %" PRIu64
                   " MiB of RAM; give more with -m",
                   what, align_up(size, 1024) >> 10, req->ram_size >> 20);
}

static int add_from_memory(const struct boot_request *req, struct boot_plan *plan, gpa_t limit,
                           struct initrd_place *place, struct err *err)
{
    gpa_t gpa;
    int ret =
        find_place(req, plan, "the built-in initramfs", req->initrd_size, limit, &gpa, err);
    if (ret == 0)
        ret = plan_add_data(plan, req->ram_size, "built-in initramfs", gpa, req->initrd_data,
                            req->initrd_size, err);
    if (ret == 0)
        *place = (struct initrd_place){.gpa = gpa, .size = req->initrd_size};
    return ret;
}

int plan_add_initrd(const struct boot_request *req, struct boot_plan *plan, gpa_t limit,
                    struct initrd_place *place, struct err *err)
{
    *place = (struct initrd_place){0};
    if (!req->initrd && req->initrd_size)
        return add_from_memory(req, plan, limit, place, err);
    if (!req->initrd)
        return 0;
    int file = plan_open(plan, "initrd", req->initrd, err);
    if (file < 0)
        return file;

    char what[160];
    gpa_t gpa;
    uint64_t size = plan->files[file].size;
    snprintf(what, sizeof what, "initrd '%s'", req->initrd);
    int ret = find_place(req, plan, what, size, limit, &gpa, err);
    if (ret == 0)
        ret = plan_add_file(plan, req->ram_size, gpa, (unsigned)file, err);
    if (ret < 0)
        return ret;
    *place = (struct initrd_place){.gpa = gpa, .size = size};
    return 0;
}
