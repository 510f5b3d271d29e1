// SPDX-License-Identifier: MIT
//
// /init of tests/bench/interp.sh: rows of work for a software CPU, one after the other, each a fixed number of units. Every row says when
// it begins and ends, on COM1 by port, so that the host can look at its own clock; the checksum at the end tells that all CPUs computed the
// same. Ends the machine through isa-debug-exit. Arguments (behind -- on the kernel's command line) are the rows to run. On a host it just
// runs, and writes to standard output.
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define COM1 0x3f8
#define DEBUG_EXIT 0xf4

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 32);
}

static uint8_t buffer[1 << 20], buffer2[1 << 20];

/* --- integers --- */

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

/* The compression function of SHA-256 with constants from a generator: work of the same shape. */
static uint64_t row_sha256(unsigned units)
{
    uint32_t k[64], w[64], h[8] = {0};
    for (unsigned n = 0; n < 64; n++)
        k[n] = next_random();
    for (unsigned u = 0; u < units; u++) {
        for (unsigned n = 0; n < 16; n++)
            memcpy(&w[n], &buffer[(u * 64 + n * 4) % sizeof buffer], 4);
        for (unsigned n = 16; n < 64; n++) {
            uint32_t s0 = rotate(w[n - 15], 7) ^ rotate(w[n - 15], 18) ^ w[n - 15] >> 3;
            uint32_t s1 = rotate(w[n - 2], 17) ^ rotate(w[n - 2], 19) ^ w[n - 2] >> 10;
            w[n] = w[n - 16] + s0 + w[n - 7] + s1;
        }
        uint32_t v[8];
        memcpy(v, h, sizeof v);
        for (unsigned n = 0; n < 64; n++) {
            uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
            uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[n] + w[n];
            uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
            uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof v[0]);
            v[4] += t1;
            v[0] = t1 + t2;
        }
        for (unsigned n = 0; n < 8; n++)
            h[n] += v[n];
    }
    return h[0];
}

static uint64_t row_crc32(unsigned units)
{
    uint32_t table[256], crc = ~0u;
    for (uint32_t n = 0; n < 256; n++) {
        table[n] = n;
        for (unsigned bit = 0; bit < 8; bit++)
            table[n] = table[n] >> 1 ^ (table[n] & 1 ? 0xedb88320u : 0);
    }
    for (unsigned u = 0; u < units; u++) {
        for (unsigned n = 0; n < 4096; n++)
            crc = crc >> 8 ^ table[(crc ^ buffer[n]) & 0xff];
    }
    return crc;
}

static uint64_t row_sieve(unsigned units)
{
    uint64_t count = 0;
    for (unsigned u = 0; u < units; u++) {
        memset(buffer2, 1, 100000);
        for (unsigned n = 2; n < 100000; n++) {
            if (!buffer2[n])
                continue;
            count++;
            for (unsigned m = 2 * n; m < 100000; m += n)
                buffer2[m] = 0;
        }
    }
    return count;
}

static void NOINLINE quicksort(uint32_t *a, long lo, long hi)
{
    while (lo < hi) {
        uint32_t pivot = a[(lo + hi) / 2];
        long i = lo, j = hi;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        quicksort(a, lo, j);
        lo = i;
    }
}

static uint64_t row_quicksort(unsigned units)
{
    static uint32_t a[20000];
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++) {
        for (unsigned n = 0; n < 20000; n++)
            a[n] = next_random();
        quicksort(a, 0, 19999);
        sum += a[10000];
    }
    return sum;
}

static unsigned NOINLINE fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t row_fib(unsigned units)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++)
        sum += fib(24);
    return sum;
}

static uint64_t row_switch(unsigned units)
{
    static const uint8_t program[] = {0, 1, 2, 3, 1, 4, 5, 0, 6, 2, 7, 3, 1, 5, 0, 4};
    uint64_t a = 1, b = 2;
    for (unsigned u = 0; u < units * 1000; u++) {
        switch (program[(u ^ a) & 15]) {
        case 0: a += b; break;
        case 1: b ^= a << 3; break;
        case 2: a -= 7; break;
        case 3: b += u; break;
        case 4: a = a >> 5 | a << 59; break;
        case 5: b = ~b; break;
        case 6: a *= 13; break;
        default: b -= a; break;
        }
    }
    return a ^ b;
}

static uint64_t NOINLINE step_add(uint64_t v) { return v + 3; }
static uint64_t NOINLINE step_xor(uint64_t v) { return v ^ v >> 7; }
static uint64_t NOINLINE step_mul(uint64_t v) { return v * 5; }
static uint64_t NOINLINE step_not(uint64_t v) { return ~v; }

static uint64_t row_indirect(unsigned units)
{
    uint64_t (*const volatile steps[])(uint64_t) = {step_add, step_xor, step_mul, step_not};
    uint64_t v = 1;
    for (unsigned u = 0; u < units * 1000; u++)
        v = steps[(v >> 3 ^ u) & 3](v);
    return v;
}

static size_t NOINLINE length_of(const char *s)
{
    const char *p = s;
    while (*p) {
        __asm__ volatile("" : : : "memory");
        p++;
    }
    return (size_t)(p - s);
}

