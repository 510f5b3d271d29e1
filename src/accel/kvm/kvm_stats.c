// SPDX-License-Identifier: MIT
//
// What the kernel counted for a vCPU: exits that it answered by itself, page faults, halts (KVM API
// section 4.131, KVM_GET_STATS_FD; Linux 5.14). Only plain sums are taken, no histograms and no
// present values.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "src/accel/kvm/kvm_priv.h"
#include "util.h"

#define NAME_MOST 256 /* more than any kernel's */

static bool read_at(int fd, void *buf, size_t len, uint64_t offset)
{
    return pread(fd, buf, len, (off_t)offset) == (ssize_t)len;
}

static bool is_sum(const struct kvm_stats_desc *d)
{
    return (d->flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_CUMULATIVE && d->size == 1;
}

static unsigned read_stats(int fd, struct accel_counter *out, unsigned most)
{
    struct kvm_stats_header head;
    unsigned n = 0;
    if (!read_at(fd, &head, sizeof head, 0) || head.name_size > NAME_MOST)
        return 0;
    union {
        struct kvm_stats_desc desc;
        char bytes[sizeof(struct kvm_stats_desc) + NAME_MOST];
    } entry;
    size_t size = sizeof entry.desc + head.name_size;
    for (unsigned i = 0; i < head.num_desc && n < most; i++) {
        if (!read_at(fd, &entry, size, head.desc_offset + i * size))
            break;
        if (!is_sum(&entry.desc) ||
            !read_at(fd, &out[n].value, sizeof out[n].value, head.data_offset + entry.desc.offset))
            continue;
        entry.bytes[size - 1] = '\0';
        snprintf(out[n++].name, sizeof out[0].name, "kernel: %.38s", entry.desc.name);
    }
    return n;
}

unsigned kvm_counters(struct vcpu *v, struct accel_counter *out, unsigned most)
{
    const struct kvm_vcpu *kv = v->priv;
    int fd = kv ? kvm_ioctl(kv->fd, KVM_GET_STATS_FD, NULL) : -1;
    if (fd < 0)
        return 0; /* an older kernel */
    unsigned n = read_stats(fd, out, most);
    close(fd);
    return n;
}
