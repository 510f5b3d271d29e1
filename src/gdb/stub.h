// SPDX-License-Identifier: MIT
//
// The gdb remote protocol over one machine: bytes of a client in, bytes for it out. Knows the
// engine seam and nothing of sockets or threads. vCPU n is thread n + 1; all stop and go together.
// Thread: one, the caller's; while `running`, other threads run vCPUs.
#pragma once

#include "accel.h"
#include "src/gdb/packet.h"

/* What the stub wants of whoever owns the machine. */
struct stub_host {
    void (*send)(void *opaque, const void *bytes, size_t len);
    void (*halt)(void *opaque);   /* stop all vCPUs and wait until they are */
    void (*resume)(void *opaque); /* let those go that may (vcpu.debug_run) */
    void (*leave)(void *opaque);  /* the client is done; the stub has let go of the machine */
    void (*kill)(void *opaque);   /* end the machine */
};

struct stub {
    struct accel *accel;
    const struct stub_host *host;
    void *opaque;
    struct debug_plan plan;
    struct packet_in in;
    struct packet_out out;
    bool sent;            /* `out` is a whole packet, for a client that wants it again */
    char stop[96];        /* the last stop reply */
    unsigned thread;      /* vCPU that registers and memory are asked of */
    int step_thread;      /* of the old `s` and `c`; -1: all */
    bool attached;        /* the machine is the client's */
    bool running, no_ack, physical;
};

void stub_init(struct stub *s, struct accel *a, const struct stub_host *host, void *opaque);
/* A new client. */
void stub_connect(struct stub *s);
/* The client went without a word: the guest goes on, breakpoints are gone. */
void stub_disconnect(struct stub *s);
void stub_feed(struct stub *s, const uint8_t *bytes, size_t len);
/* The vCPUs have stopped; exit says why (EXIT_DEBUG), NULL: the client wished it. */
void stub_stopped(struct stub *s, const struct vm_exit *exit);
/* A line for gdb's user; nothing while nobody waits for the machine. */
void stub_note(struct stub *s, const char *text);
/* The machine was reset and RAM filled anew; vCPUs are stopped. */
void stub_restarted(struct stub *s);
/* The machine has ended. */
void stub_ended(struct stub *s, unsigned status);

/* --- among the stub's files --- */

/* Each answers one packet: fills s->out between packet_begin and packet_end. */
typedef void stub_command(struct stub *s, const char *args, size_t len);

void stub_begin(struct stub *s);
void stub_send(struct stub *s);
void stub_ok(struct stub *s);
void stub_error(struct stub *s, unsigned number);
bool stub_state(struct stub *s, unsigned vcpu, struct cpu_state *cpu);
/* A thread id (-1: all, 0: any); false: there is no such. */
bool stub_parse_thread(const struct stub *s, const char **p, int *vcpu);

/* stub_memory.c */
stub_command stub_read_memory, stub_write_memory, stub_write_binary, stub_add_point,
    stub_remove_point;
/* Where breakpoints are now. */
void stub_locate_points(struct stub *s);

/* stub_run.c: these answer when the machine stops again. */
stub_command stub_vcont, stub_continue, stub_step;
void stub_let_go(struct stub *s); /* no breakpoints, everybody runs */

/* stub_query.c */
stub_command stub_query, stub_set;
