// SPDX-License-Identifier: MIT
//
// How a host operation looks as an io_uring entry; apart, so that a test can look at it.
#pragma once

#include <liburing.h>

#include "engine.h"

/* Fill in an entry for the next piece of op; user_data is op. */
void uring_prep(struct io_uring_sqe *sqe, struct host_op *op);
