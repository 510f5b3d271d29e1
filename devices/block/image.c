// SPDX-License-Identifier: MIT
//
// Opening disk images: regular files and block devices, with or without the host's page cache.
// Sizes: the guest's disk is counted in units of 512 bytes. A file with an odd end is refused for
// writing (where would a write to its last sector end?) and padded with zeroes for reading, so
// that any file can be handed to a guest whole.
// Left out: image formats; qcow2 and friends are served by others.
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define UNIT 512
#define PAGE 4096

static const char *unfit_kind(mode_t mode)
{
    if (S_ISREG(mode) || S_ISBLK(mode))
        return NULL;
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISCHR(mode))
        return "a character device";
    if (S_ISFIFO(mode))
        return "a FIFO";
    return "a socket";
}

static int open_failed(const char *path, int e, bool writable, struct err *err)
{
    if (writable && e == EBUSY)
        return err_set(err, e, "disk '%s' is mounted or otherwise in use by this host; unmount it "
                       "first", path);
    if (writable && (e == EACCES || e == EROFS || e == EPERM))
        return err_set_errno(err, e, "open disk '%s' for writing (readonly=on or snapshot=on only "
                             "reads it)", path);
    return err_set_errno(err, e, "open disk '%s'", path);
}

/* Look before opening: opening a FIFO blocks, and opening a device node can make things move. */
static int open_checked(struct image *img, bool writable, struct err *err)
{
    struct stat st;
    if (stat(img->path, &st))
        return open_failed(img->path, errno, writable, err);
    const char *kind = unfit_kind(st.st_mode);
    if (kind)
        return err_set(err, EINVAL, "disk '%s' is %s; give a file or a block device", img->path,
                       kind);
    img->block_device = S_ISBLK(st.st_mode);
    /* O_EXCL on a block device: not while the host has it mounted. */
    int excl = img->block_device && writable ? O_EXCL : 0;
    img->fd = open(img->path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | excl);
    if (img->fd < 0)
        return open_failed(img->path, errno, writable, err);
    struct stat now;
    if (fstat(img->fd, &now) || (now.st_mode & S_IFMT) != (st.st_mode & S_IFMT))
        return err_set(err, EINVAL, "disk '%s' was replaced while it was opened; try again",
                       img->path);
    return 0;
}

static int size_device(struct image *img, struct err *err)
{
    int logical = UNIT;
    unsigned physical = UNIT;
    uint64_t size;
    if (ioctl(img->fd, BLKGETSIZE64, &size) || ioctl(img->fd, BLKSSZGET, &logical))
        return err_set_errno(err, errno, "find the size of disk '%s'", img->path);
    if (ioctl(img->fd, BLKPBSZGET, &physical))
        physical = (unsigned)logical;
    img->data_end = img->size = size;
    img->logical_block = (unsigned)logical;
    img->physical_block = physical;
    return 0;
}

static int size_file(struct image *img, bool writable, struct err *err)
{
    struct stat st;
    if (fstat(img->fd, &st))
        return err_set_errno(err, errno, "find the size of disk '%s'", img->path);
    img->data_end = (uint64_t)st.st_size;
    img->size = align_up(img->data_end, UNIT);
    img->logical_block = UNIT;
    img->physical_block = PAGE; /* what the page cache and most file systems work in */
    if (writable && img->size != img->data_end)
        return err_set(err, EINVAL, "disk '%s' has %llu bytes, which is no multiple of 512; extend "
                       "it with truncate -s %%512, or use readonly=on", img->path,
                       (unsigned long long)img->data_end);
    return 0;
}

static int find_size(struct image *img, bool writable, struct err *err)
{
    int r = img->block_device ? size_device(img, err) : size_file(img, writable, err);
    if (!r && !img->size)
        return err_set(err, EINVAL, img->block_device ? "disk '%s' has no medium" : "disk '%s' is "
                       "empty; give it a size first, for example with truncate -s 1G", img->path);
    return r;
}

/* True when a read of this size and alignment is not refused. */
static bool direct_read_works(int fd, unsigned align)
{
    void *buf = aligned_alloc(align, align);
    bool works = buf && pread(fd, buf, align, align) >= 0;
    free(buf);
    return works;
}

