// SPDX-License-Identifier: MIT
//
// A machine without CPUs that can be steered: lock, event queue, clock, power management, a balloon without a driver, and control sockets in a folder of their own. Tests pump
// it by hand, so nothing depends on time.
#pragma once

#include "src/vm/vm.h"

#define CONTROL_RIG_RAM (16ull << 20)

struct control_rig {
    struct vm vm;
    struct config cfg;
    char folder[64], qmp_path[96], monitor_path[96];
    unsigned sci; /* times the wire went up */
};

void control_rig_open(struct control_rig *r);
void control_rig_close(struct control_rig *r);

/* A connected client; -1: refused. */
int control_rig_connect(const char *path);

/* Let the machine do what there is to do now. */
void control_rig_pump(struct control_rig *r);

/* The next line that a client gets, without its end; false: none came. */
bool control_rig_line(struct control_rig *r, int fd, char *buf, size_t len);

/* Send, and the next line. "" when there is none. */
const char *control_rig_ask(struct control_rig *r, int fd, const char *text);

/* Any bytes to the protocol and to the monitor, as a client could send them: the first says which. Every answer must be one. For fuzzers too. */
void control_chaos(struct control_rig *r, const uint8_t *data, size_t size);
