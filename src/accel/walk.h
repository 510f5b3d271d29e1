// SPDX-License-Identifier: MIT
//
// Where a linear address leads, by a vCPU's page tables: for looking at a stopped guest, on any
// engine. Changes nothing, asks for no rights.
#pragma once

#include <stdbool.h>

#include "cpu_state.h"
#include "gmem.h"

/*
 * False: nothing is mapped there, or the tables are not in RAM. The answer holds to the end of the
 * page of 4 KiB.
 */
bool walk_linear(const struct gmem *gm, const struct cpu_state *cpu, uint64_t address, gpa_t *gpa);
