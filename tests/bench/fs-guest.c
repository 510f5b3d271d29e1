// SPDX-License-Identifier: MIT
//
// /init of the guest in tests/bench/fs.sh: mounts the share and times file work on it. One line a row:
// "ROW name units nanoseconds tsc-ticks", with "BEGIN name" before it. Modules are inserted as /lib/minivmm/modules says. Row
// "cpu" does no file work: it tells how fast the engine runs the guest.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define DIRS 20
#define FILES 25 /* in each */
#define FILE_BYTES 2500
#define LARGE (32u << 20)
#define BLOCK (128u << 10)

static char block[BLOCK];

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void say(const char *what)
{
    printf("fail: %s\n", what);
    fflush(stdout);
    reboot(RB_POWER_OFF);
}

#define NEED(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            say(#what);                                                                            \
    } while (0)

static void row(const char *name, unsigned units, void (*run)(void))
{
    printf("BEGIN %s\n", name);
    fflush(stdout);
    uint64_t ns = now_ns(), tsc = __rdtsc();
    run();
    tsc = __rdtsc() - tsc;
    ns = now_ns() - ns;
    printf("ROW %s %u %llu %llu\n", name, units, (unsigned long long)ns, (unsigned long long)tsc);
    fflush(stdout);
}

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

static void cpu(void)
{
    volatile uint32_t x = 1;
    for (unsigned i = 0; i < 2000000; i++)
        x = x * 1664525 + 1013904223;
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
    NEED(fd >= 0 && write(fd, "3", 1) == 1);
    close(fd);
}

static void insert_modules(void)
{
    char path[200];
    FILE *f = fopen("/lib/minivmm/modules", "r");
    NEED(f);
    while (fgets(path, sizeof path, f)) {
        path[strcspn(path, "\n")] = '\0';
        int fd = open(path, O_RDONLY);
        NEED(fd >= 0 && !syscall(SYS_finit_module, fd, "", 0));
        close(fd);
    }
    fclose(f);
}

int main(void)
{
    NEED(!mount("proc", "/proc", "proc", 0, NULL));
    insert_modules();
    NEED(!mount("share", "/mnt", "virtiofs", 0, NULL));
    memset(block, 'x', sizeof block);
    row("cpu", 1, cpu);
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
    printf("ROWS end\n");
    fflush(stdout);
    reboot(RB_POWER_OFF);
    return 0;
}
