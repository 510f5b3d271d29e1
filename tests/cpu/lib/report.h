// SPDX-License-Identifier: MIT
//
// The part of the CPU tests that counts and tells, and what it needs from the world it runs in (native.c, guest.c).
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* As cpu_test.h's check_frame and its callers push it. */
struct check_frame {
    const char *what;
    uint64_t line, mask, want, rax, got, flags;
};

struct cpu_fault {
    uint64_t resume, vector, error, cr2, rip, flags, rsp, cs;
};

extern struct cpu_fault cpu_fault;
extern const char cpu_topic[];
extern const uint32_t cpu_ring;

void cpu_topic_main(void); /* the topic; may leave any registers changed but those of the C ABI */

/* --- report.c --- */
void report_check(const struct check_frame *c);
void report_check_flags(const struct check_frame *c);
/* An exception nobody expected: says so and ends. */
_Noreturn void report_unexpected(const struct cpu_fault *f);
_Noreturn void report_end(void);
bool cpu_need_feature(uint32_t leaf, uint32_t sub, unsigned reg, unsigned bit, const char *what);
bool cpu_need_right(const char *name);

/* --- the world --- */
_Noreturn void world_end(const char *text, unsigned len, bool good);
/* Is this word in the list wrong=A,B of the command line? */
bool world_is_wrong(const char *name);
