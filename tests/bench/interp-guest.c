// SPDX-License-Identifier: MIT
//
// /init of tests/bench/interp.sh: rows of work for a software CPU, one after the other, each a fixed number of units. Every row says when
// it begins and ends, on COM1 by port, so that the host can look at its own clock; the checksum at the end tells that all CPUs computed the
// same, and the time stamp counter's ticks are instructions where the machine counts so. Ends the machine through isa-debug-exit.
// Arguments (behind -- on the kernel's command line) are the rows to run. On a host it just runs, and writes to standard output.
#include <emmintrin.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define NOINLINE __attribute__((noinline))
#define COM1 0x3f8
#define LSR 5
#define LSR_EMPTY 0x20
#define DEBUG_EXIT 0xf4
#define SETTLE_US 30000 /* idle, while the host reads its clock */

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 32);
}

static uint8_t buffer[1 << 20] __attribute__((aligned(64))), buffer2[1 << 20] __attribute__((aligned(64)));

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

struct node {
    struct node *left, *right;
    uint64_t value;
};

static struct node *grow(unsigned depth)
{
    struct node *n = malloc(sizeof *n);
    n->value = next_random();
    n->left = depth ? grow(depth - 1) : NULL;
    n->right = depth ? grow(depth - 1) : NULL;
    return n;
}

static uint64_t fell(struct node *n)
{
    if (!n)
        return 0;
    uint64_t sum = n->value + fell(n->left) + fell(n->right);
    free(n);
    return sum;
}

static uint64_t row_tree(unsigned units)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++)
        sum += fell(grow(9));
    return sum;
}

/* A ring through all cells in an order of chance. */
static void **ring(uint8_t *memory, unsigned cells, unsigned stride)
{
    unsigned *order = malloc(cells * sizeof order[0]);
    for (unsigned n = 0; n < cells; n++)
        order[n] = n;
    for (unsigned n = cells - 1; n > 0; n--) {
        unsigned other = next_random() % n, t = order[n];
        order[n] = order[other];
        order[other] = t;
    }
    for (unsigned n = 0; n < cells; n++) {
        unsigned to = order[(n + 1) % cells];
        *(void **)(memory + (size_t)order[n] * stride) = memory + (size_t)to * stride;
    }
    free(order);
    return (void **)memory;
}

static uint64_t chase(void **p, unsigned units)
{
    void **start = p;
    for (unsigned u = 0; u < units * 1000; u++)
        p = *p;
    return (uint64_t)((uint8_t *)p - (uint8_t *)start);
}

static uint64_t row_chase(unsigned units)
{
    return chase(ring(buffer2, 256, 64), units);
}

static void **page_ring; /* a cell in each of 8192 pages */

static void make_page_ring(void)
{
    size_t stride = 4160, bytes = 8192 * stride;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, bytes, MADV_DONTFORK); /* other rows fork */
    page_ring = ring(memory, 8192, (unsigned)stride);
}

static uint64_t row_chase_pages(unsigned units)
{
    return chase(page_ring, units);
}

/* --- code that changes --- */

static uint64_t row_rewrite(unsigned units)
{
    uint64_t sum = 0;
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint32_t u = 0; u < units; u++) {
        code[0] = 0xb8; /* mov $u,%eax; ret */
        memcpy(code + 1, &u, 4);
        code[5] = 0xc3;
        __asm__ volatile("" : : : "memory");
        sum += ((uint32_t(*)(void))(uintptr_t)code)();
    }
    munmap(code, 4096);
    return sum;
}

/* --- vectors, floating point, strings --- */

static uint64_t row_sse_copy(unsigned units)
{
    for (unsigned u = 0; u < units; u++) {
        for (unsigned n = 0; n < 131072; n += 64) {
            for (unsigned k = 0; k < 64; k += 16)
                _mm_store_si128((__m128i *)(void *)(buffer2 + n + k), _mm_load_si128((__m128i *)(void *)(buffer + n + k)));
            __asm__ volatile("" : : : "memory");
        }
        buffer[u & 4095]++;
    }
    return buffer2[100];
}

