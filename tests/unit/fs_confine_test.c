// SPDX-License-Identifier: MIT
//
// What the guest must not be able to do through a shared directory: leave it, write to a read-only
// one, use up the host's descriptors, confuse the server. And what must work all the same when
// descriptors are few, names long, and the host moves things about.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "devices/fs/server.h"
#include "tests/lib/fuse_chaos.h"
#include "tests/lib/fuse_rig.h"
#include "tests/lib/random.h"
#include "tests/lib/suite.h"
#include "util.h"

#define ROOT FUSE_ROOT_ID

static struct fuse_rig rig;

static void setup(void)
{
    fuse_rig_init(&rig, (struct fs_config){.owner = FS_OWNER_KEEP});
    host_put(&rig, "outside/secret", "secret");
}

static void teardown(void)
{
    fuse_rig_fini(&rig);
}

/* Every operation that takes a name, with this one. */
static void try_name(const char *name, int want)
{
    uint64_t fh;
    struct fuse_mknod_in mk = {.mode = S_IFREG | 0644};
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, name, NULL), want);
    ck_assert_int_eq(fuse_mkdir(&rig, ROOT, name, 0755), want);
    ck_assert_int_eq(fuse_call(&rig, FUSE_MKNOD, ROOT, &mk, sizeof mk, name, NULL), want);
    ck_assert_int_eq(fuse_create(&rig, ROOT, name, O_RDWR, 0644, NULL, &fh), want);
    ck_assert_int_eq(fuse_symlink(&rig, ROOT, name, "x"), want);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, name), want);
    ck_assert_int_eq(fuse_call(&rig, FUSE_RMDIR, ROOT, NULL, 0, name, NULL), want);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, name, ROOT, "x", 0), want);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "file", ROOT, name, 0), want);
    ck_assert_int_eq(fuse_link(&rig, fuse_node(&rig, "file"), ROOT, name), want);
}

START_TEST(fs_names_that_are_not_one_component_are_refused)
{
    static const char *const bad[] = {"", ".", "..", "/", "a/b", "../outside", "/etc", "a/"};
    char long_name[300];
    host_put(&rig, "share/file", "");
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        try_name(bad[i], -EINVAL);
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = '\0';
    try_name(long_name, -ENAMETOOLONG);
    ck_assert(host_has(&rig, "share/file"));
    ck_assert(!host_has(&rig, "outside/file"));
}
END_TEST

START_TEST(fs_names_without_an_end_are_refused)
{
    uint8_t bytes[sizeof(struct fuse_in_header) + 3];
    struct fuse_in_header h = {.len = sizeof bytes, .opcode = FUSE_LOOKUP, .nodeid = ROOT};
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + sizeof h, "abc", 3);
    ck_assert_int_eq(fuse_raw(&rig, bytes, sizeof bytes, 4096), -EINVAL);
}
END_TEST

START_TEST(fs_symlinks_lead_nowhere_on_the_host)
{
    uint64_t fh;
    ck_assert_int_eq(symlink("../outside", host_path(&rig, "share/up")), 0);
    ck_assert_int_eq(symlink("/", host_path(&rig, "share/root")), 0);
    uint64_t up = fuse_node(&rig, "up"), root = fuse_node(&rig, "root");
    ck_assert_uint_ne(up, 0);
    ck_assert_int_eq(fuse_lookup(&rig, up, "secret", NULL), -ENOTDIR);
    ck_assert_int_eq(fuse_lookup(&rig, root, "etc", NULL), -ENOTDIR);
    ck_assert_int_eq(fuse_mkdir(&rig, up, "made", 0755), -ENOTDIR);
    ck_assert_int_eq(fuse_create(&rig, up, "made", O_RDWR, 0644, NULL, &fh), -ENOTDIR);
    ck_assert_int_eq(fuse_unlink(&rig, up, "secret"), -ENOTDIR);
    ck_assert_int_eq(fuse_opendir(&rig, up, &fh), -ENOTDIR);
    ck_assert_int_eq(fuse_open(&rig, up, O_RDONLY, &fh), -ELOOP);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "up", O_RDWR, 0644, NULL, &fh), -ELOOP);
    ck_assert(!host_has(&rig, "outside/made"));
}
END_TEST

