// SPDX-License-Identifier: MIT
//
// The way from the initramfs to the root disk: find the device that root= names (as a device,
// LABEL=, UUID=, PARTLABEL=, PARTUUID=, or MAJOR:MINOR), wait until it is there, mount it as
// rootfstype=, rootflags=, ro and rw say, make it /, and become the init on it. The meaning of the
// parameters is the kernel's own (Documentation/admin-guide/kernel-parameters).
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "init.h"
#include "loader/disk_probe.h"

#define WAIT_MS 30000
#define STEP_MS 10
#define NEW_ROOT "/root"

struct root {
    char spec[256];   /* root= */
    char device[280]; /* what is mounted */
    char type[64], flags[512];
    bool read_only, wait_forever, no_device;
};

static void parse(struct root *root)
{
    char param[16];
    cmdline_get(cmdline, "root", root->spec, sizeof root->spec);
    cmdline_get(cmdline, "rootfstype", root->type, sizeof root->type);
    cmdline_get(cmdline, "rootflags", root->flags, sizeof root->flags);
    root->read_only = true;
    for (const char *at = cmdline; cmdline_next(&at, param, sizeof param);) {
        if (!strcmp(param, "ro"))
            root->read_only = true;
        else if (!strcmp(param, "rw"))
            root->read_only = false;
    }
    root->wait_forever = cmdline_has(cmdline, "rootwait");
    root->no_device = !strcmp(root->type, "virtiofs") || !strcmp(root->type, "9p");
}

/* --- block devices --- */

struct device {
    int fd;
    uint64_t size;
};

static bool read_device(void *opaque, uint64_t offset, void *buf, size_t len)
{
    const struct device *device = opaque;
    return SYS4(pread64, device->fd, buf, len, offset) == (long)len;
}

static bool open_device(const char *path, struct device *device, struct disk_source *source)
{
    device->fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (device->fd < 0)
        return false;
    long size = SYS3(lseek, device->fd, 0, 2 /* SEEK_END */);
    *source = (struct disk_source){read_device, device, size < 0 ? 0 : (uint64_t)size};
    return true;
}

/* Called for each block device's name, until it says true. */
typedef bool device_visitor(struct root *root, const char *name);

struct dirent64 {
    uint64_t inode, offset;
    uint16_t len;
    uint8_t type;
    char name[];
};

