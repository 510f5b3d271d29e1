// SPDX-License-Identifier: MIT
//
// The disassembler: a helper program (include/helper.h), since libzydis is a shared library.
// Lines "BITS ADDRESS BYTES" (16, 32 or 64; hexadecimal) on standard input; for each a line in
// Intel's syntax on standard output, empty where these bytes are no instruction.
#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdio.h>

static ZydisMachineMode mode_of(unsigned bits)
{
    return bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
           : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                        : ZYDIS_MACHINE_MODE_LEGACY_16;
}

static size_t parse_bytes(const char *hex, ZyanU8 *bytes, size_t most)
{
    size_t n = 0;
    unsigned value;
    while (n < most && sscanf(hex + 2 * n, "%2x", &value) == 1)
        bytes[n++] = (ZyanU8)value;
    return n;
}

static void disassemble(unsigned bits, unsigned long long address, const char *hex)
{
    ZydisDisassembledInstruction insn;
    ZyanU8 bytes[15];
    size_t len = parse_bytes(hex, bytes, sizeof bytes);
    bool good = ZYAN_SUCCESS(ZydisDisassembleIntel(mode_of(bits), address, bytes, len, &insn));
    puts(good ? insn.text : "");
}

int main(void)
{
    char line[128], hex[64];
    unsigned bits;
    unsigned long long address;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%u %llx %63s", &bits, &address, hex) == 3)
            disassemble(bits, address, hex);
        else
            puts("");
    }
    return 0;
}