START_TEST(fs_directory_swapped_for_a_symlink_is_stale)
{
    uint64_t fh;
    mkdir(host_path(&rig, "share/d"), 0755);
    host_put(&rig, "share/d/secret", "mine");
    uint64_t d = fuse_node(&rig, "d"), f = fuse_node(&rig, "d/secret");
    while (inodes_shrink(rig.fs))
        ;
    ck_assert_int_eq(rename(host_path(&rig, "share/d"), host_path(&rig, "share/was")), 0);
    ck_assert_int_eq(symlink("../outside", host_path(&rig, "share/d")), 0);
    ck_assert_int_eq(fuse_lookup(&rig, d, "secret", NULL), -ESTALE);
    ck_assert_int_eq(fuse_open(&rig, f, O_RDONLY, &fh), -ESTALE);
    ck_assert_int_eq(fuse_getattr(&rig, f, NULL), -ESTALE);
    ck_assert_int_eq(fuse_mkdir(&rig, d, "made", 0755), -ESTALE);
    ck_assert(!host_has(&rig, "outside/made"));
    /* What was open stays what it was. */
    ck_assert_uint_eq(fuse_node(&rig, "was/secret"), f);
    ck_assert_int_eq(fuse_open(&rig, f, O_RDONLY, &fh), 0);
}
END_TEST

/* Makes one system call fail as on a kernel that does not have it. */
static int forbid(long number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = ARRAY_LEN(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static void expect_refused(int error)
{
    struct err err = {{0}};
    struct fs_config cfg = {.path = rig.share};
    if (forbid(SYS_openat2, error))
        return; /* no filters here */
    ck_assert_ptr_null(fs_open(&cfg, &err));
    ck_assert_ptr_nonnull(strstr(err.msg, "cannot be confined"));
    ck_assert_ptr_nonnull(strstr(err.msg, "openat2"));
}

START_TEST(fs_host_without_openat2_is_refused)
{
    expect_refused(ENOSYS);
}
END_TEST

START_TEST(fs_host_that_forbids_openat2_is_refused)
{
    expect_refused(EPERM);
}
END_TEST

static atomic_bool stop_swapping;

static void *swapper(void *arg)
{
    char d[200], was[200], link[200];
    (void)arg;
    snprintf(d, sizeof d, "%s/d", rig.share);
    snprintf(was, sizeof was, "%s/was", rig.share);
    snprintf(link, sizeof link, "%s/link", rig.share);
    (void)!symlink("../outside", link);
    while (!atomic_load(&stop_swapping)) {
        rename(d, was);
        rename(link, d);
        rename(d, link);
        rename(was, d);
    }
    return NULL;
}

START_TEST(fs_rename_races_with_the_host_never_lead_out)
{
    pthread_t thread;
    mkdir(host_path(&rig, "share/d"), 0755);
    host_put(&rig, "share/d/secret", "inside");
    uint64_t d = fuse_node(&rig, "d"), f = fuse_node(&rig, "d/secret"), fh;
    ck_assert_int_eq(pthread_create(&thread, NULL, swapper, NULL), 0);
    unsigned served = 0;
    for (unsigned i = 0; i < 6000; i++) {
        uint64_t node = i % 3 ? d : fuse_node(&rig, "d");
        struct fuse_entry_out e;
        inodes_shrink(rig.fs);
        if (node && !fuse_lookup(&rig, node, "secret", &e)) {
            if (!fuse_open(&rig, e.nodeid, O_RDWR, &fh)) {
                ck_assert_int_eq((int)fuse_read(&rig, e.nodeid, fh, 0, 100), 6);
                ck_assert_int_eq(memcmp(rig.out, "inside", 6), 0);
                fuse_release(&rig, fh);
                served++;
            }
            fuse_forget(&rig, e.nodeid, 1);
        }
        if (!fuse_open(&rig, f, O_RDONLY, &fh))
            fuse_release(&rig, fh);
        if (node && !fuse_create(&rig, node, "made", O_RDWR, 0644, NULL, &fh))
            fuse_release(&rig, fh);
        if (node)
            fuse_unlink(&rig, node, "made");
        if (node)
            fuse_mkdir(&rig, node, "madedir", 0755);
    }
    atomic_store(&stop_swapping, true);
    pthread_join(thread, NULL);
    ck_assert_uint_gt(served, 0);
    ck_assert(!host_has(&rig, "outside/made"));
    ck_assert(!host_has(&rig, "outside/madedir"));
    ck_assert_str_eq(host_get(&rig, "outside/secret"), "secret");
}
END_TEST

START_TEST(fs_device_nodes_are_shown_and_not_opened)
{
    uint64_t fh;
    if (mknod(host_path(&rig, "share/null"), S_IFCHR | 0666, makedev(1, 3)))
        return; /* only root can make one */
    struct fuse_entry_out e;
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "null", &e), 0);
    ck_assert_uint_eq(e.attr.mode & S_IFMT, S_IFCHR);
    ck_assert_uint_eq(e.attr.rdev, 1 << 8 | 3);
    ck_assert_int_eq(fuse_open(&rig, e.nodeid, O_RDWR, &fh), -EACCES);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "null", O_RDWR, 0644, NULL, &fh), -EACCES);
}
END_TEST

