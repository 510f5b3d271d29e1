// SPDX-License-Identifier: MIT
//
// Carrying out a boot plan: every segment from its source into guest RAM, without a copy in between
// where the source allows.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "loader.h"
#include "payload.h"
#include "plan.h"

static int check_unchanged(const struct boot_file *file, struct err *err)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return err_set_errno(err, errno, "stat %s '%s'", file->what, file->path);
    if ((uint64_t)st.st_size != file->size || st.st_mtim.tv_sec != file->mtime.tv_sec ||
        st.st_mtim.tv_nsec != file->mtime.tv_nsec)
        return err_set(err, ESTALE, "%s '%s' was changed since the machine started; start it anew",
                       file->what, file->path);
    return 0;
}

static int apply_segment(const struct boot_plan *plan, const struct boot_segment *s, uint8_t *to,
                         struct err *err)
{
    int ret = 0;
    if (s->source == BOOT_FROM_MEMORY)
        memcpy(to, s->data, s->file_size);
    else if (s->source == BOOT_FROM_FILE)
        ret = boot_file_read(&plan->files[s->file], s->offset, to, s->file_size, err);
    memset(to + s->file_size, 0, s->mem_size - s->file_size);
    return ret;
}

struct payload_target {
    const struct boot_plan *plan;
    struct gmem *gm;
};

/* Unpacked bytes to all segments that hold some of them. */
static void put_payload(void *opaque, uint64_t offset, const uint8_t *data, size_t len)
{
    const struct payload_target *target = opaque;
    for (unsigned i = 0; i < target->plan->nsegments; i++) {
        const struct boot_segment *s = &target->plan->segments[i];
        if (s->source != BOOT_FROM_PAYLOAD)
            continue;
        uint64_t start = offset > s->offset ? offset : s->offset;
        uint64_t end = offset + len < s->offset + s->file_size ? offset + len
                                                               : s->offset + s->file_size;
        if (start < end)
            memcpy(gmem_ptr(target->gm, s->gpa, s->mem_size) + (start - s->offset),
                   data + (start - offset), end - start);
    }
}

int boot_apply(const struct boot_plan *plan, struct gmem *gm, struct err *err)
{
    for (unsigned i = 0; i < plan->nfiles; i++) {
        int ret = check_unchanged(&plan->files[i], err);
        if (ret < 0)
            return ret;
    }
    for (unsigned i = 0; i < plan->nsegments; i++) {
        const struct boot_segment *s = &plan->segments[i];
        if (s->source == BOOT_RESERVED)
            continue;
        uint8_t *to = gmem_ptr(gm, s->gpa, s->mem_size);
        if (!to)
            return err_set(err, EFAULT, "%s at 0x%" PRIx64 "-0x%" PRIx64 " is not in RAM", s->what,
                           s->gpa, s->gpa + s->mem_size);
        int ret = apply_segment(plan, s, to, err);
        if (ret < 0)
            return ret;
    }
    if (plan->payload) {
        struct payload_target target = {.plan = plan, .gm = gm};
        int ret = payload_unpack(plan->payload, 0, plan->payload->size, put_payload, &target, err);
        if (ret < 0)
            return ret;
    }
    for (unsigned i = 0; i < plan->nsegments; i++)
        if (plan->segments[i].source != BOOT_RESERVED)
            gmem_wrote(gm, plan->segments[i].gpa, plan->segments[i].mem_size);
    return 0;
}
