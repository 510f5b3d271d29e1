// SPDX-License-Identifier: MIT
//
// A gdb client that says anything. The bytes are commands of which the harness makes whole packets, or go to the stub as they are; the machine
// is one vCPU of the interpreter that runs a few instructions when it is let go. Stops the program when the stub breaks its word.
#pragma once

#include <stddef.h>
#include <stdint.h>

void gdb_chaos_run(const uint8_t *data, size_t size);
/* So many inputs of chance, made of what clients say. */
void gdb_chaos_many(unsigned count, uint64_t seed);
