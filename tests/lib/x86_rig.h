// SPDX-License-Identifier: MIT
//
// A vCPU with 16 MiB of memory and nothing else: descriptor tables, page tables and stacks at fixed
// places, a fake environment that records. For tests of the x86 core, one instruction or one call
// at a time.
#pragma once

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem.h"
#include "src/accel/x86/core.h"
#include "src/accel/x86/env.h"
#include "src/accel/x86/flags.h"
#include "src/accel/x86/mem.h"
#include "src/accel/x86/mmu.h"
#include "src/accel/x86/sys.h"

/* Where things lie, physical and linear. */
enum {
    RIG_GDT = 0x1000,
    RIG_LDT = 0x1800,
    RIG_IDT = 0x2000,
    RIG_TSS = 0x3000,
    RIG_TSS_B = 0x3800, /* a second task */
    RIG_PML4 = 0x10000,
    RIG_PDPT = 0x11000,
    RIG_PD = 0x12000,
    RIG_PT = 0x13000, /* PT maps the first 2 MiB */
    RIG_CODE = 0x20000,
    RIG_STACK = 0x38000,
    RIG_USER_STACK = 0x48000,
    RIG_IST = 0x4c000,
    RIG_HANDLERS = 0x50000,
    RIG_DATA = 0x60000,
    RIG_MMIO = 0x2000000, /* above RAM */
};

/* Selectors of the GDT that x86_rig_protected and x86_rig_long make. */
enum {
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_USER_DATA = 0x1b,
    SEL_USER_CODE = 0x23, /* 32 bits, flat; ring 3 ones with RPL 3 */
    SEL_CODE64 = 0x28,
    SEL_USER_CODE64 = 0x33,
    SEL_TSS = 0x38,
    SEL_TSS_B = 0x48,
    SEL_FREE = 0x50, /* from here on free to set */
};

/* A descriptor: access byte (P DPL S type), upper nibble (G D L AVL). */
#define DESC(base, limit, access, nibble)                                                          \
    (((uint64_t)(limit)&0xffff) | ((uint64_t)(base)&0xffffff) << 16 | (uint64_t)(access) << 40 |   \
     ((uint64_t)(limit) >> 16 & 15) << 48 | (uint64_t)(nibble) << 52 |                             \
     ((uint64_t)(base) >> 24 & 0xff) << 56)
#define GATE(sel, off, access)                                                                     \
    (((uint64_t)(off)&0xffff) | (uint64_t)(sel) << 16 | (uint64_t)(access) << 40 |                 \
     ((uint64_t)(off) >> 16 & 0xffff) << 48)

struct x86_rig {
    struct gmem gm;
    struct x86_env env;
    struct x86_cpu cpu;
    gpa_t code_page; /* the page that has decoded code, or all ones */
    unsigned code_writes, mapping_changes;
    gpa_t mmio_addr;
    uint64_t mmio_val;
    unsigned mmio_size, mmio_reads, mmio_writes;
    uint64_t cr8, tsc, utc_of_start;
    bool tscs_differ;
};

/* What an attempt ended with: vector -1 is no fault. */
struct outcome {
    int vector;
    bool has_error;
    uint32_t error;
};

struct x86_rig *
x86_rig_new(void); /* in real mode, at RIG_CODE with CS base there, stack in the same 64 KiB */
void x86_rig_free(struct x86_rig *r);
void x86_rig_protected(
    struct x86_rig *r);               /* 32-bit, ring 0, no paging; all IDT entries lead to HLTs */
void x86_rig_long(struct x86_rig *r); /* 64-bit, ring 0, paged */
void x86_rig_user(struct x86_rig *r); /* from either of them: ring 3 */
void x86_rig_v86(struct x86_rig *r, unsigned iopl); /* from protected mode; CS base RIG_CODE */

void x86_rig_gdt(struct x86_rig *r, uint16_t sel, uint64_t desc);
void x86_rig_gate(struct x86_rig *r, unsigned vector, uint64_t gate); /* 8 bytes */
void x86_rig_gate64(struct x86_rig *r, unsigned vector, uint16_t sel, uint64_t off, uint8_t access,
                    unsigned ist);
uint64_t x86_rig_handler(unsigned vector); /* address of its HLT */

void x86_rig_poke(struct x86_rig *r, gpa_t at, uint64_t val, unsigned size);
uint64_t x86_rig_peek(struct x86_rig *r, gpa_t at, unsigned size);

/* Decode and run one instruction at the present rip, reporting a fault instead of delivering it. */
struct outcome x86_rig_try(struct x86_rig *r, const void *code, size_t len);
/* The same through x86_step: faults are delivered. */
void x86_rig_step(struct x86_rig *r, const void *code, size_t len);

#define TRY(r, ...)                                                                                \
    x86_rig_try(r, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define STEP(r, ...)                                                                               \
    x86_rig_step(r, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Run statements and give the fault that they raise. */
#define CATCH(r, out, ...)                                                                         \
    do {                                                                                           \
        if (setjmp((r)->cpu.fault_landing)) {                                                      \
            *(out) = x86_rig_fault(r);                                                             \
        } else {                                                                                   \
            __VA_ARGS__;                                                                           \
            *(out) = (struct outcome){.vector = -1};                                               \
        }                                                                                          \
    } while (0)
struct outcome x86_rig_fault(const struct x86_rig *r);

#define ck_assert_fault(got, want_vector, want_error)                                              \
    do {                                                                                           \
        struct outcome got_ = (got);                                                               \
        ck_assert_int_eq(got_.vector, want_vector);                                                \
        ck_assert(got_.has_error);                                                                 \
        ck_assert_uint_eq(got_.error, (uint32_t)(want_error));                                     \
    } while (0)
#define ck_assert_no_fault(got) ck_assert_int_eq((got).vector, -1)