static uint64_t row_nbody(unsigned units)
{
    double at[5][3], speed[5][3] = {{0}}, mass[5];
    for (unsigned n = 0; n < 5; n++) {
        mass[n] = 1 + n;
        for (unsigned k = 0; k < 3; k++)
            at[n][k] = n * 3 + k * k + 1;
    }
    for (unsigned u = 0; u < units * 100; u++) {
        for (unsigned i = 0; i < 5; i++) {
            for (unsigned j = i + 1; j < 5; j++) {
                double d[3], square = 0.01;
                for (unsigned k = 0; k < 3; k++) {
                    d[k] = at[i][k] - at[j][k];
                    square += d[k] * d[k];
                }
                double pull = 0.001 / (square * sqrt(square));
                for (unsigned k = 0; k < 3; k++) {
                    speed[i][k] -= d[k] * mass[j] * pull;
                    speed[j][k] += d[k] * mass[i] * pull;
                }
            }
        }
        for (unsigned i = 0; i < 5; i++)
            for (unsigned k = 0; k < 3; k++)
                at[i][k] += speed[i][k] * 0.001;
    }
    uint64_t bits;
    memcpy(&bits, &at[2][1], 8);
    return bits;
}

static uint64_t row_x87(unsigned units)
{
    long double sum = 0, x = 1;
    for (unsigned u = 0; u < units * 1000; u++) {
        x += 1;
        sum += 1 / (x * x) - x * 0.0000001L;
    }
    return (uint64_t)(sum * 1000000);
}

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

static uint64_t row_zero(unsigned units)
{
    uint64_t sum = 0;
    int fd = open("/dev/zero", O_RDONLY);
    for (unsigned u = 0; u < units; u++)
        sum += (uint64_t)read(fd, buffer2, 4096);
    close(fd);
    return sum;
}

static uint64_t row_clock(unsigned units)
{
    struct timespec now, before = {0};
    uint64_t bad = 0;
    for (unsigned u = 0; u < units; u++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        bad += now.tv_sec < before.tv_sec;
        before = now;
    }
    return bad;
}

static uint64_t row_mprotect(unsigned units)
{
    volatile uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned u = 0; u < units; u++) {
        *p = (uint8_t)u;
        mprotect((void *)p, 4096, PROT_READ);
        mprotect((void *)p, 4096, PROT_READ | PROT_WRITE);
    }
    uint64_t v = *p;
    munmap((void *)p, 4096);
    return v;
}

static sigjmp_buf landing;
static volatile uint64_t signals;

static void on_fault(int signal)
{
    (void)signal;
    signals++;
    siglongjmp(landing, 1);
}

static void on_signal(int signal)
{
    (void)signal;
    signals++;
}

static uint64_t row_segv(unsigned units)
{
    volatile uint8_t *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, on_fault);
    signals = 0;
    for (volatile unsigned u = 0; u < units; u++) {
        if (!sigsetjmp(landing, 1))
            *p = 1;
    }
    signal(SIGSEGV, SIG_DFL);
    munmap((void *)p, 4096);
    return signals;
}

static uint64_t row_kill(unsigned units)
{
    signal(SIGUSR1, on_signal);
    signals = 0;
    for (unsigned u = 0; u < units; u++)
        kill(getpid(), SIGUSR1);
    return signals;
}

static uint64_t row_pipe(unsigned units)
{
    int there[2], back[2];
    char c = 1;
    uint64_t sum = 0;
    if (pipe(there) || pipe(back))
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        close(there[1]);
        while (read(there[0], &c, 1) == 1)
            if (write(back[1], &c, 1) != 1)
                break;
        _exit(0);
    }
    for (unsigned u = 0; u < units; u++) {
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
            break;
        sum += (uint64_t)c;
    }
    for (unsigned n = 0; n < 2; n++)
        close(there[n]), close(back[n]);
    waitpid(pid, NULL, 0);
    return sum;
}

/* --- other programs --- */

static const char *self;

static uint64_t spawn(const char *path, const char *const argv[])
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        execv(path, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    return (uint64_t)WEXITSTATUS(status);
}

static uint64_t row_exec(unsigned units)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++)
        sum += spawn(self, (const char *const[]){self, "=exit", NULL});
    return sum;
}

