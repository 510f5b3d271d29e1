// SPDX-License-Identifier: MIT
//
// The classic pcap format with nanosecond stamps; see pcap.h. Records gather in a buffer and go to
// the file whole. A file is never slow; a fifo may be, and then records that find no room are left
// out and counted, so that nobody waits for whoever reads the capture.
#include "devices/net/pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define BUFFER_BYTES KIB(256) /* more than two records of the longest frame */

struct file_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snaplen, link_type;
};
#define MAGIC_NS 0xa1b23c4d
#define LINK_ETHERNET 1

struct record_header {
    uint32_t s, ns, kept, len;
};

struct pcap {
    int fd;
    const struct clock *clock;
    uint64_t left_out;
    bool broken, live; /* live: no regular file, somebody may be watching */
    char path[200];
    size_t used;
    uint8_t buffer[BUFFER_BYTES];
};

static void write_out(struct pcap *pcap)
{
    size_t done = 0;
    while (done < pcap->used && !pcap->broken) {
        ssize_t n = write(pcap->fd, pcap->buffer + done, pcap->used - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            log_warn("capture '%s': %s; it ends here", pcap->path, strerror(errno));
            pcap->broken = true;
        }
    }
    memmove(pcap->buffer, pcap->buffer + done, pcap->used - done);
    pcap->used = pcap->broken ? 0 : pcap->used - done;
}

static bool has_room(struct pcap *pcap, size_t bytes)
{
    if (pcap->used + bytes > BUFFER_BYTES)
        write_out(pcap);
    return pcap->used + bytes <= BUFFER_BYTES;
}

static void append(struct pcap *pcap, const void *data, size_t len)
{
    memcpy(pcap->buffer + pcap->used, data, len);
    pcap->used += len;
}

struct pcap *pcap_open(const char *path, const struct clock *clock, struct err *err)
{
    const struct file_header h = {.magic = MAGIC_NS, .major = 2, .minor = 4,
                                  .snaplen = PCAP_SNAPLEN, .link_type = LINK_ETHERNET};
    struct pcap *pcap = malloc(sizeof *pcap);
    if (!pcap) {
        err_set(err, ENOMEM, "pcap '%s': out of memory", path);
        return NULL;
    }
    pcap->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (pcap->fd < 0) {
        int e = errno;
        if (e == ENXIO)
            err_set(err, e, "pcap: open '%s': nobody reads this fifo; start its reader first",
                    path);
        else
            err_set_errno(err, e, "pcap: create '%s'", path);
        free(pcap);
        return NULL;
    }
    pcap->clock = clock;
    pcap->left_out = 0;
    pcap->broken = false;
    struct stat st;
    pcap->live = !fstat(pcap->fd, &st) && !S_ISREG(st.st_mode);
    pcap->used = 0;
    snprintf(pcap->path, sizeof pcap->path, "%s", path);
    append(pcap, &h, sizeof h);
    write_out(pcap);
    return pcap;
}

void pcap_frame(struct pcap *pcap, const struct iovec *iov, unsigned niov, size_t len)
{
    size_t kept = len < PCAP_SNAPLEN ? len : PCAP_SNAPLEN;
    uint64_t now = clock_wall_ns(pcap->clock);
    const struct record_header h = {
        .s = (uint32_t)(now / NS_PER_S),
        .ns = (uint32_t)(now % NS_PER_S),
        .kept = (uint32_t)kept,
        .len = (uint32_t)len,
    };
    if (pcap->broken || !has_room(pcap, sizeof h + kept)) {
        pcap->left_out++;
        return;
    }
    append(pcap, &h, sizeof h);
    for (unsigned i = 0; i < niov && kept; i++) {
        size_t part = iov[i].iov_len < kept ? iov[i].iov_len : kept;
        append(pcap, iov[i].iov_base, part);
        kept -= part;
    }
    if (pcap->live)
        write_out(pcap);
}

void pcap_close(struct pcap *pcap)
{
    if (!pcap)
        return;
    write_out(pcap);
    if (pcap->left_out)
        log_warn("capture '%s': %llu frames are missing, its reader was too slow", pcap->path,
                 (unsigned long long)pcap->left_out);
    close(pcap->fd);
    free(pcap);
}
