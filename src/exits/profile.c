// SPDX-License-Identifier: MIT
//
// See profile.h.
#include "src/exits/profile.h"

#include <errno.h>
#include <stdlib.h>

#define SITES_AT_FIRST 64

int profile_init(struct profile *p, uint64_t start_ns, struct err *err)
{
    *p = (struct profile){
        .random = 0x9e3779b9,
        .start_ns = start_ns,
        .slice_ns = PROFILE_SLICE_NS,
        .room = SITES_AT_FIRST,
    };
    for (unsigned i = 0; i < PROFILE_PACES; i++) {
        p->until_look[i] = 1;
        p->paces[i] = (struct profile_pace){
            .weight = 1, .stride = 1, .free_looks = PROFILE_LOOKS_FREE};
    }
    p->tracks = calloc(PROFILE_TRACKS_MOST, sizeof p->tracks[0]);
    p->sites = calloc(p->room, sizeof p->sites[0]);
    return p->tracks && p->sites ? 0 : err_set(err, ENOMEM, "-exits: out of memory");
}

void profile_fini(struct profile *p)
{
    free(p->tracks);
    free(p->sites);
    *p = (struct profile){0};
}

/* --- which exit is looked at next --- */

/* xorshift: a guest's loop must not fall into step with the looks. */
static uint32_t draw(struct profile *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 17;
    p->random ^= p->random << 5;
    return p->random;
}

static void choose_next(struct profile *p, unsigned which, uint64_t now)
{
    struct profile_pace *pace = &p->paces[which];
    uint64_t passed = now - pace->last.end_ns;
    if (pace->free_looks)
        pace->free_looks--;
    else if (passed < PROFILE_PERIOD_NS / 2 && pace->stride < PROFILE_STRIDE_MOST)
        pace->stride *= 2;
    else if (passed > PROFILE_PERIOD_NS * 2) /* at once as if it had been so slow all the time */
        pace->stride = 1 + (unsigned)(pace->stride * (uint64_t)PROFILE_PERIOD_NS / passed);
    pace->weight =
        pace->stride == 1 ? 1 : 1 + draw(p) % (2 * pace->stride - 1); /* `stride` on average */
    p->until_look[which] = pace->weight;
}

/* --- tracks --- */

static unsigned find_track(struct profile *p, enum exit_kind kind, const struct region *region)
{
    for (unsigned i = 0; i < p->ntracks; i++) {
        if (p->tracks[i].kind == kind && p->tracks[i].region == region)
            return i;
    }
    if (p->ntracks == PROFILE_TRACKS_MOST)
        return p->ntracks - 1;
    struct profile_track *t = &p->tracks[p->ntracks];
    bool last = p->ntracks == PROFILE_TRACKS_MOST - 1;
    t->kind = last ? EXIT_KINDS : kind;
    t->region = last ? NULL : region;
    return p->ntracks++;
}

/* Twice as long slices: each pair becomes one. */
static void halve_timeline(struct profile *p)
{
    p->slice_ns *= 2;
    for (unsigned t = 0; t < p->ntracks; t++) {
        uint64_t *s = p->tracks[t].slices;
        for (unsigned i = 0; i < PROFILE_SLICES; i++)
            s[i] = i < PROFILE_SLICES / 2 ? s[2 * i] + s[2 * i + 1] : 0;
    }
}

static void add_to_track(struct profile *p, struct profile_track *t,
                         const struct profile_look *look, uint64_t exits)
{
    uint64_t since = look->begin_ns - p->start_ns;
    while (since / p->slice_ns >= PROFILE_SLICES)
        halve_timeline(p);
    t->slices[since / p->slice_ns] += exits;
    t->exits += exits;
    t->ns += exits * (look->end_ns - look->begin_ns);
}

/* --- sites --- */

static unsigned hash(uint64_t rip, uint32_t track, bool write)
{
    return (unsigned)((rip ^ (uint64_t)track << 56 ^ (uint64_t)write << 55) * 0x9e3779b97f4a7c15 >>
                      40);
}

/* Its place, or the free one where it belongs. */
static struct profile_site *find_site(struct profile_site *sites, unsigned room, uint64_t rip,
                                      uint32_t track, bool write)
{
    unsigned i = hash(rip, track, write) & (room - 1);
    while (sites[i].used &&
           (sites[i].rip != rip || sites[i].track != track || sites[i].write != write))
        i = (i + 1) & (room - 1);
    return &sites[i];
}

static bool grow(struct profile *p)
{
    if (p->nsites == PROFILE_SITES_MOST)
        return false;
    if (p->nsites < p->room / 2)
        return true;
    struct profile_site *wider = calloc(2 * p->room, sizeof wider[0]);
    if (!wider)
        return p->nsites < p->room - 1; /* a search needs a free place to end at */
    for (unsigned i = 0; i < p->room; i++) {
        const struct profile_site *s = &p->sites[i];
        if (s->used)
            *find_site(wider, 2 * p->room, s->rip, s->track, s->write) = *s;
    }
    free(p->sites);
    p->sites = wider;
    p->room *= 2;
    return true;
}

static struct profile_site *site_of(struct profile *p, uint32_t track,
                                    const struct profile_look *look)
{
    struct profile_site *s = find_site(p->sites, p->room, look->rip, track, look->write);
    if (s->used)
        return s;
    if (!grow(p))
        return &p->others;
    s = find_site(p->sites, p->room, look->rip, track, look->write);
    *s =
        (struct profile_site){.rip = look->rip, .track = track, .write = look->write, .used = true};
    p->nsites++;
    return s;
}

/* So many exits were like this one. */
static void account(struct profile *p, const struct profile_look *look, uint64_t exits)
{
    uint64_t ns = look->end_ns - look->begin_ns;
    unsigned track = find_track(p, look->kind, look->region);
    struct profile_site *s = site_of(p, track, look);
    s->exits += exits;
    s->ns += exits * ns;
    if (ns > s->longest_ns)
        s->longest_ns = ns;
    add_to_track(p, &p->tracks[track], look, exits);
}

void profile_add(struct profile *p, const struct profile_look *look)
{
    struct profile_pace *pace = &p->paces[look->pace];
    account(p, look, pace->weight);
    p->looks++;
    choose_next(p, look->pace, look->end_ns);
    pace->last = *look;
}

void profile_settle(struct profile *p)
{
    for (unsigned i = 0; i < PROFILE_PACES; i++) {
        struct profile_pace *pace = &p->paces[i];
        unsigned since = pace->weight - p->until_look[i];
        if (since)
            account(p, &pace->last, since);
        pace->weight -= since;
    }
}
