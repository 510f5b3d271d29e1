// SPDX-License-Identifier: MIT
//
// See rows.h.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "rows.h"

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void power_off(void)
{
    fflush(stdout);
    reboot(RB_POWER_OFF);
}

void rows_give_up(const char *what)
{
    printf("fail: %s\n", what);
    power_off();
}

void row(const char *name, unsigned units, void (*run)(void))
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

static void cpu(void)
{
    volatile uint32_t x = 1;
    for (unsigned i = 0; i < 2000000; i++)
        x = x * 1664525 + 1013904223;
}

void rows_begin(void)
{
    insert_modules();
    row("cpu", 1, cpu);
}

void rows_end(void)
{
    printf("ROWS end\n");
    power_off();
}