START_TEST(fs_kernels_own_file_systems_are_empty_directories)
{
    struct fuse_entry_out e;
    uint64_t fh;
    mkdir(host_path(&rig, "share/proc"), 0755);
    mkdir(host_path(&rig, "share/tmp"), 0755);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("proc", host_path(&rig, "share/proc"), "proc", 0, NULL) ||
        mount("tmpfs", host_path(&rig, "share/tmp"), "tmpfs", 0, NULL))
        return; /* only root can mount */
    host_put(&rig, "share/tmp/f", "f");
    fuse_rig_reopen(&rig, (struct fs_config){.owner = FS_OWNER_KEEP}); /* in the new namespace */
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "proc", &e), 0);
    ck_assert_uint_eq(e.attr.mode & S_IFMT, S_IFDIR);
    ck_assert_int_eq(fuse_lookup(&rig, e.nodeid, "self", NULL), -ENOENT);
    ck_assert_int_eq(fuse_lookup(&rig, e.nodeid, "kmsg", NULL), -ENOENT);
    ck_assert_int_eq(fuse_mkdir(&rig, e.nodeid, "x", 0755), -EACCES);
    ck_assert_int_eq(fuse_opendir(&rig, e.nodeid, &fh), 0);
    struct fuse_read_in in = {.fh = fh, .size = 4096};
    ck_assert_int_eq(fuse_call(&rig, FUSE_READDIR, e.nodeid, &in, sizeof in, NULL, NULL), 0);
    ck_assert_uint_eq(rig.len, 0);
    /* File systems that hold files are crossed into, and their numbers do not collide. */
    struct stat st;
    ck_assert_int_eq(fuse_lookup(&rig, fuse_node(&rig, "tmp"), "f", &e), 0);
    ck_assert_int_eq(stat(host_path(&rig, "share/tmp/f"), &st), 0);
    ck_assert_uint_ne(e.attr.ino, st.st_ino);
    ck_assert_int_eq(fuse_open(&rig, e.nodeid, O_RDONLY, &fh), 0);
    fuse_call(&rig, FUSE_DESTROY, 0, NULL, 0, NULL, NULL);
    umount2(host_path(&rig, "share/proc"), MNT_DETACH);
    umount2(host_path(&rig, "share/tmp"), MNT_DETACH);
}
END_TEST

/* --- read-only --- */

START_TEST(fs_read_only_refuses_every_change)
{
    uint64_t fh, any = 0;
    uint32_t xattr[2] = {1, 0};
    host_put(&rig, "share/f", "text");
    mkdir(host_path(&rig, "share/d"), 0755);
    fuse_rig_reopen(&rig, (struct fs_config){.read_only = true, .owner = FS_OWNER_KEEP});
    struct stat before, after;
    ck_assert_int_eq(stat(host_path(&rig, "share/f"), &before), 0);
    uint64_t f = fuse_node(&rig, "f");
    struct fuse_mknod_in mk = {.mode = S_IFREG | 0644};
    ck_assert_int_eq(fuse_mkdir(&rig, ROOT, "x", 0755), -EROFS);
    ck_assert_int_eq(fuse_call(&rig, FUSE_MKNOD, ROOT, &mk, sizeof mk, "x", NULL), -EROFS);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "x", O_RDWR, 0644, NULL, &fh), -EROFS);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDONLY, 0644, NULL, &fh), -EROFS);
    struct fuse_create_in tmp = {.flags = O_RDWR, .mode = 0600};
    ck_assert_int_eq(fuse_call(&rig, FUSE_TMPFILE, ROOT, &tmp, sizeof tmp, NULL, NULL), -EROFS);
    ck_assert_int_eq(fuse_symlink(&rig, ROOT, "x", "y"), -EROFS);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, "f"), -EROFS);
    ck_assert_int_eq(fuse_call(&rig, FUSE_RMDIR, ROOT, NULL, 0, "d", NULL), -EROFS);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "f", ROOT, "g", 0), -EROFS);
    ck_assert_int_eq(fuse_call(&rig, FUSE_RENAME, ROOT, &any, 8, "f", "g"), -EROFS);
    ck_assert_int_eq(fuse_link(&rig, f, ROOT, "g"), -EROFS);
    for (unsigned bit = 0; bit < 12; bit++) {
        struct fuse_setattr_in in = {.valid = 1u << bit};
        ck_assert_int_eq(fuse_setattr(&rig, f, in), -EROFS);
    }
    ck_assert_int_eq(fuse_open(&rig, f, O_WRONLY, &fh), -EROFS);
    ck_assert_int_eq(fuse_open(&rig, f, O_RDWR, &fh), -EROFS);
    ck_assert_int_eq(fuse_open(&rig, f, O_RDONLY | O_TRUNC, &fh), -EROFS);
    ck_assert_int_eq(fuse_call(&rig, FUSE_SETXATTR, f, xattr, 8, "user.x", "v"), -EROFS);
    ck_assert_int_eq(fuse_call(&rig, FUSE_REMOVEXATTR, f, NULL, 0, "user.x", NULL), -EROFS);
    struct fuse_access_in ac = {.mask = W_OK};
    ck_assert_int_eq(fuse_call(&rig, FUSE_ACCESS, f, &ac, sizeof ac, NULL, NULL), -EROFS);

    ck_assert_int_eq(fuse_open(&rig, f, O_RDONLY, &fh), 0);
    ck_assert_int_eq((int)fuse_write(&rig, f, fh, 0, "x", 1, 0), -EROFS);
    struct fuse_fallocate_in fa = {.fh = fh, .length = 10};
    ck_assert_int_eq(fuse_call(&rig, FUSE_FALLOCATE, f, &fa, sizeof fa, NULL, NULL), -EROFS);
    struct fuse_copy_file_range_in cp = {.fh_in = fh, .fh_out = fh, .len = 1};
    ck_assert_int_eq(fuse_call(&rig, FUSE_COPY_FILE_RANGE, f, &cp, sizeof cp, NULL, NULL), -EROFS);
    ck_assert_int_eq((int)fuse_read(&rig, f, fh, 0, 10), 4);
    ck_assert_int_eq(stat(host_path(&rig, "share/f"), &after), 0);
    ck_assert_int_eq(memcmp(&before.st_ctim, &after.st_ctim, sizeof after.st_ctim), 0);
}
END_TEST

