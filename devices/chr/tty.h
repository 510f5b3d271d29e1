// SPDX-License-Identifier: MIT
//
// What the stdio backend needs of the terminal beside tty_raw() and tty_restore() of chr.h.
#pragma once

#include <stdbool.h>

/*
 * The stdio backend will read the terminal. Without it tty_raw() does nothing: keys would go
 * nowhere, and Ctrl-C must go on ending the process.
 */
void tty_claim(void);

/*
 * False when the terminal belongs to another process group: reading it or changing its modes
 * would stop us.
 */
bool tty_in_foreground(int fd);

/*
 * Back in the foreground, or continued after a stop: go raw again if tty_raw() was ever asked for.
 * Nothing happens in the background.
 */
void tty_raw_again(void);

/* About to be stopped: the modes of before, until tty_raw_again(). */
void tty_lend(void);
