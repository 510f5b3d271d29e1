// SPDX-License-Identifier: MIT
//
// /init of the guest in tests/bench/fs.sh: mounts the share and times file work on it, in rows (rows.h).
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rows.h"

#define DIRS 20
#define FILES 25 /* in each */
#define FILE_BYTES 2500
#define LARGE (32u << 20)
#define BLOCK (128u << 10)

static char block[BLOCK];

static void name_of(char *path, int d, int f)
{
    if (f < 0)
        sprintf(path, "/mnt/tree/d%d", d);
    else
        sprintf(path, "/mnt/tree/d%d/file-%d.c", d, f);
}

/* As tar does it: create, write, close, mode, time. */
static void unpack(void)
{
    char path[64];
    NEED(!mkdir("/mnt/tree", 0755));
    for (int d = 0; d < DIRS; d++) {
        name_of(path, d, -1);
        NEED(!mkdir(path, 0755));
        for (int f = 0; f < FILES; f++) {
            struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
            name_of(path, d, f);
            int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
            NEED(fd >= 0 && write(fd, block, FILE_BYTES) == FILE_BYTES);
            NEED(!futimens(fd, times) && !fchmod(fd, 0644) && !close(fd));
        }
    }
}

/* As git status: what is in the index is looked at by name, then the directories are listed. */
static void look(void)
{
    char path[64];
    struct stat st;
    for (int d = 0; d < DIRS; d++) {
        for (int f = 0; f < FILES; f++) {
            name_of(path, d, f);
            NEED(!lstat(path, &st) && st.st_size == FILE_BYTES);
        }
    }
}

static void list(void)
{
    char path[64];
    for (int d = 0; d < DIRS; d++) {
        struct dirent *e;
        struct stat st;
        unsigned n = 0;
        name_of(path, d, -1);
        DIR *dir = opendir(path);
        NEED(dir);
        while ((e = readdir(dir))) {
            NEED(!fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
            n++;
        }
        NEED(n == FILES + 2);
        closedir(dir);
    }
}

static void read_small(void)
{
    char path[64], buf[4096];
    for (int d = 0; d < DIRS; d++) {
        for (int f = 0; f < FILES; f++) {
            name_of(path, d, f);
            int fd = open(path, O_RDONLY);
            NEED(fd >= 0 && read(fd, buf, sizeof buf) == FILE_BYTES);
            close(fd);
        }
    }
}

static void remove_all(void)
{
    char path[64];
    for (int d = 0; d < DIRS; d++) {
        for (int f = 0; f < FILES; f++) {
            name_of(path, d, f);
            NEED(!unlink(path));
        }
        name_of(path, d, -1);
        NEED(!rmdir(path));
    }
    NEED(!rmdir("/mnt/tree"));
}

static void write_large(void)
{
    int fd = open("/mnt/large", O_WRONLY | O_CREAT, 0644);
    NEED(fd >= 0);
    for (unsigned i = 0; i < LARGE / BLOCK; i++)
        NEED(write(fd, block, BLOCK) == BLOCK);
    close(fd);
}

static void read_large(void)
{
    int fd = open("/mnt/large", O_RDONLY);
    NEED(fd >= 0);
    for (unsigned i = 0; i < LARGE / BLOCK; i++)
        NEED(read(fd, block, BLOCK) == BLOCK);
    close(fd);
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
    NEED(fd >= 0 && write(fd, "3", 1) == 1);
    close(fd);
}

int main(void)
{
    NEED(!mount("proc", "/proc", "proc", 0, NULL));
    rows_begin();
    NEED(!mount("share", "/mnt", "virtiofs", 0, NULL));
    memset(block, 'x', sizeof block);
    row("unpack", DIRS * FILES, unpack);
    drop_caches();
    row("look", DIRS * FILES, look);
    drop_caches();
    row("list", DIRS * FILES, list);
    sleep(2); /* what is known expires: each name is asked for again */
    row("look-again", DIRS * FILES, look);
    drop_caches();
    row("read-small", DIRS * FILES, read_small);
    row("remove", DIRS * FILES, remove_all);
    row("write-MiB", LARGE >> 20, write_large);
    drop_caches();
    row("read-MiB", LARGE >> 20, read_large);
    unlink("/mnt/large");
    umount("/mnt");
    rows_end();
    return 0;
}
