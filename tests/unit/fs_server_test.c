// SPDX-License-Identifier: MIT
//
// The FUSE server, asked directly: what each operation does to the host's directory, and what the
// guest is told.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/lib/fuse_rig.h"
#include "tests/lib/suite.h"
#include "util.h"

#define ROOT FUSE_ROOT_ID

static struct fuse_rig rig;

static void setup(void)
{
    fuse_rig_init(&rig, (struct fs_config){.owner = FS_OWNER_KEEP});
}

static void teardown(void)
{
    fuse_rig_fini(&rig);
}

static void check_payload(const char *want)
{
    ck_assert_uint_eq(rig.len, strlen(want));
    ck_assert_int_eq(memcmp(rig.out, want, rig.len), 0);
}

static struct stat host_lstat(const char *path)
{
    struct stat st;
    ck_assert_int_eq(lstat(host_path(&rig, path), &st), 0);
    return st;
}

/* --- INIT --- */

START_TEST(fs_init_takes_what_it_knows_and_a_mebibyte_per_transfer)
{
    struct fuse_init_out out;
    ck_assert_int_eq(fuse_init(&rig, 7, 31), 0);
    memcpy(&out, rig.out, sizeof out);
    ck_assert_uint_eq(out.major, 7);
    ck_assert_uint_ge(out.minor, 31);
    ck_assert_uint_eq(out.max_write, 1 << 20);
    ck_assert_uint_eq(out.max_pages, 256);
    ck_assert(out.flags & FUSE_AUTO_INVAL_DATA);
    ck_assert(out.flags & FUSE_HANDLE_KILLPRIV_V2);
    ck_assert(!(out.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS)));
    ck_assert(!(out.flags & FUSE_EXPORT_SUPPORT));
    ck_assert(!(out.flags & FUSE_WRITEBACK_CACHE));
}
END_TEST

START_TEST(fs_init_offers_its_own_version_to_a_newer_guest_and_refuses_an_old_one)
{
    ck_assert_int_eq(fuse_init(&rig, 8, 0), 0);
    ck_assert_uint_eq(load_le32(rig.out), 7);
    ck_assert_int_eq(fuse_init(&rig, 7, 30), -EPROTO);
    ck_assert_int_eq(fuse_init(&rig, 6, 40), -EPROTO);
}
END_TEST

START_TEST(fs_init_and_destroy_forget_everything)
{
    uint64_t node, fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq(fuse_call(&rig, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
    ck_assert_uint_eq(fs_count(rig.fs).handles, 0);
    ck_assert_int_eq(fuse_getattr(&rig, ROOT, NULL), -EIO);
    ck_assert_int_eq(fuse_init(&rig, 7, 38), 0);
    ck_assert_int_eq(fuse_getattr(&rig, ROOT, NULL), 0);
    ck_assert_int_eq(fuse_getattr(&rig, node, NULL), -ESTALE);
    ck_assert_int_eq((int)fuse_read(&rig, ROOT, fh, 0, 1), -EBADF);
}
END_TEST

/* --- lookup and attributes --- */

START_TEST(fs_lookup_tells_what_the_host_has)
{
    struct fuse_entry_out e;
    host_put(&rig, "share/f", "12345");
    chmod(host_path(&rig, "share/f"), 0640);
    struct stat st = host_lstat("share/f");
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "f", &e), 0);
    ck_assert_uint_eq(e.attr.ino, st.st_ino);
    ck_assert_uint_eq(e.attr.size, 5);
    ck_assert_uint_eq(e.attr.mode, S_IFREG | 0640);
    ck_assert_uint_eq(e.attr.nlink, 1);
    ck_assert_uint_eq(e.attr.uid, st.st_uid);
    ck_assert_uint_eq(e.attr.mtime, (uint64_t)st.st_mtim.tv_sec);
    ck_assert_uint_eq(e.attr.mtimensec, (uint64_t)st.st_mtim.tv_nsec);
    ck_assert_uint_eq(e.entry_valid, 1);
    ck_assert_uint_eq(e.attr_valid, 1);
}
END_TEST

START_TEST(fs_lookup_of_the_same_file_gives_the_same_node)
{
    struct fuse_entry_out a, b;
    host_put(&rig, "share/f", "");
    ck_assert_int_eq(link(host_path(&rig, "share/f"), host_path(&rig, "share/g")), 0);
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "f", &a), 0);
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "g", &b), 0);
    ck_assert_uint_eq(a.nodeid, b.nodeid);
    fuse_forget(&rig, a.nodeid, 1);
    ck_assert_int_eq(fuse_getattr(&rig, a.nodeid, NULL), 0);
    fuse_forget(&rig, a.nodeid, 1);
    ck_assert_int_eq(fuse_getattr(&rig, a.nodeid, NULL), -ESTALE);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

START_TEST(fs_node_number_used_again_has_another_generation)
{
    struct fuse_entry_out a, b;
    host_put(&rig, "share/f", "");
    host_put(&rig, "share/g", "");
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "f", &a), 0);
    fuse_forget(&rig, a.nodeid, 1);
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "g", &b), 0);
    ck_assert_uint_eq(a.nodeid, b.nodeid);
    ck_assert_uint_ne(a.generation, b.generation);
}
END_TEST

