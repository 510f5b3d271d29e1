// SPDX-License-Identifier: MIT
//
// A hostile driver of virtio sockets and careless host programs. See tests/lib/vsock_chaos.c for what
// the bytes mean.
#include <stdbool.h>
#include <stdlib.h>

#include "tests/fuzz/asserts.h"
#include "tests/lib/vsock_chaos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) {
        vsock_chaos_init();
        atexit(vsock_chaos_fini);
    }
    ready = true;
    vsock_chaos_run(data, size);
    return 0;
}
