// SPDX-License-Identifier: MIT
//
// /init of the guest in tests/bench/block.sh: reads and writes /dev/vda past the guest's own cache (O_DIRECT), and times it in rows (rows.h).
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "rows.h"

#define DISK_MIB 64u
#define SMALL 4096u
#define RANDOM_OPS 2000u
#define SYNC_OPS 500u
#define THREADS 4u

static int disk;
static char *large; /* 1 MiB, aligned */

static void write_mib(void)
{
    for (unsigned i = 0; i < DISK_MIB; i++) {
        memset(large, (int)i + 1, SMALL);
        NEED(pwrite(disk, large, 1u << 20, (off_t)i << 20) == 1 << 20);
    }
}

static void read_mib(void)
{
    for (unsigned i = 0; i < DISK_MIB; i++) {
        NEED(pread(disk, large, 1u << 20, (off_t)i << 20) == 1 << 20);
        NEED(large[0] == (char)(i + 1) && large[SMALL] == 0);
    }
}

/* The same places each run: a row must repeat. */
static off_t next_place(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return (off_t)((*seed >> 8) % ((DISK_MIB << 20) / SMALL)) * SMALL;
}

static void read_some(unsigned ops, uint32_t seed)
{
    char *buf = aligned_alloc(SMALL, SMALL);
    NEED(buf);
    for (unsigned i = 0; i < ops; i++)
        NEED(pread(disk, buf, SMALL, next_place(&seed)) == SMALL);
    free(buf);
}

static void write_some(unsigned ops, uint32_t seed, int sync)
{
    char *buf = aligned_alloc(SMALL, SMALL);
    NEED(buf);
    memset(buf, 'x', SMALL);
    for (unsigned i = 0; i < ops; i++) {
        NEED(pwrite(disk, buf, SMALL, next_place(&seed)) == SMALL);
        NEED(!sync || !fdatasync(disk));
    }
    free(buf);
}

static void read_4k(void)
{
    read_some(RANDOM_OPS, 1);
}

static void write_4k(void)
{
    write_some(RANDOM_OPS, 2, 0);
}

static void write_sync(void)
{
    write_some(SYNC_OPS, 3, 1);
}

static void *read_thread(void *seed)
{
    read_some(RANDOM_OPS / THREADS, (uint32_t)(uintptr_t)seed);
    return NULL;
}

static void *write_thread(void *seed)
{
    write_some(RANDOM_OPS / THREADS, (uint32_t)(uintptr_t)seed, 0);
    return NULL;
}

static void together(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        NEED(!pthread_create(&threads[i], NULL, run, (void *)(i + 10)));
    for (unsigned i = 0; i < THREADS; i++)
        NEED(!pthread_join(threads[i], NULL));
}

static void read_together(void)
{
    together(read_thread);
}

static void write_together(void)
{
    together(write_thread);
}

int main(void)
{
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL); /* there already, where the kernel does it */
    rows_begin();
    disk = open("/dev/vda", O_RDWR | O_DIRECT);
    large = aligned_alloc(SMALL, 1u << 20);
    NEED(disk >= 0 && large);
    memset(large, 0, 1u << 20);
    row("write-1MiB", DISK_MIB, write_mib);
    row("read-1MiB", DISK_MIB, read_mib);
    row("write-4KiB", RANDOM_OPS, write_4k);
    row("read-4KiB", RANDOM_OPS, read_4k);
    row("write-4KiB-x4", RANDOM_OPS, write_together);
    row("read-4KiB-x4", RANDOM_OPS, read_together);
    row("write-sync", SYNC_OPS, write_sync);
    rows_end();
    return 0;
}
