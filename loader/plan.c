// SPDX-License-Identifier: MIT
//
// Building a boot plan: files, memory, segments and free room. No format is known here.
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout.h"
#include "memmap.h"
#include "util.h"

#define PAGE 0x1000ull

static uint64_t ram_high_size(uint64_t ram_size)
{
    return ram_size - ram_low_end(ram_size);
}

static int file_check(const struct boot_file *file, const struct stat *st, struct err *err)
{
    if (S_ISDIR(st->st_mode))
        return err_set(err, EISDIR, "%s '%s' is a directory", file->what, file->path);
    if (!S_ISREG(st->st_mode))
        return err_set(err, EINVAL, "%s '%s' is not a regular file", file->what, file->path);
    if (!st->st_size)
        return err_set(err, EINVAL, "%s '%s' is empty", file->what, file->path);
    return 0;
}

int plan_open(struct boot_plan *plan, const char *what, const char *path, struct err *err)
{
    if (plan->nfiles == BOOT_MAX_FILES)
        return err_set(err, E2BIG, "more than %d files to load: '%s' is one too many",
                       BOOT_MAX_FILES, path);
    struct boot_file *file = &plan->files[plan->nfiles];
    *file = (struct boot_file){.what = what, .path = strdup(path), .fd = -1};
    if (!file->path)
        return err_set(err, ENOMEM, "out of memory opening %s '%s'", what, path);
    plan->nfiles++;

    /* Without O_NONBLOCK, opening a FIFO would wait for a writer. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return err_set_errno(err, errno, "open %s '%s'", what, path);
    int ret = file_check(file, &st, err);
    if (ret < 0)
        return ret;
    file->size = (uint64_t)st.st_size;
    file->mtime = st.st_mtim;
    return (int)plan->nfiles - 1;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, size_t len,
                   struct err *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(file->fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, "read %s '%s'", file->what, file->path);
        if (n == 0)
            return err_set(err, EIO, "%s '%s' ends early at byte %" PRIu64, file->what, file->path,
                           offset + done);
        done += (size_t)n;
    }
    return 0;
}

void *plan_alloc(struct boot_plan *plan, size_t size, struct err *err)
{
    void *mem = plan->nowned < BOOT_MAX_OWNED ? calloc(1, size) : NULL;
    if (!mem) {
        err_set(err, ENOMEM, "out of memory: %zu bytes for boot data", size);
        return NULL;
    }
    plan->owned[plan->nowned++] = mem;
    return mem;
}

static bool in_ram(uint64_t ram_size, gpa_t gpa, uint64_t size)
{
    if (range_fits(gpa, size, ram_low_end(ram_size)))
        return true;
    return gpa >= RAM_HOLE_END && range_fits(gpa - RAM_HOLE_END, size, ram_high_size(ram_size));
}

static const struct boot_segment *find_overlap(const struct boot_plan *plan, gpa_t gpa,
                                               uint64_t size)
{
    for (unsigned i = 0; i < plan->nsegments; i++) {
        const struct boot_segment *s = &plan->segments[i];
        if (ranges_overlap(gpa, size, s->gpa, s->mem_size))
            return s;
    }
    return NULL;
}

int plan_add(struct boot_plan *plan, uint64_t ram_size, const struct boot_segment *segment,
             struct err *err)
{
    gpa_t gpa = segment->gpa;
    uint64_t size = segment->mem_size;
    /* The kernel file is always the first that is opened. */
    const char *path = plan->nfiles ? plan->files[0].path : "";

    if (plan->nsegments == BOOT_MAX_SEGMENTS)
        return err_set(err, E2BIG, "kernel '%s': more than %d pieces to load", path,
                       BOOT_MAX_SEGMENTS);
    if (size > UINT64_MAX - gpa)
        return err_set(err, EINVAL,
                       "kernel '%s': %s of %" PRIu64 " bytes at 0x%" PRIx64
                       " runs over the end of the address space",
                       path, segment->what, size, gpa);
    if (!in_ram(ram_size, gpa, size))
        return err_set(err, ENOSPC,
                       "kernel '%s': %s at 0x%" PRIx64 "-0x%" PRIx64 " is not in the %" PRIu64
                       " MiB of RAM; give more with -m",
                       path, segment->what, gpa, gpa + size, ram_size >> 20);
    if (ranges_overlap(gpa, size, EBDA_START, HIGH_RAM_START - EBDA_START))
        return err_set(err, EINVAL,
                       "kernel '%s': %s at 0x%" PRIx64 "-0x%" PRIx64
                       " overlaps the firmware's region 0x%llx-0x%llx",
                       path, segment->what, gpa, gpa + size, EBDA_START, HIGH_RAM_START);
    const struct boot_segment *other = find_overlap(plan, gpa, size);
    if (other)
        return err_set(err, EINVAL,
                       "kernel '%s': %s at 0x%" PRIx64 "-0x%" PRIx64 " overlaps %s at 0x%" PRIx64
                       "-0x%" PRIx64,
                       path, segment->what, gpa, gpa + size, other->what, other->gpa,
                       other->gpa + other->mem_size);
    plan->segments[plan->nsegments++] = *segment;
    return 0;
}