/* --- owners --- */

static struct fuse_setattr_in owner(uint32_t uid, uint32_t gid)
{
    return (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID, .uid = uid, .gid = gid};
}

START_TEST(fs_mapped_owner_is_root_in_the_guest_and_cannot_give_away)
{
    struct fuse_attr a;
    if (!geteuid()) { /* be an ordinary user, in a directory of their own */
        ck_assert_int_eq(chown(rig.share, 4321, 4321), 0);
        ck_assert_int_eq(chmod(rig.top, 0777), 0);
        host_put(&rig, "share/roots", "");
        ck_assert_int_eq(setresgid(4321, 4321, 4321), 0);
        ck_assert_int_eq(setresuid(4321, 4321, 4321), 0);
    }
    fuse_rig_reopen(&rig, (struct fs_config){.owner = FS_OWNER_AUTO});
    rig.uid = rig.gid = 1000; /* whoever it is in the guest */
    uint64_t node, fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq(fuse_getattr(&rig, node, &a), 0);
    ck_assert_uint_eq(a.uid, 0);
    ck_assert_uint_eq(a.gid, 0);
    struct stat st;
    ck_assert_int_eq(stat(host_path(&rig, "share/f"), &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
    ck_assert_int_eq(fuse_setattr(&rig, node, owner(0, 0)), 0);
    ck_assert_int_eq(fuse_setattr(&rig, node, owner(1000, 0)), -EPERM);
    ck_assert_int_eq(fuse_setattr(&rig, node, owner(0, 1000)), -EPERM);
    struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 04755};
    ck_assert_int_eq(fuse_setattr(&rig, node, mode), -EPERM);
    mode.mode = 0755;
    ck_assert_int_eq(fuse_setattr(&rig, node, mode), 0);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "s", O_RDWR, 02755, NULL, &fh), -EPERM);
}
END_TEST

START_TEST(fs_kept_owner_creates_as_the_guests_caller)
{
    uint64_t fh;
    struct stat st;
    if (geteuid())
        return; /* only root can */
    ck_assert_int_eq(chmod(rig.share, 0777), 0);
    rig.uid = 1234;
    rig.gid = 2345;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0640, NULL, &fh), 0);
    ck_assert_int_eq(fuse_mkdir(&rig, ROOT, "d", 0750), 0);
    ck_assert_int_eq(stat(host_path(&rig, "share/f"), &st), 0);
    ck_assert_uint_eq(st.st_uid, 1234);
    ck_assert_uint_eq(st.st_gid, 2345);
    ck_assert_int_eq(stat(host_path(&rig, "share/d"), &st), 0);
    ck_assert_uint_eq(st.st_uid, 1234);
    ck_assert_int_eq(chmod(rig.share, 0755), 0);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "g", O_RDWR, 0640, NULL, &fh), -EACCES);
    rig.uid = 0;
    uint64_t f = fuse_node(&rig, "f");
    ck_assert_int_eq(fuse_setattr(&rig, f, owner(77, 88)), 0);
    ck_assert_int_eq(stat(host_path(&rig, "share/f"), &st), 0);
    ck_assert_uint_eq(st.st_uid, 77);
}
END_TEST

