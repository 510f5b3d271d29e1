// SPDX-License-Identifier: MIT
//
// The engine without a CPU: the whole board is there, no instruction ever runs. Device tests drive
// the buses of such a machine by hand and watch its interrupt controller, which only remembers.
#include "src/accel/none.h"

#include <stddef.h>

static void ignore_gsi(struct intc *intc, unsigned gsi, bool level)
{
    (void)intc, (void)gsi, (void)level;
}

static void ignore_msi(struct intc *intc, const struct msi_msg *msg)
{
    (void)intc, (void)msg;
}

static const struct intc_ops deaf_ops = {.gsi_set = ignore_gsi, .msi_send = ignore_msi};
static struct intc deaf = {.ops = &deaf_ops};

static int none_vm_init(struct accel *a, struct err *err)
{
    (void)err;
    a->intc = &deaf;
    return 0;
}

static void none_vm_fini(struct accel *a)
{
    a->intc = NULL;
}

static int none_reset(struct accel *a, struct err *err)
{
    (void)a, (void)err;
    return 0;
}

const struct accel_ops none_accel = {
    .name = "none",
    .help = "no CPU at all: for tests of devices and set-up",
    .vm_init = none_vm_init,
    .vm_fini = none_vm_fini,
    .reset = none_reset,
};