static uint64_t row_bytes(unsigned units)
{
    uint64_t sum = 0;
    char text[512];
    for (unsigned n = 0; n < sizeof text; n++)
        text[n] = (char)('a' + n % 26);
    text[511] = 0;
    for (unsigned u = 0; u < units; u++) {
        text[100 + u % 400] ^= 1;
        sum += length_of(text);
    }
    return sum;
}

static uint64_t row_adc(unsigned units)
{
    uint64_t a[4] = {1, 2, 3, 4}, b[4] = {~0ull, 5, ~0ull - 9, 77};
    for (unsigned u = 0; u < units * 100; u++)
        __asm__ volatile("addq %4, %0; adcq %5, %1; adcq %6, %2; adcq %7, %3"
                         : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3])
                         : "m"(b[0]), "m"(b[1]), "m"(b[2]), "m"(b[3])
                         : "cc");
    return a[0] ^ a[1] ^ a[2] ^ a[3];
}

/* --- vectors, strings --- */

static uint64_t row_matmul(unsigned units)
{
    static double a[48][48], b[48][48], c[48][48];
    for (unsigned n = 0; n < 48 * 48; n++) {
        (&a[0][0])[n] = n % 17;
        (&b[0][0])[n] = n % 13;
    }
    for (unsigned u = 0; u < units; u++) {
        for (unsigned i = 0; i < 48; i++) {
            for (unsigned j = 0; j < 48; j += 2) {
                __m128d sum = _mm_setzero_pd();
                for (unsigned k = 0; k < 48; k++)
                    sum = _mm_add_pd(sum, _mm_mul_pd(_mm_set1_pd(a[i][k]), _mm_loadu_pd(&b[k][j])));
                _mm_storeu_pd(&c[i][j], sum);
            }
        }
        a[u % 48][3] += 1;
    }
    return (uint64_t)c[5][7];
}

static uint64_t row_movs(unsigned units)
{
    for (unsigned u = 0; u < units; u++) {
        void *to = buffer2;
        const void *from = buffer;
        size_t count = sizeof buffer;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
        buffer[u % sizeof buffer]++;
    }
    return buffer2[100];
}

static uint64_t row_stos(unsigned units)
{
    for (unsigned u = 0; u < units; u++) {
        void *to = buffer2;
        size_t count = sizeof buffer2 / 8;
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"((uint64_t)u) : "memory");
    }
    return buffer2[100];
}

/* --- the kernel --- */

static uint64_t row_getppid(unsigned units)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++)
        sum += (uint64_t)syscall(SYS_getppid) & 0;
    return sum;
}

static uint64_t row_faults(unsigned units)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++) {
        volatile uint8_t *p = mmap(NULL, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (unsigned n = 0; n < 256; n++)
            p[n * 4096] = (uint8_t)n;
        sum += p[4096];
        munmap((void *)p, 256 * 4096);
    }
    return sum;
}

static uint64_t row_fork(unsigned units)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(3);
        waitpid(pid, &status, 0);
        sum += (uint64_t)WEXITSTATUS(status);
    }
    return sum;
}

/* --- running rows --- */

static const struct row {
    const char *name;
    uint64_t (*run)(unsigned units);
    unsigned units;
    const char *unit;
} rows[] = {
    {"sha256", row_sha256, 12000, "64-byte block"},
    {"crc32", row_crc32, 3000, "4 KiB"},
    {"sieve", row_sieve, 60, "100000 numbers"},
    {"quicksort", row_quicksort, 20, "20000 words"},
    {"fib", row_fib, 100, "fib(24)"},
    {"switch", row_switch, 6000, "1000 steps"},
    {"indirect", row_indirect, 6000, "1000 calls"},
    {"bytes", row_bytes, 50000, "511 characters"},
    {"adc", row_adc, 100000, "100 x 256 bits"},
    {"matmul", row_matmul, 150, "48 x 48"},
    {"rep-movsb", row_movs, 1000, "1 MiB"},
    {"rep-stosq", row_stos, 4000, "1 MiB"},
    {"getppid", row_getppid, 200000, "call"},
    {"faults", row_faults, 100, "256 pages"},
    {"fork", row_fork, 300, "fork, exit, wait"},
};

static int on_host;

static void say(const char *line)
{
    if (on_host) {
        fputs(line, stdout);
        return;
    }
    for (; *line; line++)
        outb((unsigned char)*line, COM1);
}

static int wanted(const char *name, char **names)
{
    if (!*names)
        return 1;
    for (; *names; names++) {
        if (!strcmp(*names, name))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    char line[200];
    on_host = getpid() != 1;
    if (!on_host && iopl(3))
        return 1;
    for (unsigned n = 0; n < sizeof buffer; n++)
        buffer[n] = (uint8_t)next_random();
    memset(buffer2, 1, sizeof buffer2);
    for (unsigned r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (!wanted(rows[r].name, argv + 1))
            continue;
        snprintf(line, sizeof line, "begin %s\n", rows[r].name);
        say(line);
        uint64_t check = rows[r].run(rows[r].units);
        snprintf(line, sizeof line, "end %s %u %llx %s\n", rows[r].name, rows[r].units, (unsigned long long)check, rows[r].unit);
        say(line);
    }
    if (on_host)
        return 0;
    usleep(200000); /* the host still looks at its clock */
    outb(0, DEBUG_EXIT);
    for (;;)
        pause();
}
