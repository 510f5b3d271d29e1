// SPDX-License-Identifier: MIT
//
// What the /init programs of the benchmarks share: rows of work, each timed in the guest and told of on the console, so that the host can
// read its own clock too. "BEGIN name" comes before a row, "ROW name units nanoseconds tsc-ticks" after it, "ROWS end" after the last.
#pragma once

/* What must hold; else "fail: what" on the console, and the machine goes off. */
#define NEED(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            rows_give_up(#what);                                                                   \
    } while (0)

void rows_give_up(const char *what);

/* Inserts the modules that /lib/minivmm/modules names; then a row "cpu", which does no I/O: it tells how fast the engine runs the guest. */
void rows_begin(void);

void row(const char *name, unsigned units, void (*run)(void));

/* Powers off. */
void rows_end(void);
