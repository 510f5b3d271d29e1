// SPDX-License-Identifier: MIT
//
// What one vCPU's exits were for, under -exits: from which guest address to which device, how
// often, and how long minivmm took for each; and when.
//
// A look at an exit (clock twice, the guest's instruction pointer, a table) costs more than some
// exits do. So all are looked at as long as they come seldom; of those that come thick, one in
// `stride` at random distances, which then stands for those since the look before, so that looks
// are about PROFILE_PERIOD_NS apart (after the first PROFILE_LOOKS_FREE). Each register (port, gpa)
// has a pace of its own, but for a few that share one: one that is polled does not hide the others.
// How many exits there were is counted elsewhere, always and exactly (vcpu.exits, region.reads and
// .writes).
//
// Thread: the vCPU's own; others while it is stopped.
#pragma once

#include "accel.h"

#define PROFILE_PERIOD_NS 400000u
#define PROFILE_STRIDE_MOST 4096
#define PROFILE_LOOKS_FREE 512
#define PROFILE_PACES_LOG2 8
#define PROFILE_PACES (1 << PROFILE_PACES_LOG2)
#define PROFILE_SITES_MOST 4096  /* addresses that are told apart; a guest must not make us grow */
#define PROFILE_TRACKS_MOST 48   /* devices that are told apart */
#define PROFILE_SLICES 256       /* of the timeline */
#define PROFILE_SLICE_NS 500000u /* at the beginning; doubled each time the timeline is full */

/* A device, or a reason that has none. */
struct profile_track {
    enum exit_kind kind;             /* EXIT_KINDS: all that found no place in a full table */
    const struct region *region;     /* NULL: no device is there, or the reason has none */
    uint64_t exits, ns;              /* ns: of minivmm's work */
    uint64_t slices[PROFILE_SLICES]; /* exits */
};

/* An instruction that exits to one track. */
struct profile_site {
    uint64_t rip;
    uint32_t track; /* index */
    bool write, used;
    uint64_t exits, ns, longest_ns;
};

struct profile_look {
    enum exit_kind kind;
    unsigned pace;
    const struct region *region;
    bool write;
    uint64_t rip;
    uint64_t begin_ns, end_ns; /* of the work */
};

struct profile_pace {
    unsigned weight; /* exits that the next look stands for */
    unsigned stride;
    unsigned free_looks; /* left */
    struct profile_look last;
};

struct profile {
    unsigned until_look[PROFILE_PACES]; /* exits */
    struct profile_pace paces[PROFILE_PACES];
    uint32_t random;
    uint64_t start_ns; /* of the machine; by the host's monotonic clock, as all here */
    uint64_t looks;
    uint64_t slice_ns;
    struct profile_track *tracks; /* PROFILE_TRACKS_MOST */
    unsigned ntracks;
    struct profile_site *sites; /* a hash table */
    unsigned nsites, room;      /* room: a power of two */
    struct profile_site others; /* exits from addresses that found no place */
};

/* 0 or -ENOMEM with the message. */
int profile_init(struct profile *p, uint64_t start_ns, struct err *err);
void profile_fini(struct profile *p);

/* Whose pace an exit has. */
static inline unsigned profile_pace(const struct vm_exit *exit)
{
    uint32_t key = exit->kind == EXIT_PIO    ? exit->pio.port
                   : exit->kind == EXIT_MMIO ? (uint32_t)exit->mmio.addr
                                             : exit->kind;
    return key * 0x9e3779b1 >> (32 - PROFILE_PACES_LOG2); /* scattered */
}

/* Is the exit that has just happened one to look at? Then profile_add must follow. */
static inline bool profile_due(struct profile *p, const struct vm_exit *exit)
{
    return --p->until_look[profile_pace(exit)] == 0;
}

void profile_add(struct profile *p, const struct profile_look *look);

/* Exits since the last looks are taken to be like those. Then there are as many as there were. */
void profile_settle(struct profile *p);