START_TEST(fs_write_without_rights_takes_set_user_id_away)
{
    uint64_t node, fh;
    struct stat st;
    if (geteuid())
        return;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0777, &node, &fh), 0);
    ck_assert_int_eq(chmod(host_path(&rig, "share/f"), 06777), 0);
    struct {
        struct fuse_in_header h;
        struct fuse_write_in in;
        char byte;
    } w = {.h = {.len = sizeof w, .opcode = FUSE_WRITE, .nodeid = node},
           .in = {.fh = fh, .size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID}};
    ck_assert_int_eq(fuse_raw(&rig, &w, sizeof w, 64), 0);
    ck_assert_int_eq(stat(host_path(&rig, "share/f"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0777);
}
END_TEST

/* --- few descriptors, long names --- */

static void few_descriptors(void)
{
    struct rlimit limit = {200, 200};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fuse_rig_reopen(&rig, (struct fs_config){.owner = FS_OWNER_KEEP});
}

START_TEST(fs_thousand_directories_do_with_few_descriptors)
{
    static uint64_t node[1000];
    uint64_t fh;
    few_descriptors();
    unsigned before = host_fds_open();
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%u", i);
        ck_assert_int_eq(fuse_mkdir(&rig, ROOT, name, 0755), 0);
        node[i] = load_le64(rig.out);
        ck_assert_int_eq(fuse_create(&rig, node[i], "f", O_RDWR, 0644, NULL, &fh), 0);
        ck_assert_int_eq(fuse_release(&rig, fh), 0);
    }
    for (unsigned i = 0; i < 1000; i += 7)
        ck_assert_int_eq(fuse_lookup(&rig, node[i], "f", NULL), 0);
    ck_assert_uint_lt(host_fds_open(), before + 60);
    ck_assert_uint_gt(fs_count(rig.fs).nodes, 2000);
}
END_TEST

START_TEST(fs_open_files_beyond_the_budget_are_enfile)
{
    static uint64_t fh[300];
    unsigned n = 0;
    few_descriptors();
    int rc = 0;
    host_put(&rig, "share/f", "");
    uint64_t node = fuse_node(&rig, "f");
    while (n < 300 && !(rc = fuse_open(&rig, node, O_RDONLY, &fh[n])))
        n++;
    ck_assert_int_eq(rc, -ENFILE);
    ck_assert_uint_gt(n, 20);
    ck_assert_int_eq(fuse_release(&rig, fh[0]), 0);
    ck_assert_int_eq(fuse_open(&rig, node, O_RDONLY, &fh[0]), 0);
}
END_TEST

START_TEST(fs_deleted_open_files_keep_their_descriptors)
{
    uint64_t node[20], fh[20];
    few_descriptors();
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node[i], &fh[i]), 0);
        ck_assert_int_eq(fuse_unlink(&rig, ROOT, "f"), 0);
    }
    for (unsigned i = 0; i < 200; i++) { /* others come and go */
        char name[16];
        snprintf(name, sizeof name, "d%u", i);
        ck_assert_int_eq(fuse_mkdir(&rig, ROOT, name, 0755), 0);
        ck_assert_int_eq(fuse_lookup(&rig, load_le64(rig.out), "x", NULL), -ENOENT);
    }
    while (inodes_shrink(rig.fs))
        ;
    for (unsigned i = 0; i < 20; i++)
        ck_assert_int_eq(fuse_getattr(&rig, node[i], NULL), 0);
}
END_TEST

START_TEST(fs_open_file_survives_the_hosts_removing_it)
{
    uint64_t node, fh, again;
    struct fuse_attr at;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq(unlink(host_path(&rig, "share/f")), 0);
    while (inodes_shrink(rig.fs))
        ;
    ck_assert_int_eq(fuse_getattr(&rig, node, &at), 0);
    ck_assert_uint_eq(at.nlink, 0);
    ck_assert_int_eq(fuse_open(&rig, node, O_RDONLY, &again), 0);
    fuse_release(&rig, fh);
    fuse_release(&rig, again);
    while (inodes_shrink(rig.fs))
        ;
    ck_assert_int_eq(fuse_getattr(&rig, node, &at), -ESTALE);
}
END_TEST

START_TEST(fs_paths_longer_than_one_call_takes_are_found_again)
{
    char name[201];
    uint64_t at = ROOT, fh;
    memset(name, 'p', 200);
    name[200] = '\0';
    for (unsigned i = 0; i < 60; i++) { /* 12 KB */
        ck_assert_int_eq(fuse_mkdir(&rig, at, name, 0755), 0);
        at = load_le64(rig.out);
    }
    while (inodes_shrink(rig.fs))
        ;
    ck_assert_int_eq(fuse_create(&rig, at, "f", O_RDWR, 0644, NULL, &fh), 0);
    ck_assert_int_eq(fuse_getattr(&rig, at, NULL), 0);
}
END_TEST