/* fd is direct already. Fills in the alignments; false when no direct I/O works. */
static bool find_dio_align(struct image *img)
{
    struct statx stx;
    if (!statx(img->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
        (stx.stx_mask & STATX_DIOALIGN)) {
        img->dio_align = stx.stx_dio_offset_align;
        img->dio_mem_align = stx.stx_dio_mem_align;
        return img->dio_align && img->dio_align <= PAGE;
    }
    for (unsigned align = UNIT; align <= PAGE; align *= 8) {
        img->dio_align = img->dio_mem_align = align;
        if (direct_read_works(img->fd, align))
            return true;
    }
    return false;
}

/* cache=none. Where the host cannot, the disk works all the same, through the page cache: flushes
 * keep their meaning. A last piece smaller than the alignment could not be written directly at
 * all. */
static void try_direct(struct image *img)
{
    const char *why = NULL;
    int flags = fcntl(img->fd, F_GETFL);
    if (flags < 0 || fcntl(img->fd, F_SETFL, flags | O_DIRECT) || !find_dio_align(img))
        why = "the file system has no direct I/O";
    else if (img->data_end % img->dio_align)
        why = "its size is no multiple of what direct I/O demands";
    if (!why) {
        if (img->dio_align > img->physical_block)
            img->physical_block = img->dio_align;
        return;
    }
    fcntl(img->fd, F_SETFL, flags & ~O_DIRECT);
    img->dio_align = img->dio_mem_align = 1;
    log_warn("disk '%s': cache=none is not possible (%s); using the page cache", img->path, why);
}

static bool device_discards(int fd)
{
    /* A partition has its queue one level up. */
    static const char *const places[] = {"queue", "../queue"};
    struct stat st;
    if (fstat(fd, &st))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        char path[96];
        unsigned long long max = 0;
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/write_zeroes_max_bytes",
                 major(st.st_rdev), minor(st.st_rdev), places[i]);
        FILE *f = fopen(path, "re");
        if (!f)
            continue;
        bool ok = fscanf(f, "%llu", &max) == 1;
        fclose(f);
        return ok && max;
    }
    return false;
}

/* Ask without harm: a hole beyond the end of a file removes nothing. A device has no such place,
 * but says in sysfs whether it can make holes. */
static bool find_discard(const struct image *img)
{
    if (img->block_device)
        return device_discards(img->fd);
    off_t beyond = (off_t)align_up(img->size, PAGE);
    return !fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond, PAGE);
}

/* A guest that writes to a qcow2 file as if it were a disk destroys it. The file's first bytes may
 * be the guest's own doing, so they never decide how the image is read. */
static void warn_of_format(const struct image *img)
{
    static const char qcow2[4] = {'Q', 'F', 'I', '\xfb'};
    char start[sizeof qcow2];
    ssize_t n = pread(img->fd, start, sizeof start, 0);
    if (n == sizeof start && !memcmp(start, qcow2, sizeof start))
        log_warn("disk '%s' looks like a qcow2 image and is used as a raw disk; "
                 "qemu-img convert -O raw makes one", img->path);
}

int image_open(struct image *img, const struct block_config *cfg, struct err *err)
{
    bool writable = !cfg->read_only && !cfg->snapshot;
    *img = (struct image){.fd = -1, .dio_align = 1, .dio_mem_align = 1, .path = strdup(cfg->path)};
    if (!img->path)
        return err_set(err, ENOMEM, "no memory for disk '%s'", cfg->path);
    int r = open_checked(img, writable, err);
    if (!r)
        r = image_lock(img->fd, img->path, writable, err);
    if (!r)
        r = find_size(img, writable, err); /* with the lock: nobody resizes it now */
    if (r) {
        image_close(img);
        return r;
    }
    warn_of_format(img);
    if (cfg->cache == BLK_CACHE_NONE)
        try_direct(img);
    img->can_discard = writable && find_discard(img);
    return 0;
}

static int open_unlinked(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/minivmm-XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* $TMPDIR; else /var/tmp rather than /tmp, which is often memory; but a minimal system may only
 * have /tmp. */
static const char *scratch_dir(void)
{
    const char *dir = getenv("TMPDIR");
    if (dir && *dir)
        return dir;
    return access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
}

int image_open_scratch(struct image *img, uint64_t size, struct err *err)
{
    const char *dir = scratch_dir();
    *img = (struct image){.fd = -1, .size = size, .data_end = size,
                          .logical_block = UNIT, .physical_block = PAGE,
                          .dio_align = 1, .dio_mem_align = 1};
    if (asprintf(&img->path, "(snapshot in %s)", dir) < 0) {
        img->path = NULL;
        return err_set(err, ENOMEM, "no memory for a snapshot");
    }
    img->fd = open_unlinked(dir);
    int r = 0;
    if (img->fd < 0)
        r = err_set_errno(err, errno, "make a snapshot file in '%s' (TMPDIR chooses the "
                          "place)", dir);
    else if (ftruncate(img->fd, (off_t)size))
        r = err_set_errno(err, errno, "make a snapshot file of %llu bytes in '%s' (TMPDIR chooses "
                          "the place)", (unsigned long long)size, dir);
    if (r)
        image_close(img);
    return r;
}

void image_close(struct image *img)
{
    if (img->fd >= 0)
        close(img->fd);
    free(img->path);
    img->fd = -1;
    img->path = NULL;
}
