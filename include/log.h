// SPDX-License-Identifier: MIT
//
// Diagnostics on stderr (or the -D file). Warnings always show; topics show when `-d` names them.
// Guest misbehaviour is rate-limited, so that a hostile guest cannot fill a disk with our words.
// Lines that nobody takes are dropped after a moment: no reader of ours can hold up the machine.
// Thread: all functions from any thread, never from a signal handler.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "err.h"

enum log_topic {
    LOG_GUEST,  /* what the guest did wrong: unclaimed accesses, broken rings */
    LOG_ACCEL,  /* what the engine found and chose */
    LOG_BLOCK,  /* disk requests */
    LOG_VIRTIO, /* status, features, queues */
    LOG_BOOT,   /* what the loader put where */
    LOG_ICOUNT, /* under -icount: instructions, guest time and a digest at the end */
    LOG_TOPICS,
};

/* Names in enum order; NULL-terminated. */
extern const char *const log_topic_names[];

#define LOG_ALL ((1u << LOG_TOPICS) - 1)
#define LOG_QUIET (1u << LOG_TOPICS) /* no notices either */

/* A comma-separated list, in which "all" and "none" are words too, as a set of 1 << enum log_topic;
 * none forgets what stood before it, and adds LOG_QUIET. NULL, or the word that is no topic. */
const char *log_parse(const char *list, unsigned *topics);
void log_enable(unsigned topics);
void log_print_topics(FILE *out);

/* Send everything to a file instead of stderr. */
int log_open(const char *path, struct err *err);
void log_close(void);

bool log_on(enum log_topic topic);

/* One line on a topic, dropped when the topic is off. */
void log_msg(enum log_topic topic, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One warning line, always shown. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What minivmm decided by itself: one line, shown unless -d none. */
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What the user asked to be told: lines as they are, each ending in a newline. */
void log_text(const char *text);

/* Why the run ended, where that is not what was asked for: one line, always on stderr. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The text of the last log_error, without the program's name; false: there was none. */
bool log_last_error(char *buf, size_t len);

/*
 * Something the guest did wrong: counted always, shown under LOG_GUEST, at most 20 lines a second.
 */
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* How many times log_guest was called. */
unsigned long log_guest_count(void);
