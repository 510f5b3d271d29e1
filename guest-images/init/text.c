// SPDX-License-Identifier: MIT
//
// Memory, text and the console for minivmm's init: see sys.h. The compiler is told not to make calls
// of these functions out of their own loops (Makefile).
#include <errno.h>
#include <stdarg.h>

#include "sys.h"

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    void *ret = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
    return ret;
}

void *memmove(void *to, const void *from, size_t len)
{
    char *t = to;
    const char *f = from;
    if (t <= f)
        return memcpy(to, from, len);
    while (len--)
        t[len] = f[len];
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    void *ret = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(byte) : "memory");
    return ret;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *text, int byte)
{
    for (; *text != (char)byte; text++) {
        if (!*text)
            return NULL;
    }
    return (char *)(uintptr_t)text;
}

bool starts_with(const char *text, const char *prefix)
{
    for (; *prefix; prefix++, text++) {
        if (*text != *prefix)
            return false;
    }
    return true;
}

/* Appends the parts up to a NULL; where the text ends now. */
static size_t join(char *to, size_t room, size_t at, va_list ap)
{
    for (const char *part; (part = va_arg(ap, const char *));) {
        while (*part && at + 1 < room)
            to[at++] = *part++;
    }
    to[at] = '\0';
    return at;
}

void text_join(char *to, size_t room, ...)
{
    va_list ap;
    va_start(ap, room);
    join(to, room, 0, ap);
    va_end(ap);
}

char *text_number(char *buf, uint64_t value)
{
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) && n < sizeof digits);
    for (size_t i = 0; i < n; i++)
        buf[i] = digits[n - 1 - i];
    buf[n] = '\0';
    return buf;
}

uint64_t text_to_number(const char **text)
{
    uint64_t value = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        value = value * 10 + (uint64_t)(**text - '0');
    return value;
}

const char *text_errno(char *buf, int error)
{
    static const struct {
        int error;
        const char *text;
    } known[] = {
        {ENOENT, "no such file"},          {ENODEV, "not known to this kernel"},
        {EINVAL, "not what it should be"}, {ENXIO, "no such device"},
        {EACCES, "permission denied"},     {EROFS, "read-only"},
        {EIO, "input/output error"},       {ENOEXEC, "not a program or module for this kernel"},
        {ENOMEM, "out of memory"},         {ENOTDIR, "not a directory"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].error == error)
            return known[i].text;
    }
    char number[24];
    text_join(buf, 32, "error ", text_number(number, (uint64_t)error), NULL);
    return buf;
}

static void say_all(const char *text, va_list ap)
{
    char line[512];
    text_join(line, sizeof line - 1, "minivmm init: ", text, NULL);
    size_t len = join(line, sizeof line - 1, strlen(line), ap);
    line[len++] = '\n';
    sys_write(2, line, len);
}

void say(const char *text, ...)
{
    va_list ap;
    va_start(ap, text);
    say_all(text, ap);
    va_end(ap);
}

void give_up(const char *text, ...)
{
    va_list ap;
    va_start(ap, text);
    say_all(text, ap);
    va_end(ap);
    SYS1(exit_group, 1);
    __builtin_unreachable();
}

long read_file(const char *path, char *buf, size_t room)
{
    int fd = sys_open(path, 02000000 /* O_CLOEXEC, reading */);
    if (fd < 0)
        return fd;
    size_t done = 0;
    long n = 1;
    while (done < room - 1 && (n = sys_read(fd, buf + done, room - 1 - done)) > 0)
        done += (size_t)n;
    sys_close(fd);
    buf[done] = '\0';
    return n < 0 ? n : (long)done;
}

void sleep_ms(unsigned ms)
{
    const long time[2] = {ms / 1000, ms % 1000 * 1000000L};
    SYS2(nanosleep, time, NULL);
}
