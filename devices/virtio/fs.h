// SPDX-License-Identifier: MIT
//
// A host directory for the guest, by virtio-fs.
#pragma once

#include "err.h"
#include "event.h"
#include "share.h"
#include "gmem.h"
#include "virtio.h"

#define VIRTIO_FS_TAG_MAX 36

/*
 * A device with this tag, one queue for what cannot wait and `nqueues` for requests. Give it to a
 * transport, which then owns it. The server stays the caller's and must outlive the device. NULL
 * with `err` set on failure.
 */
struct virtio *virtio_fs_create(struct fs *fs, const char *tag, unsigned nqueues,
                                struct gmem *gmem, struct event_queue *events, struct err *err);