START_TEST(fs_names_follow_the_guests_renames_without_descriptors)
{
    mkdir(host_path(&rig, "share/a"), 0755);
    mkdir(host_path(&rig, "share/a/b"), 0755);
    host_put(&rig, "share/a/b/f", "f");
    uint64_t f = fuse_node(&rig, "a/b/f"), b = fuse_node(&rig, "a/b");
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "a", ROOT, "z", 0), 0);
    ck_assert_int_eq(fuse_rename(&rig, b, "f", ROOT, "g", 0), 0);
    while (inodes_shrink(rig.fs))
        ;
    ck_assert_int_eq(fuse_getattr(&rig, f, NULL), 0);
    ck_assert_int_eq(fuse_getattr(&rig, b, NULL), 0);
}
END_TEST

START_TEST(fs_names_in_a_circle_are_given_up)
{
    /* The host takes b out of a; the guest, who has not seen it, moves a into b. */
    mkdir(host_path(&rig, "share/a"), 0755);
    mkdir(host_path(&rig, "share/a/b"), 0755);
    uint64_t b = fuse_node(&rig, "a/b"), a = fuse_node(&rig, "a"), fh;
    ck_assert_int_eq(fuse_opendir(&rig, b, &fh), 0); /* b has a descriptor */
    ck_assert_int_eq(rename(host_path(&rig, "share/a/b"), host_path(&rig, "share/b")), 0);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "a", b, "a", 0), 0);
    ck_assert_int_eq(fuse_getattr(&rig, a, NULL), 0);
    while (inodes_shrink(rig.fs))
        ;
    fuse_getattr(&rig, b, NULL);
    ck_assert_uint_eq(fuse_node(&rig, "b/a"), a);
    fuse_release(&rig, fh);
    fuse_forget(&rig, a, 100);
    fuse_forget(&rig, b, 100);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

/* --- listing --- */

struct nodes {
    char path[16][64];
    unsigned n, nameless;
};

static void note(void *opaque, const struct fs_node_info *info)
{
    struct nodes *nodes = opaque;
    nodes->nameless += !info->path;
    if (info->path)
        snprintf(nodes->path[nodes->n++ % 16], 64, "%llu %s", (unsigned long long)info->lookups,
                 info->path);
}

static void note_handle(void *opaque, const struct fs_handle_info *info)
{
    struct fs_handle_info *to = opaque;
    to[info->directory] = *info;
}

static bool listed(const struct nodes *nodes, const char *want)
{
    for (unsigned i = 0; i < nodes->n; i++) {
        if (!strcmp(nodes->path[i], want))
            return true;
    }
    return false;
}

START_TEST(fs_all_that_the_guest_holds_can_be_told_by_path)
{
    struct nodes nodes = {.n = 0};
    struct fs_handle_info handles[2] = {{0}};
    uint64_t node, fh, dir;
    mkdir(host_path(&rig, "share/d"), 0755);
    mkdir(host_path(&rig, "share/d/e"), 0755);
    host_put(&rig, "share/d/e/f", "");
    ck_assert_uint_ne(fuse_node(&rig, "d/e/f"), 0);
    ck_assert_uint_ne(fuse_node(&rig, "d"), 0);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "gone", O_RDWR | O_APPEND, 0644, &node, &fh), 0);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, "gone"), 0);
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &dir), 0);
    struct fuse_read_in in = {.fh = dir, .size = 80};
    ck_assert_int_eq(fuse_call(&rig, FUSE_READDIR, ROOT, &in, sizeof in, NULL, NULL), 0);
    ck_assert_int_eq(fs_each_node(rig.fs, note, &nodes), 0);
    ck_assert_uint_eq(nodes.n, 4);
    ck_assert_uint_eq(nodes.nameless, 1);
    ck_assert(listed(&nodes, "1 "));
    ck_assert(listed(&nodes, "2 d"));
    ck_assert(listed(&nodes, "1 d/e"));
    ck_assert(listed(&nodes, "1 d/e/f"));
    ck_assert_int_eq(fs_each_handle(rig.fs, note_handle, handles), 0);
    ck_assert_uint_eq(handles[0].fh, fh);
    ck_assert_uint_eq(handles[0].nodeid, node);
    ck_assert(handles[0].flags & O_APPEND);
    ck_assert_uint_eq(handles[1].fh, dir);
    ck_assert_uint_ne(handles[1].position, 0);
}
END_TEST

