// SPDX-License-Identifier: MIT
//
// Control of a running machine from outside: QMP sockets (-qmp) and the human monitor (-monitor,
// Ctrl-A c). One `struct control` a machine; NULL where nobody asked for it, and then every call
// here does nothing. Thread: the event loop's, without the device lock, but for control_tell.
// Commands take the device lock, or hold the vCPUs for a moment, by themselves; what clients do or
// fail to do costs the guest nothing else.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct vm;
struct control;

/* What clients are told by themselves. Names and data: qmp.c. */
enum control_event {
    CONTROL_SHUTDOWN,
    CONTROL_RESET,
    CONTROL_STOP,
    CONTROL_RESUME,
    CONTROL_POWERDOWN,
    CONTROL_GUEST_PANICKED,
    CONTROL_WATCHDOG,
    CONTROL_BALLOON_CHANGE,
    CONTROL_EVENTS,
};

/* Listen where the configuration says. *out stays NULL when it says nothing. */
int control_open(struct vm *vm, struct control **out, struct err *err);

/* Something happened, now: the guest's doing or not; `word` is a constant (a reason, an action) or
 * NULL. Any thread, any lock held. A bounded number waits for delivery, later ones are dropped. */
void control_tell(struct control *control, enum control_event event, bool guest, const char *word);

/* The guest's memory without what is in the balloon has another size. As control_tell. */
void control_tell_balloon(struct control *control, uint64_t bytes);

/* Send what was told to the clients. */
void control_deliver(struct control *control);

/* The machine ends with this value of vm->stop: SHUTDOWN, and whatever still fits in the clients'
 * sockets. */
void control_tell_end(struct control *control, unsigned stop);

void control_close(struct control *control);