START_TEST(fs_lookup_of_nothing_may_be_remembered_unless_cache_is_none)
{
    ck_assert_int_eq(fuse_call(&rig, FUSE_LOOKUP, ROOT, NULL, 0, "none", NULL), 0);
    struct fuse_entry_out e;
    memcpy(&e, rig.out, sizeof e);
    ck_assert_uint_eq(e.nodeid, 0);
    ck_assert_uint_eq(e.entry_valid, 1);
    fuse_rig_reopen(&rig, (struct fs_config){.cache = FS_CACHE_NONE});
    ck_assert_int_eq(fuse_call(&rig, FUSE_LOOKUP, ROOT, NULL, 0, "none", NULL), -ENOENT);
    host_put(&rig, "share/f", "");
    ck_assert_int_eq(fuse_lookup(&rig, ROOT, "f", &e), 0);
    ck_assert_uint_eq(e.entry_valid, 0);
    ck_assert_uint_eq(e.attr_valid, 0);
}
END_TEST

START_TEST(fs_getattr_shows_what_the_host_changed)
{
    struct fuse_attr a;
    host_put(&rig, "share/f", "1");
    uint64_t node = fuse_node(&rig, "f");
    host_put(&rig, "share/f", "1234567");
    ck_assert_int_eq(fuse_getattr(&rig, node, &a), 0);
    ck_assert_uint_eq(a.size, 7);
}
END_TEST

START_TEST(fs_file_replaced_by_the_host_is_stale_and_found_by_lookup)
{
    host_put(&rig, "share/f", "old");
    uint64_t node = fuse_node(&rig, "f");
    host_put(&rig, "share/new", "newer");
    ck_assert_int_eq(rename(host_path(&rig, "share/new"), host_path(&rig, "share/f")), 0);
    ck_assert_int_eq(fuse_getattr(&rig, node, NULL), -ESTALE);
    uint64_t again = fuse_node(&rig, "f");
    ck_assert_uint_ne(again, 0);
    ck_assert_uint_ne(again, node);
}
END_TEST

START_TEST(fs_setattr_changes_mode_size_and_times)
{
    host_put(&rig, "share/f", "1234567");
    uint64_t node = fuse_node(&rig, "f");
    struct fuse_setattr_in in = {.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME | FATTR_ATIME_NOW,
                                 .mode = S_IFREG | 0604, .size = 3, .mtime = 1000,
                                 .mtimensec = 77};
    ck_assert_int_eq(fuse_setattr(&rig, node, in), 0);
    struct stat st = host_lstat("share/f");
    ck_assert_uint_eq(st.st_mode & 07777, 0604);
    ck_assert_int_eq(st.st_size, 3);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1000);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 77);
    ck_assert_int_gt(st.st_atim.tv_sec, 1000);
    struct fuse_attr_out out;
    memcpy(&out, rig.out, sizeof out);
    ck_assert_uint_eq(out.attr.size, 3);
}
END_TEST

START_TEST(fs_setattr_of_a_symlink_changes_its_own_times_and_no_mode)
{
    host_put(&rig, "outside/f", "x");
    ck_assert_int_eq(symlink("../outside/f", host_path(&rig, "share/l")), 0);
    chmod(host_path(&rig, "outside/f"), 0600);
    uint64_t node = fuse_node(&rig, "l");
    struct fuse_setattr_in times = {.valid = FATTR_MTIME, .mtime = 5};
    ck_assert_int_eq(fuse_setattr(&rig, node, times), 0);
    ck_assert_int_eq(host_lstat("share/l").st_mtim.tv_sec, 5);
    ck_assert_int_ne(host_lstat("outside/f").st_mtim.tv_sec, 5);
    struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 0777};
    ck_assert_int_eq(fuse_setattr(&rig, node, mode), -EOPNOTSUPP);
    struct fuse_setattr_in size = {.valid = FATTR_SIZE, .size = 0};
    ck_assert_int_eq(fuse_setattr(&rig, node, size), -EINVAL);
    ck_assert_uint_eq(host_lstat("outside/f").st_mode & 07777, 0600);
    ck_assert_str_eq(host_get(&rig, "outside/f"), "x");
}
END_TEST

START_TEST(fs_truncate_works_by_node_and_by_handle)
{
    uint64_t node, fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0444, &node, &fh), 0);
    struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 12345};
    ck_assert_int_eq(fuse_setattr(&rig, node, in), 0);
    ck_assert_int_eq(host_lstat("share/f").st_size, 12345);
    in.size = ~0ull;
    ck_assert_int_eq(fuse_setattr(&rig, node, in), -EINVAL);
}
END_TEST

START_TEST(fs_statfs_is_that_of_the_host)
{
    struct statvfs v;
    struct fuse_statfs_out out;
    ck_assert_int_eq(fuse_call(&rig, FUSE_STATFS, ROOT, NULL, 0, NULL, NULL), 0);
    memcpy(&out, rig.out, sizeof out);
    ck_assert_int_eq(statvfs(rig.share, &v), 0);
    ck_assert_uint_eq(out.st.blocks, v.f_blocks);
    ck_assert_uint_eq(out.st.namelen, 255);
}
END_TEST

START_TEST(fs_access_asks_the_host)
{
    struct fuse_access_in in = {.mask = R_OK};
    host_put(&rig, "share/f", "");
    uint64_t node = fuse_node(&rig, "f");
    ck_assert_int_eq(fuse_call(&rig, FUSE_ACCESS, node, &in, sizeof in, NULL, NULL), 0);
    in.mask = X_OK;
    ck_assert_int_eq(fuse_call(&rig, FUSE_ACCESS, node, &in, sizeof in, NULL, NULL), -EACCES);
}
END_TEST

/* --- names --- */