/* --- malformed and malicious --- */

START_TEST(fs_requests_cut_short_anywhere_are_refused)
{
    uint8_t bytes[200] = {0};
    uint64_t before = fs_count(rig.fs).refused;
    unsigned n = 0;
    for (uint32_t op = 1; op < 60; op++) {
        if (op == FUSE_DESTROY || op == FUSE_IOCTL)
            continue;
        for (size_t len = 0; len < sizeof(struct fuse_in_header); len++, n++) {
            store_le32(bytes + 4, op);
            ck_assert_int_eq(fuse_raw(&rig, bytes, len, 4096), -EINVAL);
        }
    }
    ck_assert_uint_eq(fs_count(rig.fs).refused, before + n);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

START_TEST(fs_replies_without_room_are_refused_before_anything_happens)
{
    struct {
        struct fuse_in_header h;
        struct fuse_mkdir_in in;
        char name[4];
    } m = {.h = {.len = sizeof m, .opcode = FUSE_MKDIR, .nodeid = ROOT}, .in.mode = 0755,
           .name = "new"};
    ck_assert_int_eq(fuse_raw(&rig, &m, sizeof m, -1), -EINVAL);
    ck_assert_int_eq(fuse_raw(&rig, &m, sizeof m, 0), -EINVAL);
    ck_assert_int_eq(fuse_raw(&rig, &m, sizeof m, sizeof(struct fuse_entry_out) - 1), -EINVAL);
    ck_assert(!host_has(&rig, "share/new"));
    ck_assert_int_eq(fuse_raw(&rig, &m, sizeof m, sizeof(struct fuse_entry_out)), 0);
    ck_assert(host_has(&rig, "share/new"));
}
END_TEST

START_TEST(fs_unknown_nodes_and_handles_are_refused)
{
    static const uint64_t nodes[] = {0, 2, 1000000, UINT32_MAX, UINT64_MAX, 1ull << 32 | 1};
    for (unsigned i = 0; i < ARRAY_LEN(nodes); i++) {
        uint64_t fh;
        ck_assert_int_eq(fuse_getattr(&rig, nodes[i], NULL), -ESTALE);
        ck_assert_int_eq(fuse_lookup(&rig, nodes[i], "x", NULL), -ESTALE);
        ck_assert_int_eq(fuse_open(&rig, nodes[i], O_RDONLY, &fh), -ESTALE);
        ck_assert_int_eq((int)fuse_read(&rig, ROOT, nodes[i], 0, 10), -EBADF);
        ck_assert_int_eq((int)fuse_write(&rig, ROOT, nodes[i], 0, "x", 1, 0), -EBADF);
        fuse_release(&rig, nodes[i]);
        fuse_forget(&rig, nodes[i], UINT64_MAX);
    }
    fuse_forget(&rig, ROOT, UINT64_MAX);
    ck_assert_int_eq(fuse_getattr(&rig, ROOT, NULL), 0);
}
END_TEST

START_TEST(fs_handles_of_files_and_directories_are_not_confused)
{
    uint64_t node, file, dir;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &file), 0);
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &dir), 0);
    struct fuse_read_in in = {.fh = file, .size = 4096};
    ck_assert_int_eq(fuse_call(&rig, FUSE_READDIR, ROOT, &in, sizeof in, NULL, NULL), -EBADF);
    ck_assert_int_eq((int)fuse_read(&rig, node, dir, 0, 10), -EBADF);
    in.fh = dir;
    ck_assert_int_eq(fuse_call(&rig, FUSE_READDIR, node, &in, sizeof in, NULL, NULL), -EBADF);
}
END_TEST

START_TEST(fs_forgetting_too_much_forgets_once)
{
    host_put(&rig, "share/f", "");
    uint64_t f = fuse_node(&rig, "f");
    fuse_forget(&rig, f, UINT64_MAX);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
    ck_assert_uint_eq(fuse_node(&rig, "f"), f);
    struct {
        struct fuse_batch_forget_in in;
        struct fuse_forget_one one;
    } batch = {.in.count = UINT32_MAX, .one = {f, 1}};
    fuse_call(&rig, FUSE_BATCH_FORGET, 0, &batch, sizeof batch, NULL, NULL);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

START_TEST(fs_forgotten_open_file_stays_until_released)
{
    uint64_t node, fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    fuse_forget(&rig, node, 1);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "x", 1, 0), 1);
    ck_assert_int_eq(fuse_release(&rig, fh), 0);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

