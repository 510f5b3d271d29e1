// SPDX-License-Identifier: MIT
//
// Diagnostics: see include/log.h. One mutex keeps lines whole; a leaf, nothing is taken under it.
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 1000
#define GUEST_LINES_PER_SECOND 20

const char *const log_topic_names[] = {"guest", "accel", "block", "virtio", "boot", "icount", NULL};
static const char *const topic_help[] = {
    [LOG_GUEST] = "what the guest did wrong: unclaimed accesses, malformed rings",
    [LOG_ACCEL] = "what the engine found and chose",
    [LOG_BLOCK] = "disk backends and their errors",
    [LOG_VIRTIO] = "virtio device status, features and queues",
    [LOG_BOOT] = "what the loader put where",
    [LOG_ICOUNT] = "under -icount: instructions, guest time, digest of RAM and CPUs at the end",
};

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = STDERR_FILENO;
static unsigned topics_on;
static bool notices_off;
static atomic_ulong guest_errors;

void log_print_topics(FILE *out)
{
    fprintf(
        out,
        "Topics for -d (comma-separated, or all; none: not even the engine that was chosen):\n");
    for (unsigned i = 0; i < LOG_TOPICS; i++)
        fprintf(out, "  %-8s %s\n", log_topic_names[i], topic_help[i]);
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && !memcmp(text, word, len);
}

static bool parse_word(const char *text, size_t len, unsigned *topics)
{
    unsigned i = 0;
    if (is_word(text, len, "all")) {
        *topics |= LOG_ALL;
        return true;
    }
    if (is_word(text, len, "none")) {
        *topics = LOG_QUIET;
        return true;
    }
    while (i < LOG_TOPICS && !is_word(text, len, log_topic_names[i]))
        i++;
    *topics |= 1u << i;
    return i < LOG_TOPICS;
}

const char *log_parse(const char *list, unsigned *topics)
{
    *topics = 0;
    for (;;) {
        size_t len = strcspn(list, ",");
        if (!parse_word(list, len, topics))
            return list;
        if (!list[len])
            return NULL;
        list += len + 1;
    }
}

void log_enable(unsigned topics)
{
    topics_on = topics & LOG_ALL;
    notices_off = topics & LOG_QUIET;
}

int log_open(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set_errno(err, errno, "-D: open log file '%s'", path);
    log_fd = fd;
    return 0;
}

void log_close(void)
{
    if (log_fd != STDERR_FILENO)
        close(log_fd);
    log_fd = STDERR_FILENO;
}

bool log_on(enum log_topic topic)
{
    return topics_on & (1u << topic);
}

/*
 * A reader that has stopped reading must hold up neither the guest nor the end: one wait, then
 * lines are dropped until it reads again. A pipe that polls writable takes PIPE_BUF bytes at once.
 */
static void write_line(int fd, const char *line, size_t len)
{
    static bool stuck;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n;
    do
        n = poll(&p, 1, stuck ? 0 : PATIENCE_MS);
    while (n < 0 && errno == EINTR);
    stuck = n == 0;
    if (stuck)
        return;
    while (write(fd, line, len) < 0 && errno == EINTR)
        ;
}

static char last_error[2048];

static void put_line(int fd, const char *prefix, const char *fmt, va_list ap)
{
    char line[PIPE_BUF];
    size_t room = sizeof line - 1; /* the newline's place */
    size_t len = strlen(prefix);
    memcpy(line, prefix, len);
    int n = vsnprintf(line + len, room - len, fmt, ap);
    if (n > 0)
        len += (size_t)n < room - len ? (size_t)n : room - len - 1;
    line[len++] = '\n';
    pthread_mutex_lock(&log_lock);
    write_line(fd, line, len);
    pthread_mutex_unlock(&log_lock);
}

void log_msg(enum log_topic topic, const char *fmt, ...)
{
    if (!log_on(topic))
        return;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%s: ", log_topic_names[topic]);
    va_list ap;
    va_start(ap, fmt);
    put_line(log_fd, prefix, fmt, ap);
    va_end(ap);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(log_fd, "minivmm: warning: ", fmt, ap);
    va_end(ap);
}

void log_notice(const char *fmt, ...)
{
    if (notices_off)
        return;
    va_list ap;
    va_start(ap, fmt);
    put_line(log_fd, "minivmm: ", fmt, ap);
    va_end(ap);
}

void log_text(const char *text)
{
    for (const char *end; *text; text = end) {
        const char *newline = strchr(text, '\n');
        end = newline ? newline + 1 : text + strlen(text);
        size_t len = (size_t)(end - text) < PIPE_BUF ? (size_t)(end - text) : PIPE_BUF;
        pthread_mutex_lock(&log_lock);
        write_line(log_fd, text, len);
        pthread_mutex_unlock(&log_lock);
    }
}

bool log_last_error(char *buf, size_t len)
{
    pthread_mutex_lock(&log_lock);
    snprintf(buf, len, "%s", last_error);
    pthread_mutex_unlock(&log_lock);
    return *buf;
}

void log_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&log_lock);
    vsnprintf(last_error, sizeof last_error, fmt, ap);
    pthread_mutex_unlock(&log_lock);
    va_end(ap);
    va_start(ap, fmt);
    put_line(STDERR_FILENO, "minivmm: ", fmt, ap);
    va_end(ap);
}

/* True when one more guest line fits this second. */
static bool guest_line_allowed(void)
{
    static time_t second;
    static unsigned lines;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    pthread_mutex_lock(&log_lock);
    if (now.tv_sec != second) {
        second = now.tv_sec;
        lines = 0;
    }
    bool allowed = lines < GUEST_LINES_PER_SECOND;
    lines += allowed;
    pthread_mutex_unlock(&log_lock);
    return allowed;
}

void log_guest(const char *fmt, ...)
{
    atomic_fetch_add_explicit(&guest_errors, 1, memory_order_relaxed);
    if (!log_on(LOG_GUEST) || !guest_line_allowed())
        return;
    va_list ap;
    va_start(ap, fmt);
    put_line(log_fd, "guest: ", fmt, ap);
    va_end(ap);
}

unsigned long log_guest_count(void)
{
    return atomic_load_explicit(&guest_errors, memory_order_relaxed);
}