START_TEST(fs_names_are_made_and_removed_on_the_host)
{
    ck_assert_int_eq(fuse_mkdir(&rig, ROOT, "d", 0750), 0);
    ck_assert_uint_eq(host_lstat("share/d").st_mode, S_IFDIR | 0750);
    ck_assert_int_eq(fuse_mkdir(&rig, ROOT, "d", 0750), -EEXIST);
    uint64_t d = fuse_node(&rig, "d"), fh;
    ck_assert_int_eq(fuse_create(&rig, d, "f", O_RDWR, 0666, NULL, &fh), 0);
    ck_assert_uint_eq(host_lstat("share/d/f").st_mode, S_IFREG | 0666);
    ck_assert_int_eq(fuse_call(&rig, FUSE_RMDIR, ROOT, NULL, 0, "d", NULL), -ENOTEMPTY);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, "d"), -EISDIR);
    ck_assert_int_eq(fuse_unlink(&rig, d, "f"), 0);
    ck_assert_int_eq(fuse_unlink(&rig, d, "f"), -ENOENT);
    ck_assert_int_eq(fuse_call(&rig, FUSE_RMDIR, ROOT, NULL, 0, "d", NULL), 0);
    ck_assert(!host_has(&rig, "share/d"));
}
END_TEST

START_TEST(fs_symlinks_hold_any_text_and_are_read_back)
{
    char target[80];
    ck_assert_int_eq(fuse_symlink(&rig, ROOT, "l", "/nowhere/../x"), 0);
    ssize_t n = readlink(host_path(&rig, "share/l"), target, sizeof target);
    ck_assert_int_eq((int)n, 13);
    uint64_t node = fuse_node(&rig, "l");
    ck_assert_int_eq(fuse_call(&rig, FUSE_READLINK, node, NULL, 0, NULL, NULL), 0);
    check_payload("/nowhere/../x");
    ck_assert_int_eq(fuse_call(&rig, FUSE_READLINK, ROOT, NULL, 0, NULL, NULL), -EINVAL);
    ck_assert_int_eq(fuse_symlink(&rig, ROOT, "m", ""), -ENOENT);
}
END_TEST

START_TEST(fs_mknod_makes_files_fifos_and_sockets_but_no_devices)
{
    static const struct {
        uint32_t type;
        int want;
    } kinds[] = {{S_IFREG, 0},      {S_IFIFO, 0},      {S_IFSOCK, 0}, {S_IFCHR, -EPERM},
                 {S_IFBLK, -EPERM}, {S_IFDIR, -EPERM}, {0, -EPERM}};
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        char name[] = {'n', (char)('0' + i), '\0'}, path[] = "share/nX";
        path[7] = name[1];
        struct fuse_mknod_in in = {.mode = kinds[i].type | 0600, .rdev = 0x103};
        ck_assert_int_eq(fuse_call(&rig, FUSE_MKNOD, ROOT, &in, sizeof in, name, NULL),
                         kinds[i].want);
        ck_assert_int_eq(host_has(&rig, path), !kinds[i].want);
        if (!kinds[i].want)
            ck_assert_uint_eq(host_lstat(path).st_mode, kinds[i].type | 0600);
    }
}
END_TEST

START_TEST(fs_only_regular_files_can_be_opened)
{
    uint64_t fh;
    mkfifo(host_path(&rig, "share/fifo"), 0666);
    ck_assert_int_eq(symlink("fifo", host_path(&rig, "share/link")), 0);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", rig.share);
    ck_assert_int_eq(bind(s, (struct sockaddr *)&at, sizeof at), 0);
    close(s);
    ck_assert_int_eq(fuse_open(&rig, fuse_node(&rig, "fifo"), O_RDONLY, &fh), -EACCES);
    ck_assert_int_eq(fuse_open(&rig, fuse_node(&rig, "socket"), O_RDWR, &fh), -EACCES);
    ck_assert_int_eq(fuse_open(&rig, fuse_node(&rig, "link"), O_RDONLY, &fh), -ELOOP);
    ck_assert_int_eq(fuse_open(&rig, ROOT, O_RDONLY, &fh), -EISDIR);
    ck_assert_int_eq(fuse_opendir(&rig, fuse_node(&rig, "fifo"), &fh), -ENOTDIR);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "fifo", O_RDWR, 0600, NULL, &fh), -EACCES);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "link", O_RDWR, 0600, NULL, &fh), -ELOOP);
    ck_assert_uint_eq(fs_count(rig.fs).handles, 0);
}
END_TEST

START_TEST(fs_rename_moves_replaces_and_exchanges)
{
    host_put(&rig, "share/a", "a");
    host_put(&rig, "share/b", "b");
    mkdir(host_path(&rig, "share/d"), 0755);
    uint64_t a = fuse_node(&rig, "a"), b = fuse_node(&rig, "b"), d = fuse_node(&rig, "d");
    struct fuse_attr at;
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), -EEXIST);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "a", ROOT, "b", RENAME_EXCHANGE), 0);
    ck_assert_str_eq(host_get(&rig, "share/a"), "b");
    ck_assert_uint_eq(fuse_node(&rig, "b"), a);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "b", d, "c", 0), 0); /* a is d/c now */
    ck_assert_str_eq(host_get(&rig, "share/d/c"), "a");
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "a", d, "c", 0), 0); /* b replaces it */
    ck_assert_str_eq(host_get(&rig, "share/d/c"), "b");
    ck_assert_uint_eq(fuse_node(&rig, "d/c"), b);
    ck_assert_int_eq(fuse_getattr(&rig, a, &at), 0);
    ck_assert_uint_eq(at.nlink, 0);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "d", ROOT, "e", RENAME_WHITEOUT), -EINVAL);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "d", d, "e", 0), -EINVAL);
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "d", 999, "e", 0), -ESTALE);
}
END_TEST