static uint64_t shell(unsigned units, const char *script)
{
    uint64_t sum = 0;
    for (unsigned u = 0; u < units; u++)
        sum += spawn("/bin/busybox", (const char *const[]){"ash", "-c", script, NULL});
    return sum;
}

static uint64_t row_ash(unsigned units)
{
    return shell(units, "i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); done; exit 7");
}

static uint64_t row_ash_exec(unsigned units)
{
    return shell(units, "for i in 0 1 2 3 4 5 6 7 8 9; do /bin/busybox false; done; exit 7");
}

static uint64_t row_gzip(unsigned units)
{
    int fd = open("/tmp/data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (unsigned n = 0; n < 65536; n++)
        buffer2[n] = "etaoin shrdlu..."[buffer[n] & 15];
    if (write(fd, buffer2, 65536) != 65536)
        return 0;
    close(fd);
    return shell(units, "gzip -c </tmp/data | gunzip -c | md5sum >/tmp/sum; exit 7");
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
    {"tree", row_tree, 50, "1023 nodes"},
    {"chase", row_chase, 6000, "1000 loads"},
    {"chase-8192", row_chase_pages, 4000, "1000 pages"},
    {"sse-copy", row_sse_copy, 200, "128 KiB"},
    {"nbody", row_nbody, 100, "100 steps"},
    {"x87", row_x87, 400, "1000 sums"},
    {"rewrite", row_rewrite, 20000, "write, call"},
    {"zero", row_zero, 20000, "4 KiB"},
    {"clock", row_clock, 100000, "clock_gettime"},
    {"mprotect", row_mprotect, 5000, "2, store"},
    {"segv", row_segv, 2000, "SIGSEGV"},
    {"kill", row_kill, 10000, "SIGUSR1"},
    {"pipe", row_pipe, 2000, "round trip"},
    {"exec", row_exec, 60, "fork, exec, wait"},
    {"ash", row_ash, 3, "ash, 1000 rounds"},
    {"ash-exec", row_ash_exec, 5, "10 programs"},
    {"gzip", row_gzip, 3, "64 KiB and back"},
};

static int on_host;

static void say(const char *line)
{
    if (on_host) {
        fputs(line, stdout);
        return;
    }
    for (; *line; line++) {
        while (!(inb(COM1 + LSR) & LSR_EMPTY))
            ;
        outb((unsigned char)*line, COM1);
    }
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

/* What the rows need that an initramfs without /dev has not. */
static void prepare(void)
{
    mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3));
    mknod("/dev/zero", S_IFCHR | 0666, makedev(1, 5));
    while (open("/dev/null", O_RDWR) < 2)
        ;
}

static void fill_memory(void)
{
    for (unsigned n = 0; n < sizeof buffer; n++)
        buffer[n] = (uint8_t)next_random();
    memset(buffer2, 1, sizeof buffer2);
    make_page_ring();
}

static void run_row(const struct row *row)
{
    char line[200];
    snprintf(line, sizeof line, "begin %s\n", row->name);
    say(line);
    usleep(SETTLE_US);
    uint64_t ticks = __rdtsc();
    uint64_t check = row->run(row->units);
    ticks = __rdtsc() - ticks;
    snprintf(line, sizeof line, "end %s %u %llx %llu %s\n", row->name, row->units, (unsigned long long)check,
             (unsigned long long)ticks, row->unit);
    say(line);
    usleep(SETTLE_US);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1 && !strcmp(argv[1], "=exit"))
        return 5;
    char line[200];
    on_host = getpid() != 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!on_host && iopl(3))
        return 1;
    snprintf(line, sizeof line, "up - %llu\n", (unsigned long long)__rdtsc());
    say(line);
    usleep(SETTLE_US);
    if (!on_host)
        prepare();
    fill_memory();
    for (unsigned r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (wanted(rows[r].name, argv + 1))
            run_row(&rows[r]);
    }
    say("done\n");
    if (on_host)
        return 0;
    usleep(SETTLE_US);
    outb(0, DEBUG_EXIT);
    for (;;)
        pause();
}
