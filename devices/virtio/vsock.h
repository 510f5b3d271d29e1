// SPDX-License-Identifier: MIT
//
// A virtio socket device.
#pragma once

#include <stdint.h>

#include "devices/vsock/vsock.h"
#include "err.h"
#include "gmem.h"
#include "virtio.h"

/*
 * `sock` stays the caller's and must outlive the device. Give the device to a transport, which then
 * owns it. NULL with `err` set on failure.
 */
struct virtio *virtio_vsock_create(struct vsock *sock, uint32_t guest_cid, struct gmem *gmem,
                                   struct err *err);

/*
 * The host's ends are lost (as after moving the machine): end all connections and tell the driver.
 */
void virtio_vsock_lost(struct virtio *vd);