START_TEST(fs_plain_rename_works_too)
{
    struct fuse_rename_in in = {.newdir = ROOT};
    host_put(&rig, "share/a", "a");
    ck_assert_int_eq(fuse_call(&rig, FUSE_RENAME, ROOT, &in, sizeof in, "a", "z"), 0);
    ck_assert_str_eq(host_get(&rig, "share/z"), "a");
}
END_TEST

START_TEST(fs_links_share_a_node_and_outlive_each_other)
{
    struct fuse_attr at;
    host_put(&rig, "share/a", "text");
    uint64_t a = fuse_node(&rig, "a"), fh;
    ck_assert_int_eq(fuse_link(&rig, a, ROOT, "b"), 0);
    ck_assert_uint_eq(load_le64(rig.out), a);
    ck_assert_int_eq(fuse_getattr(&rig, a, &at), 0);
    ck_assert_uint_eq(at.nlink, 2);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, "a"), 0);
    ck_assert_int_eq(fuse_open(&rig, a, O_RDONLY, &fh), 0);
    ck_assert_int_eq((int)fuse_read(&rig, a, fh, 0, 100), 4);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, "b"), 0);
    ck_assert_int_eq(fuse_getattr(&rig, a, &at), 0);
    ck_assert_uint_eq(at.nlink, 0);
    ck_assert_int_eq(fuse_symlink(&rig, ROOT, "l", "x"), 0);
    ck_assert_int_eq(fuse_link(&rig, fuse_node(&rig, "l"), ROOT, "m"), 0);
    ck_assert(S_ISLNK(host_lstat("share/m").st_mode));
}
END_TEST

START_TEST(fs_renamed_directory_keeps_its_children)
{
    ck_assert_int_eq(fuse_mkdir(&rig, ROOT, "d", 0755), 0);
    uint64_t d = fuse_node(&rig, "d"), f, fh;
    ck_assert_int_eq(fuse_create(&rig, d, "f", O_RDWR, 0644, &f, &fh), 0);
    host_put(&rig, "share/d/g", "ggg");
    uint64_t g = fuse_node(&rig, "d/g");
    ck_assert_int_eq(fuse_rename(&rig, ROOT, "d", ROOT, "e", 0), 0);
    ck_assert_int_eq((int)fuse_write(&rig, f, fh, 0, "hi", 2, 0), 2);
    ck_assert_str_eq(host_get(&rig, "share/e/f"), "hi");
    ck_assert_int_eq(fuse_open(&rig, g, O_RDONLY, &fh), 0);
    ck_assert_int_eq((int)fuse_read(&rig, g, fh, 0, 9), 3);
}
END_TEST

/* --- contents --- */

START_TEST(fs_contents_are_written_and_read_at_offsets)
{
    uint64_t node, fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 3, "world", 5, 0), 5);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "abc", 3, 0), 3);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 1, 1000), 7);
    check_payload("bcworld");
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 100, 1000), 0);
    ck_assert_int_eq(fuse_release(&rig, fh), 0);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 0, 10), -EBADF);
}
END_TEST

START_TEST(fs_large_transfers_are_whole_and_larger_ones_refused)
{
    uint64_t node, fh;
    char *data = malloc(FS_TRANSFER_MAX + 1);
    for (unsigned i = 0; i <= FS_TRANSFER_MAX; i++)
        data[i] = (char)(i * 7 >> 3);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 5, data, FS_TRANSFER_MAX, 0), FS_TRANSFER_MAX);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 5, FS_TRANSFER_MAX), FS_TRANSFER_MAX);
    ck_assert_int_eq(memcmp(rig.out, data, FS_TRANSFER_MAX), 0);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, data, FS_TRANSFER_MAX + 1, 0), -EINVAL);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 0, FS_TRANSFER_MAX + 1), -EINVAL);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, INT64_MAX, data, 1, 0), -EINVAL);
    free(data);
}
END_TEST

START_TEST(fs_append_is_per_write_and_goes_to_the_hosts_end)
{
    uint64_t node, fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR | O_APPEND, 0644, &node, &fh), 0);
    host_put(&rig, "share/f", "host,");
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "guest", 5, O_APPEND), 5);
    ck_assert_str_eq(host_get(&rig, "share/f"), "host,guest");
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "HOST", 4, 0), 4);
    ck_assert_str_eq(host_get(&rig, "share/f"), "HOST,guest");
}
END_TEST

START_TEST(fs_open_truncates_and_keeps_access_modes)
{
    uint64_t fh;
    host_put(&rig, "share/f", "text");
    uint64_t node = fuse_node(&rig, "f");
    ck_assert_int_eq(fuse_open(&rig, node, O_RDONLY, &fh), 0);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "x", 1, 0), -EBADF);
    ck_assert_int_eq(fuse_open(&rig, node, O_WRONLY | O_TRUNC, &fh), 0);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 0, 1), -EBADF);
    ck_assert_str_eq(host_get(&rig, "share/f"), "");
}
END_TEST

START_TEST(fs_create_opens_what_is_there_unless_exclusive)
{
    uint64_t node, fh;
    host_put(&rig, "share/f", "text");
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR | O_EXCL, 0600, &node, &fh), -EEXIST);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0600, &node, &fh), 0);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 0, 10), 4);
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR | O_TRUNC, 0600, &node, &fh), 0);
    ck_assert_int_eq((int)fuse_read(&rig, node, fh, 0, 10), 0);
}
END_TEST

