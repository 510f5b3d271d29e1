// SPDX-License-Identifier: MIT
//
// The x86 decoder against Zydis: the first byte selects the mode, the next fifteen are the
// instruction. Link with -lZydis.
#include <stdlib.h>

#include "tests/lib/x86_decode_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct oracle oracle;
    static bool ready;
    uint8_t bytes[ORACLE_LEN] = {0};
    if (!ready) {
        oracle_init(&oracle);
        ready = true;
    }
    if (size < 2)
        return 0;
    memcpy(bytes, data + 1, size - 1 < ORACLE_LEN ? size - 1 : ORACLE_LEN);
    if (!oracle_check(&oracle, bytes, (enum x86_mode)(data[0] % 3), NULL)) {
        fprintf(stderr, "mode %d: %s\n", data[0] % 3, oracle.why);
        abort();
    }
    return 0;
}
