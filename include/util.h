// SPDX-License-Identifier: MIT
//
// Small arithmetic that must never be got wrong twice: bounds, alignment, little-endian bytes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define NS_PER_S 1000000000ull

/* The struct that embeds `member` at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* True when [off, off+len) lies in [0, size), however large the numbers. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
    return off <= size && len <= size - off;
}

/* True when [a, a+alen) and [b, b+blen) share a byte; both must not wrap. Empty ranges share
 * nothing. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen && blen && a < b + blen && b < a + alen;
}

static inline bool is_power_of_two(uint64_t v)
{
    return v && !(v & (v - 1));
}

static inline uint64_t align_down(uint64_t v, uint64_t to)
{
    return v & ~(to - 1);
}

/* The caller knows that v + to does not wrap. */
static inline uint64_t align_up(uint64_t v, uint64_t to)
{
    return align_down(v + to - 1, to);
}

/* All ones in an access of `size` bytes (1 to 8). */
static inline uint64_t size_mask(unsigned size)
{
    return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/* Little-endian bytes at any alignment. The hosts we run on are little-endian x86-64. */
static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_le16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline void store_le32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline void store_le64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}