START_TEST(fs_unlinked_open_file_lives_on)
{
    uint64_t node, fh, again;
    struct fuse_attr at;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq(fuse_unlink(&rig, ROOT, "f"), 0);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "still", 5, 0), 5);
    ck_assert_int_eq(fuse_getattr(&rig, node, &at), 0);
    ck_assert_uint_eq(at.size, 5);
    ck_assert_uint_eq(at.nlink, 0);
    ck_assert_int_eq(fuse_open(&rig, node, O_RDONLY, &again), 0);
    ck_assert_int_eq((int)fuse_read(&rig, node, again, 0, 10), 5);
    struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 1};
    ck_assert_int_eq(fuse_setattr(&rig, node, in), 0);
}
END_TEST

START_TEST(fs_tmpfile_has_no_name_until_linked)
{
    struct fuse_create_in in = {.flags = O_RDWR, .mode = 0600};
    int rc = fuse_call(&rig, FUSE_TMPFILE, ROOT, &in, sizeof in, "/", NULL);
    if (rc == -EOPNOTSUPP)
        return; /* the host's file system has none */
    ck_assert_int_eq(rc, 0);
    uint64_t node = load_le64(rig.out), fh = load_le64(rig.out + sizeof(struct fuse_entry_out));
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "tmp", 3, 0), 3);
    ck_assert_int_eq(fuse_link(&rig, node, ROOT, "named"), 0);
    ck_assert_uint_eq(load_le64(rig.out), node);
    ck_assert_str_eq(host_get(&rig, "share/named"), "tmp");
}
END_TEST

START_TEST(fs_fallocate_lseek_and_copies_work_as_on_the_host)
{
    uint64_t node, fh, to, to_fh;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    struct fuse_fallocate_in fa = {.fh = fh, .offset = 0, .length = 1 << 20};
    ck_assert_int_eq(fuse_call(&rig, FUSE_FALLOCATE, node, &fa, sizeof fa, NULL, NULL), 0);
    ck_assert_int_eq(host_lstat("share/f").st_size, 1 << 20);
    fa.mode = 0x40000000;
    ck_assert_int_eq(fuse_call(&rig, FUSE_FALLOCATE, node, &fa, sizeof fa, NULL, NULL), -EOPNOTSUPP);
    fa.length = ~0ull;
    ck_assert_int_eq(fuse_call(&rig, FUSE_FALLOCATE, node, &fa, sizeof fa, NULL, NULL), -EINVAL);

    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "data", 4, 0), 4);
    struct fuse_lseek_in ls = {.fh = fh, .offset = 0, .whence = SEEK_HOLE};
    ck_assert_int_eq(fuse_call(&rig, FUSE_LSEEK, node, &ls, sizeof ls, NULL, NULL), 0);
    ck_assert_uint_ge(load_le64(rig.out), 4);
    ls = (struct fuse_lseek_in){.fh = fh, .offset = 2 << 20, .whence = SEEK_DATA};
    ck_assert_int_eq(fuse_call(&rig, FUSE_LSEEK, node, &ls, sizeof ls, NULL, NULL), -ENXIO);
    ls.whence = SEEK_SET;
    ck_assert_int_eq(fuse_call(&rig, FUSE_LSEEK, node, &ls, sizeof ls, NULL, NULL), -EINVAL);

    ck_assert_int_eq(fuse_create(&rig, ROOT, "g", O_RDWR, 0644, &to, &to_fh), 0);
    struct fuse_copy_file_range_in cp = {.fh_in = fh, .nodeid_out = to, .fh_out = to_fh, .len = 4,
                                         .off_out = 2};
    ck_assert_int_eq(fuse_call(&rig, FUSE_COPY_FILE_RANGE, node, &cp, sizeof cp, NULL, NULL), 0);
    ck_assert_uint_eq(load_le32(rig.out), 4);
    ck_assert_int_eq(host_lstat("share/g").st_size, 6);
    cp.fh_out = 77;
    ck_assert_int_eq(fuse_call(&rig, FUSE_COPY_FILE_RANGE, node, &cp, sizeof cp, NULL, NULL), -EBADF);
}
END_TEST

START_TEST(fs_sync_operations_are_carried_out)
{
    uint64_t node, fh, dir;
    ck_assert_int_eq(fuse_create(&rig, ROOT, "f", O_RDWR, 0644, &node, &fh), 0);
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &dir), 0);
    struct fuse_fsync_in in = {.fh = fh};
    ck_assert_int_eq(fuse_call(&rig, FUSE_FSYNC, node, &in, sizeof in, NULL, NULL), 0);
    in.fsync_flags = FUSE_FSYNC_FDATASYNC;
    ck_assert_int_eq(fuse_call(&rig, FUSE_FSYNC, node, &in, sizeof in, NULL, NULL), 0);
    ck_assert_int_eq(fuse_call(&rig, FUSE_FSYNCDIR, ROOT, &in, sizeof in, NULL, NULL), -EBADF);
    in.fh = dir;
    ck_assert_int_eq(fuse_call(&rig, FUSE_FSYNCDIR, ROOT, &in, sizeof in, NULL, NULL), 0);
    struct fuse_flush_in fl = {.fh = fh};
    ck_assert_int_eq(fuse_call(&rig, FUSE_FLUSH, node, &fl, sizeof fl, NULL, NULL), 0);
    fl.fh = 12345;
    ck_assert_int_eq(fuse_call(&rig, FUSE_FLUSH, node, &fl, sizeof fl, NULL, NULL), -EBADF);
}
END_TEST

