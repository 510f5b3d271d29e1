// SPDX-License-Identifier: MIT
//
// What minivmm's init has for a C library: system calls of x86-64 Linux as inline functions, a few
// functions on text, and lines to the console. Functions named as in POSIX return what the kernel
// does: a negative errno on failure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/unistd.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

#define SYS0(nr) sys6(__NR_##nr, 0, 0, 0, 0, 0, 0)
#define SYS1(nr, a) sys6(__NR_##nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(nr, a, b) sys6(__NR_##nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(nr, a, b, c) sys6(__NR_##nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(nr, a, b, c, d) sys6(__NR_##nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(nr, a, b, c, d, e) \
    sys6(__NR_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

static inline int sys_open(const char *path, int flags)
{
    return (int)SYS3(open, path, flags, 0600);
}

static inline int sys_close(int fd)
{
    return (int)SYS1(close, fd);
}

static inline long sys_read(int fd, void *buf, size_t len)
{
    return SYS3(read, fd, buf, len);
}

static inline long sys_write(int fd, const void *buf, size_t len)
{
    return SYS3(write, fd, buf, len);
}

static inline int sys_mkdir(const char *path, unsigned mode)
{
    return (int)SYS2(mkdir, path, mode);
}

static inline int sys_mount(const char *from, const char *to, const char *type,
                            unsigned long flags, const char *data)
{
    return (int)SYS5(mount, from, to, type, flags, data);
}

/* --- memory and text (text.c); names and meanings are the C library's --- */

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
char *strchr(const char *text, int byte);

bool starts_with(const char *text, const char *prefix);

/* Text put together in a buffer; what does not fit is cut. Ends with a NULL. */
void text_join(char *to, size_t room, ...) __attribute__((sentinel));

/* The number as decimal text, in a buffer of at least 24 bytes. */
char *text_number(char *buf, uint64_t value);

/* Digits up to the text's end or a byte that is none; *text goes there. */
uint64_t text_to_number(const char **text);

/* What the kernel says of an errno of ours, for the few that matter; else "error N". */
const char *text_errno(char *buf, int error);

/* --- console (text.c) --- */

/* One line on the console, with the program's name in front. Ends with a NULL. */
void say(const char *text, ...) __attribute__((sentinel));

/* The same, and then the end of this process: the kernel panics, as it does without a root. */
_Noreturn void give_up(const char *text, ...) __attribute__((sentinel));

/* All of a small file, with a zero byte behind it; its length or -errno. */
long read_file(const char *path, char *buf, size_t room);

void sleep_ms(unsigned ms);
