// SPDX-License-Identifier: MIT
//
// What a power cut may take. Two views of one disk are kept in the same way: the host's (system
// calls that really began and ended) and the guest's (requests, and the answers it got). In either
// view a write is *stable* when it ended well before a sync began that ended well; until then a
// cut may leave any sector of it old or new, in any order, also when later writes went through.
// Cuts are judged after every step of the record: whatever the host's view says may be on the
// platter must be something that the guest's view allows it to find. Sectors are atomic and
// independent of each other, so looking at each value each sector may have covers every subset and
// order of lost writes.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/block/engine.h"

#define POWERCUT_SECTORS 256
#define POWERCUT_BYTES (POWERCUT_SECTORS * 512)

enum powercut_view { POWERCUT_HOST, POWERCUT_GUEST };

struct powercut_result {
    unsigned cuts;   /* moments at which the power was cut */
    unsigned losses; /* (moment, sector) where the guest finds what it must not */
    unsigned syncs;  /* of the host */
};

/* A sector filled with the mark `version`; 0 is a sector of zeroes, as all are at first. */
void powercut_fill(uint8_t *sector, uint64_t number, uint32_t version);
/* The version of sector `number`, or UINT32_MAX when it is torn or not this sector's. */
uint32_t powercut_version(const uint8_t *sector, uint64_t number);

void powercut_start(void); /* forget the last record */

/* One step of the record; begin returns the id for end. Any thread. */
unsigned powercut_write_begin(enum powercut_view view, uint64_t off, uint64_t len,
                              const struct iovec *iov, unsigned niov); /* niov 0: zeroes */
void powercut_write_end(unsigned id, uint64_t bytes, bool stable); /* bytes: that went well */
unsigned powercut_sync_begin(enum powercut_view view);
void powercut_sync_end(unsigned id, bool ok);

/* Play the record and cut the power after each step. */
struct powercut_result powercut_judge(void);

/* System calls that are recorded; the second forgets to sync and says it has. */
extern const struct host_io powercut_io, powercut_forgetful_io;

/* An engine that records what another one does. Closing it leaves the other open. */
struct engine *powercut_engine(struct engine *inner, const struct block_env *env, bool forgetful);