/* Page cache of the guest: kept over an open as long as the contents are those it saw last. */
static uint32_t open_flags(uint64_t node)
{
    uint64_t fh;
    ck_assert_int_eq(fuse_open(&rig, node, O_RDONLY, &fh), 0);
    uint32_t flags = load_le32(rig.out + 8);
    ck_assert(flags & FOPEN_NOFLUSH);
    fuse_release(&rig, fh);
    return flags & ~(uint32_t)FOPEN_NOFLUSH;
}

START_TEST(fs_open_lets_the_guest_keep_unchanged_contents_only)
{
    host_put(&rig, "share/f", "one");
    uint64_t node = fuse_node(&rig, "f"), fh;
    ck_assert_uint_eq(open_flags(node), 0);
    ck_assert_uint_eq(open_flags(node), FOPEN_KEEP_CACHE);
    host_put(&rig, "share/f", "three");
    ck_assert_uint_eq(open_flags(node), 0);
    ck_assert_int_eq(fuse_open(&rig, node, O_RDWR, &fh), 0);
    ck_assert_int_eq((int)fuse_write(&rig, node, fh, 0, "longer text", 11, 0), 11);
    struct fuse_flush_in fl = {.fh = fh};
    ck_assert_int_eq(fuse_call(&rig, FUSE_FLUSH, node, &fl, sizeof fl, NULL, NULL), 0);
    ck_assert_uint_eq(open_flags(node), FOPEN_KEEP_CACHE);
}
END_TEST

/* --- directories --- */

struct seen {
    char name[300];
    uint64_t off, node;
    uint32_t type;
};

/* Read one reply's worth from `off`; how many entries. */
static unsigned read_dir(uint64_t node, uint64_t fh, uint64_t off, uint32_t size, bool plus,
                         struct seen *seen)
{
    struct fuse_read_in in = {.fh = fh, .offset = off, .size = size};
    ck_assert_int_eq(fuse_call(&rig, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof in,
                               NULL, NULL), 0);
    unsigned n = 0;
    for (size_t at = 0; at < rig.len; n++) {
        size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
        struct fuse_dirent d;
        ck_assert_uint_le(at + head + FUSE_NAME_OFFSET, rig.len);
        memcpy(&d, rig.out + at + head, FUSE_NAME_OFFSET);
        ck_assert_uint_lt(d.namelen, 256);
        memset(&seen[n], 0, sizeof seen[n]);
        memcpy(seen[n].name, rig.out + at + head + FUSE_NAME_OFFSET, d.namelen);
        seen[n].off = d.off;
        seen[n].type = d.type;
        if (plus)
            seen[n].node = load_le64(rig.out + at);
        at += FUSE_REC_ALIGN(head + FUSE_NAME_OFFSET + d.namelen);
    }
    return n;
}

/* Everything, in small replies; each name once. */
static unsigned count_dir(uint64_t node, uint32_t size, bool plus)
{
    static struct seen seen[600];
    static char names[2000][8];
    uint64_t fh, off = 0;
    unsigned total = 0, n;
    ck_assert_int_eq(fuse_opendir(&rig, node, &fh), 0);
    while ((n = read_dir(node, fh, off, size, plus, seen))) {
        for (unsigned i = 0; i < n; i++) {
            snprintf(names[total], sizeof names[0], "%.7s", seen[i].name);
            for (unsigned j = 0; j < total; j++)
                ck_assert_str_ne(names[j], names[total]);
            total++;
            bool dots = !strcmp(seen[i].name, ".") || !strcmp(seen[i].name, "..");
            ck_assert_int_eq(seen[i].node != 0, plus && !dots);
            if (seen[i].node)
                fuse_forget(&rig, seen[i].node, 1);
        }
        off = seen[n - 1].off;
    }
    ck_assert_int_eq(fuse_release(&rig, fh), 0);
    return total;
}

START_TEST(fs_directories_are_listed_whole_in_pieces)
{
    for (unsigned i = 0; i < 500; i++) {
        char path[32];
        snprintf(path, sizeof path, "share/f%u", i);
        host_put(&rig, path, "");
    }
    ck_assert_uint_eq(count_dir(ROOT, 4096, false), 502);
    ck_assert_uint_eq(count_dir(ROOT, 4096, true), 502);
    ck_assert_uint_eq(count_dir(ROOT, 200, false), 502);
    ck_assert_uint_eq(count_dir(ROOT, 65536, true), 502);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

START_TEST(fs_listing_starts_anywhere_again)
{
    static struct seen first[64], second[64];
    uint64_t fh;
    for (unsigned i = 0; i < 20; i++) {
        char path[32];
        snprintf(path, sizeof path, "share/f%u", i);
        host_put(&rig, path, "");
    }
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &fh), 0);
    unsigned n = read_dir(ROOT, fh, 0, 8192, false, first);
    ck_assert_uint_eq(n, 22);
    for (unsigned i = n - 1; i-- > 0;) {
        ck_assert_uint_eq(read_dir(ROOT, fh, first[i].off, 8192, false, second), n - 1 - i);
        ck_assert_str_eq(second[0].name, first[i + 1].name);
    }
}
END_TEST

