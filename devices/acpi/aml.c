// SPDX-License-Identifier: MIT
//
// The AML writer: see aml.h. Encodings are those of ACPI 6.4 section 20.2 (terms) and 6.4
// (resource descriptors).
#include "aml.h"

#include <string.h>

#include "util.h"

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_EXT = 0x5b,
    OP_EXT_DEVICE = 0x82,
    OP_IF = 0xa0,
    NAME_DUAL = 0x2e,
    NAME_MULTI = 0x2f,
};

void aml_init(struct aml *a, void *buf, size_t cap)
{
    *a = (struct aml){.buf = buf, .cap = cap};
}

/* --- raw bytes --- */

static void insert(struct aml *a, size_t at, const void *data, size_t len)
{
    if (a->failed || len > a->cap - a->len) {
        a->failed = true;
        return;
    }
    memmove(a->buf + at + len, a->buf + at, a->len - at);
    if (len)
        memcpy(a->buf + at, data, len);
    a->len += len;
}

void aml_bytes(struct aml *a, const void *data, size_t len)
{
    insert(a, a->len, data, len);
}

void aml_u8(struct aml *a, uint8_t v)
{
    aml_bytes(a, &v, sizeof v);
}

void aml_u16(struct aml *a, uint16_t v)
{
    uint8_t b[2];
    store_le16(b, v);
    aml_bytes(a, b, sizeof b);
}

void aml_u32(struct aml *a, uint32_t v)
{
    uint8_t b[4];
    store_le32(b, v);
    aml_bytes(a, b, sizeof b);
}

void aml_u64(struct aml *a, uint64_t v)
{
    uint8_t b[8];
    store_le64(b, v);
    aml_bytes(a, b, sizeof b);
}

/* --- constructs with a length --- */

static void open_construct(struct aml *a, bool resources)
{
    if (a->depth == AML_DEPTH) {
        a->failed = true;
        return;
    }
    a->open[a->depth].start = a->len;
    a->open[a->depth].resources = resources;
    a->depth++;
}

/*
 * PkgLength counts itself. One byte holds 6 bits; otherwise the top two bits of the first byte
 * say how many bytes follow, and its low four are the length's low four.
 */
static size_t encode_length(uint8_t out[4], size_t body)
{
    if (body + 1 < 1u << 6) {
        out[0] = (uint8_t)(body + 1);
        return 1;
    }
    unsigned extra = body + 2 < 1u << 12 ? 1 : body + 3 < 1u << 20 ? 2 : 3;
    size_t total = body + 1 + extra;
    out[0] = (uint8_t)(extra << 6 | (total & 0xf));
    for (unsigned i = 1; i <= extra; i++)
        out[i] = (uint8_t)(total >> (8 * i - 4));
    return 1 + extra;
}

static size_t encode_int(uint8_t out[9], uint64_t v)
{
    if (v <= 1) {
        out[0] = v ? OP_ONE : OP_ZERO;
        return 1;
    }
    unsigned size = v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
    out[0] = size == 1 ? OP_BYTE : size == 2 ? OP_WORD : size == 4 ? OP_DWORD : OP_QWORD;
    memcpy(out + 1, &v, size);
    return 1 + size;
}

void aml_close(struct aml *a)
{
    if (a->failed || !a->depth) {
        a->failed = true;
        return;
    }
    a->depth--;
    size_t start = a->open[a->depth].start;
    uint8_t head[9];
    if (a->open[a->depth].resources) {
        aml_u16(a, 0x0079); /* end tag; checksum 0 means "not used" */
        insert(a, start, head, encode_int(head, a->len - start));
    }
    insert(a, start, head, encode_length(head, a->len - start));
}

void aml_scope(struct aml *a, const char *path)
{
    aml_u8(a, OP_SCOPE);
    open_construct(a, false);
    aml_path(a, path);
}

void aml_device(struct aml *a, const char *path)
{
    aml_u8(a, OP_EXT);
    aml_u8(a, OP_EXT_DEVICE);
    open_construct(a, false);
    aml_path(a, path);
}

void aml_method(struct aml *a, const char *path, unsigned nargs, bool serialized)
{
    aml_u8(a, OP_METHOD);
    open_construct(a, false);
    aml_path(a, path);
    aml_u8(a, (uint8_t)((nargs & 7) | (serialized ? 8 : 0)));
}

void aml_package(struct aml *a, uint8_t nelements)
{
    aml_u8(a, OP_PACKAGE);
    open_construct(a, false);
    aml_u8(a, nelements);
}

void aml_if(struct aml *a)
{
    aml_u8(a, OP_IF);
    open_construct(a, false);
}

void aml_resources(struct aml *a)
{
    aml_u8(a, OP_BUFFER);
    open_construct(a, true);
}

/* --- data and names --- */

void aml_int(struct aml *a, uint64_t v)
{
    uint8_t b[9];
    aml_bytes(a, b, encode_int(b, v));
}

