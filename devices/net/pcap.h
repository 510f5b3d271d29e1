// SPDX-License-Identifier: MIT
//
// A capture file: every frame that passes, both ways, in the order it passed, as Wireshark and
// tcpdump read it. Stamped with the guest's wall clock (what its RTC shows), in nanoseconds.
// Thread: under the device lock.
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "clock.h"
#include "err.h"

#define PCAP_SNAPLEN 65553 /* bytes of a frame that are kept: all of any frame that we pass on */

struct pcap;

/* The file is made anew; a fifo needs its reader first. */
struct pcap *pcap_open(const char *path, const struct clock *clock, struct err *err);
void pcap_frame(struct pcap *pcap, const struct iovec *iov, unsigned niov, size_t len);
/* Write out what waits. NULL is allowed. */
void pcap_close(struct pcap *pcap);
