// SPDX-License-Identifier: MIT
//
// What the machine knows of every device: its name, how to reset it, how to take it down. A device
// embeds this struct first. The board (src/vm/machine_pc.c) creates devices in the order of one
// array and keeps them in a list. Thread: all ops under the device lock.
#pragma once

struct device;

struct device_ops {
    void (*reset)(struct device *dev); /* back to power-on state; never fails; NULL: stateless */
    void (*fini)(struct device *dev);  /* free everything, the struct included */
};

struct device {
    const char *name;
    const struct device_ops *ops;
    struct device *next; /* the machine's list, in order of creation */
};
