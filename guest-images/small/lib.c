// SPDX-License-Identifier: MIT
//
// Console and ending for the small guests: see guest.h.
#include "guest.h"

#include <stdarg.h>

#define LSR 5
#define LSR_THRE 0x20

static void put_char(char c)
{
    while (!(inb(COM1 + LSR) & LSR_THRE))
        ;
    outb(COM1, (uint8_t)c);
}

static void put_string(const char *s)
{
    while (*s)
        put_char(*s++);
}

static void put_number(unsigned long v, unsigned base)
{
    char digits[24];
    unsigned n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (n)
        put_char(digits[--n]);
}

void print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put_char(*fmt);
            continue;
        }
        bool is_long = *++fmt == 'l';
        if (is_long)
            fmt++;
        switch (*fmt) {
        case 's':
            put_string(va_arg(ap, const char *));
            break;
        case 'c':
            put_char((char)va_arg(ap, int));
            break;
        case 'u':
        case 'x':
            put_number(is_long ? va_arg(ap, unsigned long) : va_arg(ap, unsigned),
                       *fmt == 'u' ? 10 : 16);
            break;
        default:
            put_char(*fmt);
            break;
        }
    }
    va_end(ap);
}

/* --- the command line --- */

extern uint32_t multiboot_info;

uint32_t boot_info(unsigned offset)
{
    return read32(multiboot_info + offset);
}

/* What follows the word on the command line, or NULL. */
static const char *find_word(const char *word)
{
    const char *line = (const char *)(uintptr_t)boot_info(16);
    for (bool start = true; *line; start = *line++ == ' ') {
        const char *l = line, *w = word;
        while (*w && *l == *w)
            l++, w++;
        if (start && !*w)
            return l;
    }
    return NULL;
}

bool asked(const char *word)
{
    const char *rest = find_word(word);
    return rest && (!*rest || *rest == ' ');
}

uint32_t asked_number(const char *name, uint32_t otherwise)
{
    const char *digit = find_word(name);
    uint32_t v = 0;
    if (!digit)
        return otherwise;
    for (; *digit >= '0' && *digit <= '9'; digit++)
        v = v * 10 + (uint32_t)(*digit - '0');
    return v;
}

/* --- the end --- */

void finish(uint8_t code)
{
    outb(DEBUG_EXIT, code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* String instructions: an engine that interprets supervisor code takes one of them for many. */
void *memcpy(void *dst, const void *src, size_t n)
{
    void *to = dst;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(n) : : "memory");
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *to = dst;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    for (; n; n--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}
