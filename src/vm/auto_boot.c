// SPDX-License-Identifier: MIT
//
// See auto_boot.h. The root is what root= names; where the command line names none, it is looked
// for on the disks in their order, and root= is added.
#include "src/vm/auto_boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/cmdline.h"
#include "loader/disk_probe.h"
#include "loader/initramfs.h"
#include "loader/kernel_version.h"
#include "log.h"
#include "util.h"

#define ROOT_TEXT 128

struct root_search {
    const struct config *cfg;
    bool named;           /* on the command line */
    char name[ROOT_TEXT]; /* root=, or as the guest will see what was found; "": not found */
    bool share;           /* it is one of our shares */
    bool on_disk;         /* it is on one of our disks */
    bool read_only;       /* which is */
    bool unread;          /* a disk that is none: the run will end with that */
    struct disk_fs fs;    /* type NULL: not known */
};

/* --- disks --- */

struct open_disk {
    int fd;
    struct disk_source source;
};

static bool read_disk(void *opaque, uint64_t offset, void *buf, size_t len)
{
    const struct open_disk *disk = opaque;
    ssize_t n = pread(disk->fd, buf, len, (off_t)offset);
    return n >= 0 && (size_t)n == len;
}

/* A disk that does not open, or holds nothing, is told of by the block layer, later and better. */
static bool open_disk(const struct disk_config *cfg, struct open_disk *disk)
{
    disk->fd = open(cfg->block.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    bool is_disk = disk->fd >= 0 && !fstat(disk->fd, &st) &&
                   (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
    off_t size = is_disk ? lseek(disk->fd, 0, SEEK_END) : -1;
    disk->source = (struct disk_source){read_disk, disk, size < 0 ? 0 : (uint64_t)size};
    if (size <= 0 && disk->fd >= 0)
        close(disk->fd);
    return size > 0;
}

/* The letter the guest will give it: it finds those on PCI first. */
static char disk_letter(const struct config *cfg, unsigned index)
{
    unsigned before = 0;
    for (unsigned i = 0; i < cfg->ndisks; i++) {
        bool same = cfg->disks[i].bus == cfg->disks[index].bus;
        before += same ? i < index : cfg->disks[i].bus == VIRTIO_BUS_PCI;
    }
    return (char)('a' + before);
}

static void found(struct root_search *search, unsigned index, unsigned number)
{
    char letter = disk_letter(search->cfg, index);
    search->on_disk = true;
    if (!search->named)
        snprintf(search->name, sizeof search->name, number ? "/dev/vd%c%u" : "/dev/vd%c", letter,
                 number);
    search->read_only = search->cfg->disks[index].block.read_only;
}

static bool same_id(const char *wanted, const char *prefix, const char *is)
{
    size_t len = strlen(prefix);
    return !strncmp(wanted, prefix, len) && *is && !strcasecmp(wanted + len, is);
}

/* Does root= mean this place? number 0: the whole disk. */
static bool is_named(const struct root_search *search, unsigned index, const struct disk_part *part,
                     const struct disk_fs *fs)
{
    char device[32];
    snprintf(device, sizeof device, part ? "/dev/vd%c%u" : "/dev/vd%c",
             disk_letter(search->cfg, index), part ? part->number : 0);
    return !strcmp(search->name, device) || same_id(search->name, "LABEL=", fs->label) ||
           same_id(search->name, "UUID=", fs->uuid) ||
           (part && (same_id(search->name, "PARTUUID=", part->uuid) ||
                     same_id(search->name, "PARTLABEL=", part->label)));
}

static bool look_for_named(struct root_search *search, unsigned index, struct open_disk *disk,
                           struct disk_parts *parts)
{
    disk_read_parts(&disk->source, parts);
    disk_read_fs(&disk->source, 0, disk->source.size, &search->fs);
    if (is_named(search, index, NULL, &search->fs)) {
        found(search, index, 0);
        return true;
    }
    for (unsigned i = 0; i < parts->count; i++) {
        const struct disk_part *part = &parts->part[i];
        disk_read_fs(&disk->source, part->offset, part->size, &search->fs);
        if (is_named(search, index, part, &search->fs)) {
            found(search, index, part->number);
            return true;
        }
    }
    return false;
}

static bool look_for_any(struct root_search *search, unsigned index, struct open_disk *disk,
                         struct disk_parts *parts)
{
    int number = disk_find_root(&disk->source, parts, &search->fs);
    if (number >= 0)
        found(search, index, (unsigned)number);
    return number >= 0;
}

static int find_root(struct root_search *search, struct err *err)
{
    struct disk_parts *parts = malloc(sizeof *parts);
    if (!parts)
        return err_set(err, ENOMEM, "out of memory looking for the root disk");
    for (unsigned i = 0; i < search->cfg->ndisks; i++) {
        struct open_disk disk;
        if (!open_disk(&search->cfg->disks[i], &disk)) {
            search->unread = true;
            continue;
        }
        bool done = search->named ? look_for_named(search, i, &disk, parts)
                                  : look_for_any(search, i, &disk, parts);
        close(disk.fd);
        if (done)
            break;
        search->fs = (struct disk_fs){0};
    }
    free(parts);
    return 0;
}

/* --- what it takes to get there --- */

static unsigned list_needs(const struct root_search *search, const char *fstype,
                           struct driver_need needs[6])
{
    const struct config *cfg = search->cfg;
    const char *const why = search->share ? "the shared root" : "a disk";
    bool on[2] = {false, false};
    unsigned n = 0;
    for (unsigned i = 0; i < cfg->ndisks; i++)
        on[cfg->disks[i].bus] = true;
    for (unsigned i = 0; i < cfg->nshares && search->share; i++)
        on[cfg->shares[i].bus] = true;
    if (on[VIRTIO_BUS_PCI])
        needs[n++] = (struct driver_need){"virtio_pci", "virtio-pci", why};
    if (on[VIRTIO_BUS_MMIO])
        needs[n++] = (struct driver_need){"virtio_mmio", "virtio-mmio", why};
    if (cfg->ndisks)
        needs[n++] = (struct driver_need){"virtio_blk", "virtio_blk", why};
    if (search->share)
        needs[n++] = (struct driver_need){"virtiofs", "virtiofs", why};
    else if (*fstype)
        needs[n++] = (struct driver_need){fstype, NULL, "the root file system"};
    return n;
}

/* root=TAG rootfstype=virtiofs: one of our shares. */
static bool is_share(const struct root_search *search)
{
    char fstype[16] = "";
    cmdline_get(search->cfg->append, "rootfstype", fstype, sizeof fstype);
    for (unsigned i = 0; i < search->cfg->nshares && search->named; i++) {
        if (!strcmp(fstype, "virtiofs") && !strcmp(search->cfg->shares[i].tag, search->name))
            return true;
    }
    return false;
}

/* Only an init can follow names that are not the kernel's own. */
static bool root_needs_init(const char *root)
{
    return !strncmp(root, "LABEL=", 6) || !strncmp(root, "UUID=", 5);
}

static int make_initramfs(struct auto_boot *ab, const struct module_set *set, struct err *err)
{
    struct init_words words = {0};
    init_words_add(&words, "mode", "root");
    int rc = initramfs_make(&ab->initramfs, set, &words, err);
    init_words_free(&words);
    if (!rc)
        log_msg(LOG_BOOT, "initramfs of %zu KiB with %u modules, made by minivmm",
                ab->initramfs.len >> 10, set->count);
    return rc;
}

/* The command line with the root that was found: instead of the default one, or added. */
static int set_cmdline(struct auto_boot *ab, const struct root_search *search, struct err *err)
{
    const struct config *cfg = search->cfg;
    const char *text = cfg->append, *mode = "", *guess = strstr(text, "root=");
    size_t len = strlen(text);
    if (search->named || !search->name[0])
        return 0;
    if (cfg->append_default && guess)
        len = (size_t)(guess - text);
    if (cfg->append_default || (!cmdline_has(text, "ro") && !cmdline_has(text, "rw")))
        mode = search->read_only ? " ro" : " rw";
    /* in front: what follows "--" is for the guest's init */
    if (asprintf(&ab->cmdline, "root=%s%s%s%.*s", search->name, mode, len ? " " : "", (int)len,
                 text) < 0) {
        ab->cmdline = NULL;
        return err_set(err, ENOMEM, "out of memory for the command line");
    }
    log_msg(LOG_BOOT, "root is %s (%s)", search->name,
            search->fs.type ? search->fs.type : "unknown file system");
    return 0;
}

static int check_container(const struct root_search *search, struct err *err)
{
    if (!search->fs.type || search->fs.mountable)
        return 0;
    return err_set(err, ENOTSUP,
                   "root %s holds %s, which needs an initrd of its own: give it with -initrd FILE",
                   search->name, search->fs.type);
}

static int prepare(struct auto_boot *ab, struct root_search *search, const char *release,
                   struct err *err)
{
    const struct config *cfg = search->cfg;
    struct driver_need needs[6];
    char fstype[MODULE_NAME_TEXT] = "";
    struct module_set *set = calloc(1, sizeof *set);
    if (!set)
        return err_set(err, ENOMEM, "out of memory for kernel modules");
    if (search->fs.type)
        snprintf(fstype, sizeof fstype, "%s", search->fs.type);
    if (search->on_disk && cmdline_get(cfg->append, "rootfstype", fstype, sizeof fstype))
        fstype[strcspn(fstype, ",")] = '\0';
    unsigned n = list_needs(search, fstype, needs);
    int rc = drivers_collect(set, cfg, release, needs, n,
                             "give -modules DIR or -initrd FILE (-initrd none boots all the same)",
                             err);
    if (!rc && (set->count || root_needs_init(search->name)))
        rc = make_initramfs(ab, set, err);
    if (!rc && ab->initramfs.len && !search->name[0])
        log_warn("no root file system was found on the disks: name one with root= in -append");
    if (!rc)
        rc = set_cmdline(ab, search, err);
    module_set_free(set);
    free(set);
    return rc;
}

int auto_boot_prepare(struct auto_boot *ab, const struct config *cfg, struct err *err)
{
    char release[KERNEL_RELEASE_TEXT];
    struct root_search search = {.cfg = cfg};
    struct err unread = {0};
    *ab = (struct auto_boot){0};
    if (cfg->hooks || cfg->initrd || cfg->no_initrd || (!cfg->ndisks && !cfg->nshares) ||
        kernel_read_release(cfg->kernel, release, &unread))
        return 0;
    search.named = !cfg->append_default &&
                   cmdline_get(cfg->append, "root", search.name, sizeof search.name);
    search.share = is_share(&search);
    if (!cfg->ndisks && !search.share)
        return 0;
    int rc = search.share ? 0 : find_root(&search, err);
    if (rc || search.unread)
        return rc;
    rc = check_container(&search, err);
    return rc ? rc : prepare(ab, &search, release, err);
}

void auto_boot_free(struct auto_boot *ab)
{
    free(ab->initramfs.data);
    free(ab->cmdline);
    *ab = (struct auto_boot){0};
}
