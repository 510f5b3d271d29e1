// SPDX-License-Identifier: MIT
//
// A software vCPU for tests: RAM without devices, ports that are recorded, no paging, flat
// segments. Code is decoded from a byte array of the test's own, not from guest memory. It needs
// the decoder, the operations and some system part (x86_cpu_init, memory slow paths): the real one
// or a test's stand-in.
#pragma once

#include <stddef.h>

#include "src/accel/x86/cpu.h"
#include "src/accel/x86/env.h"
#include "src/accel/x86/flags.h"

#define RIG_IO_LOG 64

struct cpu_rig {
    struct x86_cpu cpu;
    struct x86_env env;
    struct gmem gmem;

    /* What runs: `code_len` bytes, the first of which lies at rip `code_base`. */
    const uint8_t *code;
    size_t code_len;
    uint64_t code_base;
    struct insn insn; /* the last one decoded */

    /* Called before each instruction when set; false ends the run. */
    bool (*before)(struct cpu_rig *rig, void *opaque);
    void *opaque;

    struct {
        bool write;
        uint16_t port;
        unsigned size;
        uint64_t val;
    } io[RIG_IO_LOG];
    unsigned n_io;
    uint64_t io_answer; /* what ports read as */
};

/* RAM: `low_size` bytes from 0 and `high_size` bytes at `high_base`. Stops the test program when
 * there is no memory. */
void cpu_rig_init(struct cpu_rig *rig, uint64_t low_size, uint64_t high_base, uint64_t high_size);
void cpu_rig_fini(struct cpu_rig *rig);

/* Registers as zero, flat segments, CPL 3 in 64-bit mode, CPL 0 in 32-bit mode, real mode in 16-bit
 * mode. */
void cpu_rig_mode(struct cpu_rig *rig, enum x86_mode mode);

enum rig_end { RIG_DONE, RIG_FAULT, RIG_STOPPED, RIG_RUNAWAY };

/*
 * Run from cpu.next_rip until it leaves the code. RIG_FAULT: cpu.exception has it and rip is the
 * instruction's. RIG_STOPPED: `before` said so. RIG_RUNAWAY: more than `limit` instructions.
 */
enum rig_end cpu_rig_run(struct cpu_rig *rig, unsigned limit);

/* The same for one piece of code at a place in the rig's RAM that is only a number. */
enum rig_end cpu_rig_exec(struct cpu_rig *rig, const uint8_t *code, size_t len);