static bool each_device(struct root *root, device_visitor *visit)
{
    static char buf[8192] __attribute__((aligned(8)));
    int fd = sys_open("/sys/class/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool found = false;
    if (fd < 0)
        return false;
    for (long n; !found && (n = SYS3(getdents64, fd, buf, sizeof buf)) > 0;) {
        for (long at = 0; at < n && !found;) {
            const struct dirent64 *entry = (const void *)(buf + at);
            if (entry->name[0] != '.' && !starts_with(entry->name, "ram") &&
                !starts_with(entry->name, "loop"))
                found = visit(root, entry->name);
            at += entry->len;
        }
    }
    sys_close(fd);
    return found;
}

static bool same_text(const char *a, const char *b, bool any_case)
{
    for (;; a++, b++) {
        char x = *a, y = *b;
        if (any_case) {
            x = x >= 'A' && x <= 'Z' ? (char)(x | 0x20) : x;
            y = y >= 'A' && y <= 'Z' ? (char)(y | 0x20) : y;
        }
        if (x != y)
            return false;
        if (!x)
            return true;
    }
}

/* LABEL= or UUID= of the file system on this device? */
static bool has_fs(struct root *root, const char *name)
{
    struct device device;
    struct disk_source source;
    struct disk_fs fs;
    text_join(root->device, sizeof root->device, "/dev/", name, NULL);
    if (!open_device(root->device, &device, &source))
        return false;
    disk_read_fs(&source, 0, source.size, &fs);
    sys_close(device.fd);
    bool label = root->spec[0] == 'L';
    return fs.type && same_text(label ? fs.label : fs.uuid, root->spec + (label ? 6 : 5), !label);
}

/* PARTLABEL= or PARTUUID= of a partition of this disk? */
static bool has_part(struct root *root, const char *name)
{
    static struct disk_parts parts;
    struct device device;
    struct disk_source source;
    char number[24];
    text_join(root->device, sizeof root->device, "/sys/class/block/", name, "/partition", NULL);
    if (SYS2(access, root->device, 0) == 0)
        return false; /* itself a partition */
    text_join(root->device, sizeof root->device, "/dev/", name, NULL);
    if (!open_device(root->device, &device, &source))
        return false;
    disk_read_parts(&source, &parts);
    sys_close(device.fd);
    bool label = root->spec[4] == 'L';
    for (unsigned i = 0; i < parts.count; i++) {
        const struct disk_part *part = &parts.part[i];
        if (!same_text(label ? part->label : part->uuid, root->spec + (label ? 10 : 9), !label))
            continue;
        char last = name[strlen(name) - 1];
        text_join(root->device, sizeof root->device, "/dev/", name,
                  last >= '0' && last <= '9' ? "p" : "", text_number(number, part->number), NULL);
        return true;
    }
    return false;
}

/* MAJOR:MINOR */
static bool make_node(struct root *root)
{
    const char *text = root->spec;
    uint64_t major = text_to_number(&text);
    if (*text++ != ':')
        return false;
    uint64_t minor = text_to_number(&text);
    if (*text || major > 0xfff || minor > 0xfffff)
        return false;
    text_join(root->device, sizeof root->device, "/dev/root", NULL);
    SYS1(unlink, root->device);
    return SYS3(mknod, root->device, S_IFBLK | 0600,
                (minor & 0xff) | major << 8 | (minor & ~0xffull) << 12) == 0;
}

static bool device_opens(const char *path)
{
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        sys_close(fd);
    return fd >= 0;
}

static bool find_device(struct root *root)
{
    const char *spec = root->spec;
    if (starts_with(spec, "LABEL=") || starts_with(spec, "UUID="))
        return each_device(root, has_fs);
    if (starts_with(spec, "PARTLABEL=") || starts_with(spec, "PARTUUID="))
        return each_device(root, has_part);
    if (spec[0] >= '0' && spec[0] <= '9')
        return make_node(root) && device_opens(root->device);
    text_join(root->device, sizeof root->device, starts_with(spec, "/dev/") ? "" : "/dev/", spec,
              NULL);
    return device_opens(root->device);
}

/* --- words for whoever reads the console --- */

static char seen[256];

static bool note_device(struct root *root, const char *name)
{
    (void)root;
    size_t used = strlen(seen);
    text_join(seen + used, sizeof seen - used, used ? " " : "", name, NULL);
    return false;
}

static void wait_for_device(struct root *root)
{
    if (!root->spec[0])
        give_up("no root disk: name one with root= in -append", NULL);
    if (root->no_device) {
        text_join(root->device, sizeof root->device, root->spec, NULL);
        return;
    }
    for (unsigned ms = 0; !find_device(root); ms += STEP_MS) {
        if (ms >= WAIT_MS && !root->wait_forever) {
            each_device(root, note_device);
            give_up("there is no root disk '", root->spec, "' (there is: ",
                    seen[0] ? seen : "no disk at all", "): look at root= and -disk", NULL);
        }
        sleep_ms(STEP_MS);
    }
}

/* --- mounting --- */

static int mount_as(struct root *root, const char *type)
{
    unsigned long flags = root->read_only ? MS_RDONLY : 0;
    int rc = sys_mount(root->device, NEW_ROOT, type, flags, root->flags);
    if ((rc == -EACCES || rc == -EROFS) && !flags)
        rc = sys_mount(root->device, NEW_ROOT, type, MS_RDONLY, root->flags);
    return rc;
}

/* One of a list with commas, or of /proc/filesystems with its lines. */
static int mount_any(struct root *root, const char *types, char separator)
{
    int first = -ENODEV;
    while (*types) {
        char type[64];
        size_t n = 0;
        while (types[n] && types[n] != separator)
            n++;
        size_t len = n < sizeof type - 1 ? n : sizeof type - 1;
        memcpy(type, types, len);
        type[len] = '\0';
        types += n + (types[n] != '\0');
        const char *name = type[0] == '\t' ? type + 1 : type;
        if (!*name || starts_with(name, "nodev"))
            continue;
        int rc = mount_as(root, name);
        if (!rc)
            return 0;
        if (first == -ENODEV || first == -EINVAL)
            first = rc;
    }
    return first;
}

static void probe_type(struct root *root)
{
    struct device device;
    struct disk_source source;
    struct disk_fs fs;
    if (root->type[0] || root->no_device || !open_device(root->device, &device, &source))
        return;
    disk_read_fs(&source, 0, source.size, &fs);
    sys_close(device.fd);
    if (fs.type && fs.mountable)
        text_join(root->type, sizeof root->type, fs.type, NULL);
    else if (fs.type)
        give_up(root->device, " holds ", fs.type, ", not a file system: that needs an initrd of "
                "its own (-initrd FILE)", NULL);
}

static void mount_root(struct root *root)
{
    static char all[4096];
    char why[32];
    int rc;
    probe_type(root);
    if (root->type[0]) {
        rc = mount_any(root, root->type, ',');
    } else {
        read_file("/proc/filesystems", all, sizeof all);
        rc = mount_any(root, all, '\n');
    }
    if (rc)
        give_up("cannot mount ", root->device, " (", root->type[0] ? root->type : "unknown type",
                ") as root: ", text_errno(why, -rc),
                ": look at root=, rootfstype= and rootflags=", NULL);
}

/* --- the step over --- */

static void move_mount(const char *from)
{
    char to[32];
    text_join(to, sizeof to, NEW_ROOT, from, NULL);
    if (sys_mount(from, to, NULL, MS_MOVE, NULL) < 0)
        SYS2(umount2, from, 2 /* MNT_DETACH */);
}

static void switch_root(void)
{
    move_mount("/dev");
    move_mount("/proc");
    move_mount("/sys");
    SYS1(rmdir, "/minivmm");
    SYS1(chdir, NEW_ROOT);
    int rc = sys_mount(".", "/", NULL, MS_MOVE, NULL);
    if (rc == 0)
        rc = (int)SYS1(chroot, ".");
    if (rc < 0)
        give_up("cannot move to the root disk", NULL);
    SYS1(chdir, "/");
}

static int become(const char *path, char **argv, char **envp)
{
    char *old = argv[0];
    argv[0] = (char *)(uintptr_t)path;
    int rc = (int)SYS3(execve, path, argv, envp);
    argv[0] = old;
    return rc;
}

void run_root(char **argv, char **envp)
{
    static const char *const usual[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};
    static struct root root;
    static char init[256];
    char why[32];
    parse(&root);
    wait_for_device(&root);
    sys_mkdir(NEW_ROOT, 0755);
    mount_root(&root);
    bool named = cmdline_get(cmdline, "init", init, sizeof init);
    switch_root();
    if (named) {
        int rc = become(init, argv, envp);
        give_up("cannot run init=", init, " on ", root.device, ": ", text_errno(why, -rc), NULL);
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        int rc = become(usual[i], argv, envp);
        if (rc != -ENOENT)
            say("cannot run ", usual[i], " on ", root.device, ": ", text_errno(why, -rc), NULL);
    }
    give_up("no init on ", root.device, " (", root.type,
            "): looked for /sbin/init, /etc/init, /bin/init and /bin/sh; is it the root?", NULL);
}