/* As rm -r does it: what was listed is removed before more is asked for. */
static void remove_while_listing(bool plus)
{
    static struct seen seen[64];
    uint64_t fh, off = 0;
    unsigned gone = 0, n;
    for (unsigned i = 0; i < 300; i++) {
        char path[32];
        snprintf(path, sizeof path, "share/file-%u", i);
        host_put(&rig, path, "");
    }
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &fh), 0);
    while ((n = read_dir(ROOT, fh, off, 1024, plus, seen))) {
        for (unsigned i = 0; i < n; i++)
            gone += !fuse_unlink(&rig, ROOT, seen[i].name);
        off = seen[n - 1].off;
    }
    ck_assert_uint_eq(gone, 300);
    ck_assert_int_eq(fuse_release(&rig, fh), 0);
}

START_TEST(fs_listing_misses_nothing_when_files_go_meanwhile)
{
    remove_while_listing(false);
    remove_while_listing(true);
    /* Again where offsets in directories count entries, if we may mount such a file system. */
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("ramfs", rig.share, "ramfs", 0, NULL))
        return;
    fuse_rig_reopen(&rig, (struct fs_config){.owner = FS_OWNER_KEEP});
    remove_while_listing(false);
    remove_while_listing(true);
    umount2(rig.share, MNT_DETACH);
}
END_TEST

START_TEST(fs_listing_without_room_for_one_entry_is_an_error)
{
    uint64_t fh;
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &fh), 0);
    struct fuse_read_in in = {.fh = fh, .size = 16};
    ck_assert_int_eq(fuse_call(&rig, FUSE_READDIR, ROOT, &in, sizeof in, NULL, NULL), -EINVAL);
    in.size = FUSE_RIG_ROOM + 1;
    ck_assert_int_eq(fuse_call(&rig, FUSE_READDIR, ROOT, &in, sizeof in, NULL, NULL), -EINVAL);
    in.offset = ~0ull;
    in.size = 4096;
    fuse_call(&rig, FUSE_READDIR, ROOT, &in, sizeof in, NULL, NULL); /* any answer, no harm */
}
END_TEST

START_TEST(fs_parent_of_the_root_is_the_root)
{
    static struct seen seen[8];
    uint64_t fh;
    ck_assert_int_eq(fuse_opendir(&rig, ROOT, &fh), 0);
    ck_assert_uint_eq(read_dir(ROOT, fh, 0, 4096, false, seen), 2);
    struct fuse_dirent a, b;
    memcpy(&a, rig.out, FUSE_NAME_OFFSET);
    memcpy(&b, rig.out + 32, FUSE_NAME_OFFSET);
    ck_assert_uint_eq(a.ino, b.ino);
}
END_TEST

/* --- extended attributes --- */

static int set_xattr(uint64_t node, const char *name, const char *value, uint32_t size)
{
    uint32_t in[2] = {size, 0};
    return fuse_call(&rig, FUSE_SETXATTR, node, in, sizeof in, name, value);
}

static int get_xattr(uint64_t node, const char *name, uint32_t size)
{
    struct fuse_getxattr_in in = {.size = size};
    return fuse_call(&rig, FUSE_GETXATTR, node, &in, sizeof in, name, NULL);
}

START_TEST(fs_user_attributes_pass_and_others_do_not)
{
    struct fuse_getxattr_in list = {.size = 4096};
    host_put(&rig, "share/f", "");
    uint64_t node = fuse_node(&rig, "f");
    if (set_xattr(node, "user.one", "value", 5) == -EOPNOTSUPP)
        return; /* the host's file system has none */
    char got[16];
    ck_assert_int_eq((int)getxattr(host_path(&rig, "share/f"), "user.one", got, sizeof got), 5);
    ck_assert_int_eq(get_xattr(node, "user.one", 0), 0);
    ck_assert_uint_eq(load_le32(rig.out), 5);
    ck_assert_int_eq(get_xattr(node, "user.one", 100), 0);
    check_payload("value");
    ck_assert_int_eq(get_xattr(node, "user.one", 2), -ERANGE);
    ck_assert_int_eq(get_xattr(node, "user.two", 100), -ENODATA);
    static const char *const refused[] = {"security.capability", "trusted.x",
                                          "system.posix_acl_access", "users", ""};
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
        ck_assert_int_eq(set_xattr(node, refused[i], "v", 1), -EOPNOTSUPP);
        ck_assert_int_eq(get_xattr(node, refused[i], 100), -EOPNOTSUPP);
        ck_assert_int_eq(fuse_call(&rig, FUSE_REMOVEXATTR, node, NULL, 0, refused[i], NULL),
                         -EOPNOTSUPP);
    }
    setxattr(host_path(&rig, "share/f"), "trusted.hidden", "x", 1, 0); /* root may */
    ck_assert_int_eq(fuse_call(&rig, FUSE_LISTXATTR, node, &list, sizeof list, NULL, NULL), 0);
    ck_assert_uint_eq(rig.len, 9);
    ck_assert_int_eq(memcmp(rig.out, "user.one", 9), 0);
    list.size = 0;
    ck_assert_int_eq(fuse_call(&rig, FUSE_LISTXATTR, node, &list, sizeof list, NULL, NULL), 0);
    ck_assert_uint_eq(load_le32(rig.out), 9);
    list.size = 3;
    ck_assert_int_eq(fuse_call(&rig, FUSE_LISTXATTR, node, &list, sizeof list, NULL, NULL), -ERANGE);
    ck_assert_int_eq(fuse_call(&rig, FUSE_REMOVEXATTR, node, NULL, 0, "user.one", NULL), 0);
    ck_assert_int_eq(get_xattr(node, "user.one", 100), -ENODATA);
    ck_assert_int_eq(set_xattr(node, "user.x", "v", 1000), -EINVAL); /* says more than it has */
}
END_TEST