int plan_add_data(struct boot_plan *plan, uint64_t ram_size, const char *what, gpa_t gpa,
                  const void *data, uint64_t len, struct err *err)
{
    const struct boot_segment segment = {
        .what = what,
        .gpa = gpa,
        .source = BOOT_FROM_MEMORY,
        .data = data,
        .file_size = len,
        .mem_size = len,
    };
    return plan_add(plan, ram_size, &segment, err);
}

int plan_add_file(struct boot_plan *plan, uint64_t ram_size, gpa_t gpa, unsigned file,
                  struct err *err)
{
    const struct boot_segment segment = {
        .what = plan->files[file].what,
        .gpa = gpa,
        .source = BOOT_FROM_FILE,
        .file = file,
        .file_size = plan->files[file].size,
        .mem_size = plan->files[file].size,
    };
    return plan_add(plan, ram_size, &segment, err);
}

gpa_t plan_find_high(const struct boot_plan *plan, uint64_t ram_size, uint64_t size, gpa_t limit)
{
    gpa_t end = limit < ram_low_end(ram_size) ? limit : ram_low_end(ram_size);

    for (;;) {
        if (end < HIGH_RAM_START || size > end - HIGH_RAM_START)
            return 0;
        gpa_t gpa = align_down(end - size, PAGE);
        if (gpa < HIGH_RAM_START)
            return 0;
        const struct boot_segment *other = find_overlap(plan, gpa, size);
        if (!other)
            return gpa;
        end = other->gpa; /* lower than before: other begins below gpa + size <= end */
    }
}

gpa_t plan_find_low(const struct boot_plan *plan, uint64_t ram_size, uint64_t size)
{
    gpa_t end = ram_low_end(ram_size);
    gpa_t gpa = HIGH_RAM_START;

    for (;;) {
        if (gpa > end || size > end - gpa)
            return 0;
        const struct boot_segment *other = find_overlap(plan, gpa, size);
        if (!other)
            return gpa;
        gpa = align_up(other->gpa + other->mem_size, PAGE);
    }
}

int plan_add_cmdline(const struct boot_request *req, struct boot_plan *plan, uint64_t max,
                     struct err *err)
{
    size_t len = strlen(req->cmdline);
    if (max > BOOT_CMDLINE_MAX - 1)
        max = BOOT_CMDLINE_MAX - 1;
    if (len > max)
        return err_set(err, E2BIG,
                       "kernel '%s': the command line has %zu characters, this kernel takes at most"
                       " %" PRIu64 "; shorten -append",
                       req->kernel, len, max);
    char *copy = plan_alloc(plan, len + 1, err);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, req->cmdline, len);
    return plan_add_data(plan, req->ram_size, "command line", BOOT_CMDLINE, copy, len + 1, err);
}

void boot_plan_free(struct boot_plan *plan)
{
    for (unsigned i = 0; i < plan->nfiles; i++) {
        free(plan->files[i].path);
        if (plan->files[i].fd >= 0)
            close(plan->files[i].fd);
    }
    for (unsigned i = 0; i < plan->nowned; i++)
        free(plan->owned[i]);
    *plan = (struct boot_plan){0};
}