void aml_string(struct aml *a, const char *s)
{
    aml_u8(a, OP_STRING);
    aml_bytes(a, s, strlen(s) + 1);
}

void aml_buffer(struct aml *a, const void *data, size_t len)
{
    aml_u8(a, OP_BUFFER);
    open_construct(a, false);
    aml_int(a, len);
    aml_bytes(a, data, len);
    aml_close(a);
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 0xf;
}

/* Three letters of five bits and four hexadecimal digits, stored big-endian. */
void aml_eisaid(struct aml *a, const char *id)
{
    if (strlen(id) != 7) {
        a->failed = true;
        return;
    }
    uint32_t v = 0;
    for (unsigned i = 0; i < 3; i++)
        v = v << 5 | (id[i] & 0x1f);
    for (unsigned i = 3; i < 7; i++)
        v = v << 4 | hex_digit(id[i]);
    aml_u8(a, OP_DWORD);
    aml_u32(a, __builtin_bswap32(v));
}

/* One segment of at most four characters, padded; returns what follows it. */
static const char *segment(struct aml *a, const char *s)
{
    char seg[4] = {'_', '_', '_', '_'};
    unsigned n = 0;
    while (s[n] && s[n] != '.' && n < 4) {
        seg[n] = s[n];
        n++;
    }
    aml_bytes(a, seg, sizeof seg);
    if (s[n] && s[n] != '.')
        a->failed = true; /* longer than four */
    return s[n] == '.' ? s + n + 1 : s + n;
}

void aml_path(struct aml *a, const char *path)
{
    while (*path == '\\' || *path == '^')
        aml_u8(a, (uint8_t)*path++);
    unsigned segments = *path ? 1 : 0;
    for (const char *s = path; *s; s++)
        segments += *s == '.';
    if (segments == 0) {
        aml_u8(a, 0); /* NullName */
    } else if (segments == 2) {
        aml_u8(a, NAME_DUAL);
    } else if (segments > 2) {
        aml_u8(a, NAME_MULTI);
        aml_u8(a, (uint8_t)segments);
    }
    while (*path && !a->failed)
        path = segment(a, path);
}

void aml_name(struct aml *a, const char *path)
{
    aml_u8(a, OP_NAME);
    aml_path(a, path);
}

void aml_op(struct aml *a, enum aml_op op)
{
    aml_u8(a, (uint8_t)op);
}

/* --- resource descriptors --- */

void aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
    aml_u8(a, 0x47);
    aml_u8(a, 1); /* decodes 16 bits */
    aml_u16(a, base);
    aml_u16(a, base);
    aml_u8(a, 1); /* alignment */
    aml_u8(a, len);
}

void aml_res_irq(struct aml *a, unsigned irq)
{
    aml_u8(a, 0x22);
    aml_u16(a, (uint16_t)(1u << irq));
}

void aml_res_gsi_level_high(struct aml *a, uint32_t gsi)
{
    aml_u8(a, 0x89);
    aml_u16(a, 6);
    aml_u8(a, 1); /* consumer; level, active high, exclusive are zeros */
    aml_u8(a, 1); /* one interrupt */
    aml_u32(a, gsi);
}

void aml_res_memory32(struct aml *a, uint32_t base, uint32_t len)
{
    aml_u8(a, 0x86);
    aml_u16(a, 9);
    aml_u8(a, 1); /* read and write */
    aml_u32(a, base);
    aml_u32(a, len);
}

enum { WINDOW_MEMORY = 0, WINDOW_IO = 1, WINDOW_BUS = 2 };
#define WINDOW_FIXED 0x0c /* produced; minimum and maximum fixed */

static void window16(struct aml *a, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
    aml_u8(a, 0x88);
    aml_u16(a, 13);
    aml_u8(a, type);
    aml_u8(a, WINDOW_FIXED);
    aml_u8(a, flags);
    aml_u16(a, 0); /* granularity */
    aml_u16(a, first);
    aml_u16(a, last);
    aml_u16(a, 0); /* translation */
    aml_u16(a, (uint16_t)(last - first + 1));
}

void aml_res_bus_window(struct aml *a, uint16_t first, uint16_t last)
{
    window16(a, WINDOW_BUS, 0, first, last);
}

void aml_res_io_window(struct aml *a, uint16_t first, uint16_t last)
{
    window16(a, WINDOW_IO, 3, first, last); /* ISA and non-ISA addresses */
}

void aml_res_memory_window(struct aml *a, uint32_t first, uint32_t last)
{
    aml_u8(a, 0x87);
    aml_u16(a, 23);
    aml_u8(a, WINDOW_MEMORY);
    aml_u8(a, WINDOW_FIXED);
    aml_u8(a, 1); /* uncached, read and write */
    aml_u32(a, 0);
    aml_u32(a, first);
    aml_u32(a, last);
    aml_u32(a, 0);
    aml_u32(a, last - first + 1);
}
