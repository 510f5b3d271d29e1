// SPDX-License-Identifier: MIT
//
// Bytes of chance as guest code, in every mode and privilege, with and without paging. They run by
// x86_step, the reference, and by the interpreter's loop, from the same state; nothing may harm the
// host, and where both come to rest they must agree. Exceptions lead to handlers that go on behind
// the first byte of what faulted, or rest.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAOS_HEAD 10  /* bytes before the code: mode, options, seed of the registers */
#define CHAOS_MAX 1024 /* bytes in all that are used */
#define CHAOS_MODES 12

struct chaos;

struct chaos *chaos_new(void);
void chaos_free(struct chaos *ch);

/* Run one case. False: the engines differ; chaos_why says how. */
bool chaos_run(struct chaos *ch, const uint8_t *data, size_t size);
const char *chaos_why(const struct chaos *ch);

/* Make a case: bytes of chance with what matters more often than chance has it. */
size_t chaos_make(uint64_t seed, uint8_t data[static CHAOS_MAX]);

/* Counts so far: instructions by x86_step and by the interpreter's loop, cases compared. */
struct chaos_counts {
    uint64_t cases, stepped, looped, compared;
};
struct chaos_counts chaos_counts(const struct chaos *ch);