START_TEST(fs_hostile_conversations_leave_nothing_behind)
{
    static struct fuse_chaos chaos;
    uint64_t x = 88172645463325252ull;
    if (!access("/dev/shm", W_OK))
        setenv("TMPDIR", "/dev/shm", 1); /* thousands of short-lived directories, and no disk */
    fuse_chaos_init(&chaos);
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t data[400];
        random_bytes(&x, data, sizeof data);
        const char *wrong = fuse_chaos_run(&chaos, data, sizeof data);
        ck_assert_msg(!wrong, "conversation %u: %s", i, wrong);
    }
    fuse_chaos_fini(&chaos);
}
END_TEST

/* --- several at once --- */

#define THREADS 4

static atomic_uint failures;

/* A rig of its own over the same server. */
static void *worker(void *arg)
{
    struct fuse_rig r = rig;
    unsigned id = (unsigned)(uintptr_t)arg;
    r.out = malloc(FUSE_RIG_ROOM);
    for (unsigned i = 0; r.out && i < 400; i++) {
        char name[32], other[32];
        uint64_t node, fh;
        snprintf(name, sizeof name, "t%u-%u", id, i % 5);
        snprintf(other, sizeof other, "shared%u", i % 3);
        int rc = fuse_create(&r, ROOT, name, O_RDWR, 0644, &node, &fh);
        if (!rc && (fuse_write(&r, node, fh, 0, name, 8, 0) != 8 ||
                    fuse_read(&r, node, fh, 0, 8) != 8 || memcmp(r.out, name, strlen(name))))
            rc = 1;
        fuse_rename(&r, ROOT, name, ROOT, other, 0); /* over what another thread has just put there */
        if (!rc)
            rc = fuse_getattr(&r, node, NULL);
        if (!rc)
            rc = fuse_release(&r, fh);
        atomic_fetch_add(&failures, rc != 0);
        fuse_lookup(&r, ROOT, other, NULL);
        if (r.error == 0 && r.len)
            fuse_forget(&r, load_le64(r.out), 1);
        if (i % 16 == 0)
            inodes_shrink(r.fs);
        fuse_unlink(&r, ROOT, other);
        fuse_forget(&r, node, 1);
    }
    free(r.out);
    return NULL;
}

START_TEST(fs_many_threads_do_not_disturb_each_other)
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, worker, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(atomic_load(&failures), 0);
    ck_assert_uint_eq(fs_count(rig.fs).handles, 0);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fs_confine");
    TCase *t = tcase_create("confinement");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, fs_names_that_are_not_one_component_are_refused);
    tcase_add_test(t, fs_names_without_an_end_are_refused);
    tcase_add_test(t, fs_symlinks_lead_nowhere_on_the_host);
    tcase_add_test(t, fs_directory_swapped_for_a_symlink_is_stale);
    tcase_add_test(t, fs_host_without_openat2_is_refused);
    tcase_add_test(t, fs_host_that_forbids_openat2_is_refused);
    tcase_add_test(t, fs_rename_races_with_the_host_never_lead_out);
    tcase_add_test(t, fs_device_nodes_are_shown_and_not_opened);
    tcase_add_test(t, fs_kernels_own_file_systems_are_empty_directories);
    tcase_add_test(t, fs_read_only_refuses_every_change);
    tcase_add_test(t, fs_mapped_owner_is_root_in_the_guest_and_cannot_give_away);
    tcase_add_test(t, fs_kept_owner_creates_as_the_guests_caller);
    tcase_add_test(t, fs_write_without_rights_takes_set_user_id_away);
    tcase_add_test(t, fs_thousand_directories_do_with_few_descriptors);
    tcase_add_test(t, fs_open_files_beyond_the_budget_are_enfile);
    tcase_add_test(t, fs_deleted_open_files_keep_their_descriptors);
    tcase_add_test(t, fs_open_file_survives_the_hosts_removing_it);
    tcase_add_test(t, fs_paths_longer_than_one_call_takes_are_found_again);
    tcase_add_test(t, fs_names_follow_the_guests_renames_without_descriptors);
    tcase_add_test(t, fs_names_in_a_circle_are_given_up);
    tcase_add_test(t, fs_all_that_the_guest_holds_can_be_told_by_path);
    tcase_add_test(t, fs_requests_cut_short_anywhere_are_refused);
    tcase_add_test(t, fs_replies_without_room_are_refused_before_anything_happens);
    tcase_add_test(t, fs_unknown_nodes_and_handles_are_refused);
    tcase_add_test(t, fs_handles_of_files_and_directories_are_not_confused);
    tcase_add_test(t, fs_forgetting_too_much_forgets_once);
    tcase_add_test(t, fs_forgotten_open_file_stays_until_released);
    tcase_add_test(t, fs_hostile_conversations_leave_nothing_behind);
    tcase_add_test(t, fs_many_threads_do_not_disturb_each_other);
    suite_add_tcase(s, t);
    return suite_run(s);
}