START_TEST(fs_what_is_not_offered_is_said_so)
{
    static const struct {
        uint32_t op;
        int want;
    } ops[] = {{FUSE_IOCTL, -ENOTTY},       {FUSE_BMAP, -ENOSYS},   {FUSE_POLL, -ENOSYS},
               {FUSE_GETLK, -ENOSYS},       {FUSE_SETLK, -ENOSYS},  {FUSE_SETLKW, -ENOSYS},
               {FUSE_SETUPMAPPING, -ENOSYS}, {FUSE_REMOVEMAPPING, -ENOSYS}, {0, -ENOSYS},
               {7, -ENOSYS},                {52, -ENOSYS},          {4096, -ENOSYS},
               {~0u, -ENOSYS}};
    uint8_t arg[64] = {0};
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
        ck_assert_int_eq(fuse_call(&rig, ops[i].op, ROOT, arg, sizeof arg, NULL, NULL), ops[i].want);
}
END_TEST

START_TEST(fs_forgets_and_interrupts_have_no_reply)
{
    struct fuse_interrupt_in in = {.unique = 5};
    fuse_forget(&rig, 999, 1);
    ck_assert(!rig.replied);
    fuse_call(&rig, FUSE_INTERRUPT, 0, &in, sizeof in, NULL, NULL);
    ck_assert(!rig.replied);
    struct {
        struct fuse_batch_forget_in in;
        struct fuse_forget_one one[2];
    } batch = {.in.count = 2};
    host_put(&rig, "share/a", "");
    host_put(&rig, "share/b", "");
    batch.one[0] = (struct fuse_forget_one){fuse_node(&rig, "a"), 1};
    batch.one[1] = (struct fuse_forget_one){fuse_node(&rig, "b"), 1};
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 3);
    fuse_call(&rig, FUSE_BATCH_FORGET, 0, &batch, sizeof batch, NULL, NULL);
    ck_assert(!rig.replied);
    ck_assert_uint_eq(fs_count(rig.fs).nodes, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fs_server");
    TCase *t = tcase_create("operations");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, fs_init_takes_what_it_knows_and_a_mebibyte_per_transfer);
    tcase_add_test(t, fs_init_offers_its_own_version_to_a_newer_guest_and_refuses_an_old_one);
    tcase_add_test(t, fs_init_and_destroy_forget_everything);
    tcase_add_test(t, fs_lookup_tells_what_the_host_has);
    tcase_add_test(t, fs_lookup_of_the_same_file_gives_the_same_node);
    tcase_add_test(t, fs_node_number_used_again_has_another_generation);
    tcase_add_test(t, fs_lookup_of_nothing_may_be_remembered_unless_cache_is_none);
    tcase_add_test(t, fs_getattr_shows_what_the_host_changed);
    tcase_add_test(t, fs_file_replaced_by_the_host_is_stale_and_found_by_lookup);
    tcase_add_test(t, fs_setattr_changes_mode_size_and_times);
    tcase_add_test(t, fs_setattr_of_a_symlink_changes_its_own_times_and_no_mode);
    tcase_add_test(t, fs_truncate_works_by_node_and_by_handle);
    tcase_add_test(t, fs_statfs_is_that_of_the_host);
    tcase_add_test(t, fs_access_asks_the_host);
    tcase_add_test(t, fs_names_are_made_and_removed_on_the_host);
    tcase_add_test(t, fs_symlinks_hold_any_text_and_are_read_back);
    tcase_add_test(t, fs_mknod_makes_files_fifos_and_sockets_but_no_devices);
    tcase_add_test(t, fs_only_regular_files_can_be_opened);
    tcase_add_test(t, fs_rename_moves_replaces_and_exchanges);
    tcase_add_test(t, fs_plain_rename_works_too);
    tcase_add_test(t, fs_links_share_a_node_and_outlive_each_other);
    tcase_add_test(t, fs_renamed_directory_keeps_its_children);
    tcase_add_test(t, fs_contents_are_written_and_read_at_offsets);
    tcase_add_test(t, fs_large_transfers_are_whole_and_larger_ones_refused);
    tcase_add_test(t, fs_append_is_per_write_and_goes_to_the_hosts_end);
    tcase_add_test(t, fs_open_truncates_and_keeps_access_modes);
    tcase_add_test(t, fs_create_opens_what_is_there_unless_exclusive);
    tcase_add_test(t, fs_unlinked_open_file_lives_on);
    tcase_add_test(t, fs_tmpfile_has_no_name_until_linked);
    tcase_add_test(t, fs_fallocate_lseek_and_copies_work_as_on_the_host);
    tcase_add_test(t, fs_sync_operations_are_carried_out);
    tcase_add_test(t, fs_open_lets_the_guest_keep_unchanged_contents_only);
    tcase_add_test(t, fs_directories_are_listed_whole_in_pieces);
    tcase_add_test(t, fs_listing_starts_anywhere_again);
    tcase_add_test(t, fs_listing_misses_nothing_when_files_go_meanwhile);
    tcase_add_test(t, fs_listing_without_room_for_one_entry_is_an_error);
    tcase_add_test(t, fs_parent_of_the_root_is_the_root);
    tcase_add_test(t, fs_user_attributes_pass_and_others_do_not);
    tcase_add_test(t, fs_what_is_not_offered_is_said_so);
    tcase_add_test(t, fs_forgets_and_interrupts_have_no_reply);
    suite_add_tcase(s, t);
    return suite_run(s);
}
