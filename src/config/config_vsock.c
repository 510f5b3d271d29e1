// SPDX-License-Identifier: MIT
//
// -vsock: virtio sockets through UNIX sockets of the host. Nothing is opened here.
// QEMU's device for it wants the host kernel's vhost and has no name on the host's side, so its
// spelling would promise something else.
#include <errno.h>
#include <string.h>

#include "devices/vsock/vsock.h"
#include "src/config/config_parse.h"

#define FIELD(field) offsetof(struct cmdline, cfg.vsock.field)
static const struct opt_row vsock_rows[] = {
    {.name = "path", .metavar = "PATH", .kind = OPT_FILE, .offset = FIELD(path),
     .help = "The UNIX socket that minivmm listens on, at most 96 bytes; its mode is 0600."},
    {.name = "cid", .metavar = "N", .kind = OPT_NUMBER, .min = VSOCK_CID_FIRST,
     .max = VSOCK_CID_LAST, .offset = FIELD(cid), .help = "The guest's own address (default 3)."},
    {.name = "bus", .kind = OPT_CHOICE, .choices = config_buses, .offset = FIELD(bus),
     .help = "How the guest reaches the device (default pci)."},
    {0},
};
static const struct opt_keys vsock = {
    .what = "-vsock", .rows = vsock_rows, .first = "path", .first_always = true};
const struct opt_keys *const vsock_keys[] = {&vsock, NULL};

int config_set_vsock(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    if (cl->cfg.vsock.path)
        return err_set(err, EINVAL, "-vsock: there can be only one");
    cl->cfg.vsock.cid = VSOCK_CID_FIRST;
    return opt_parse_keys(&vsock, cl, value, &cl->cfg.pool, err);
}

int config_refuse_vhost_vsock(struct cmdline *cl, const char *words, struct err *err)
{
    (void)cl, (void)words;
    return err_set(err, EINVAL, "-device vhost-vsock-pci: the host kernel's vhost is not used; "
                                "give -vsock PATH[,cid=N], and host programs connect to PATH");
}
