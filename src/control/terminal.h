// SPDX-License-Identifier: MIT
//
// The monitor on the terminal: keys that standard input's backend hands over (Ctrl-A c), or all of
// them (-monitor stdio), edited into lines.
#pragma once

#include "err.h"

struct vm;
struct terminal_monitor;

int terminal_open(struct vm *vm, struct terminal_monitor **out, struct err *err);
void terminal_close(struct terminal_monitor *t); /* NULL is allowed */
