// SPDX-License-Identifier: MIT
//
// The line that `-d icount` prints when a machine with counted time ends: instructions of all CPUs,
// guest time, and a digest of RAM and of the CPUs' registers. Equal runs have equal lines. The
// digest is a mixing of 64-bit words, made to tell accidents apart, not forgeries; pages of zeroes
// count as absent.
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "src/vm/vm.h"

#define PAGE_BYTES 4096

static uint64_t mix(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * 0x9e3779b97f4a7c15ull;
    return digest ^ digest >> 29;
}

/* bytes: a multiple of 8 */
static uint64_t mix_bytes(uint64_t digest, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word;
        memcpy(&word, p + at, sizeof word);
        digest = mix(digest, word);
    }
    return digest;
}

static bool is_empty(const uint8_t *page)
{
    uint64_t first;
    memcpy(&first, page, sizeof first);
    return !first && !memcmp(page, page + sizeof first, PAGE_BYTES - sizeof first);
}

static uint64_t mix_ram(uint64_t digest, const struct gmem *gm)
{
    for (unsigned i = 0; i < gm->nslots; i++) {
        const struct ram_slot *slot = &gm->slots[i];
        for (uint64_t at = 0; at < slot->size; at += PAGE_BYTES) {
            if (!is_empty(slot->host + at))
                digest = mix_bytes(mix(digest, slot->base + at), slot->host + at, PAGE_BYTES);
        }
    }
    return digest;
}

static uint64_t mix_cpus(uint64_t digest, const struct vm *vm)
{
    struct cpu_state state;
    struct err err = {0};
    _Static_assert(sizeof state % 8 == 0, "mixed by words");
    for (unsigned i = 0; i < vm->accel.nvcpus; i++) {
        if (!vm->accel.ops->get_state(&vm->vcpus[i], &state, &err))
            digest = mix_bytes(digest, &state, sizeof state);
    }
    return digest;
}

void report_icount(struct vm *vm)
{
    if (!vm->cfg->icount || !log_on(LOG_ICOUNT))
        return;
    log_msg(LOG_ICOUNT, "%" PRIu64 " instructions, %" PRIu64 " ns, digest %016" PRIx64,
            clock_count(&vm->clock), clock_now_ns(&vm->clock), mix_cpus(mix_ram(0, &vm->gmem), vm));
}
