// SPDX-License-Identifier: MIT
//
// A virtio disk over a block backend.
#pragma once

#include "block.h"
#include "err.h"
#include "gmem.h"
#include "virtio.h"

/*
 * A disk with `nqueues` request queues. Give it to a transport, which then owns it. The backend
 * stays the caller's and must outlive the device. NULL with `err` set on failure.
 */
struct virtio *virtio_blk_create(struct block *blk, unsigned nqueues, struct gmem *gmem,
                                 struct err *err);
