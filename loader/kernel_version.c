// SPDX-License-Identifier: MIT
//
// See kernel_version.h. The file is searched in windows that overlap by the longest text looked
// for, packed or not, so that a hostile file costs time in proportion to its size only.
#include "kernel_version.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "payload.h"
#include "plan.h"
#include "util.h"

#define HEADER_AT 0x200u
#define MAGIC_AT 0x202u
#define VERSION_TEXT_AT 0x20eu
#define PAYLOAD_AT 0x248u
#define BANNER "Linux version "
#define SEARCH_MAX MIB(1024)
#define WINDOW KIB(256)
#define OVERLAP 128u /* longer than any text that is looked for */

/* A word as uname -r may be, closed by a blank, a line's end or zero. */
static bool copy_release(char release[KERNEL_RELEASE_TEXT], const uint8_t *text, size_t len)
{
    size_t n = 0;
    for (; n < len && n < KERNEL_RELEASE_TEXT; n++) {
        uint8_t c = text[n];
        if (!c || c == ' ' || c == '\n')
            break;
        bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      strchr("._+~-", c);
        if (!letter)
            return false;
    }
    if (!n || n == len || n == KERNEL_RELEASE_TEXT || text[0] < '0' || text[0] > '9')
        return false;
    memcpy(release, text, n);
    release[n] = '\0';
    return true;
}

struct search {
    const char *const *words;
    bool *found;
    unsigned n;
    char *release; /* KERNEL_RELEASE_TEXT of them, "" until known; NULL: not looked for */
    uint8_t buf[OVERLAP + WINDOW];
    size_t have; /* bytes kept in front of the next window */
};

static void search_buffer(struct search *s, size_t len)
{
    for (unsigned i = 0; i < s->n; i++)
        s->found[i] = s->found[i] || memmem(s->buf, len, s->words[i], strlen(s->words[i]));
    const uint8_t *at = s->buf;
    while (s->release && !s->release[0]) {
        at = memmem(at, (size_t)(s->buf + len - at), BANNER, sizeof BANNER - 1);
        if (!at)
            return;
        at += sizeof BANNER - 1;
        copy_release(s->release, at, (size_t)(s->buf + len - at));
    }
}

static void search_piece(void *opaque, uint64_t offset, const uint8_t *data, size_t len)
{
    struct search *s = opaque;
    (void)offset; /* ascending, without gaps */
    while (len) {
        size_t part = len < WINDOW ? len : WINDOW;
        memcpy(s->buf + s->have, data, part);
        size_t all = s->have + part;
        search_buffer(s, all);
        s->have = all < OVERLAP ? all : OVERLAP;
        memmove(s->buf, s->buf + all - s->have, s->have);
        data += part;
        len -= part;
    }
}

static int search_file(struct search *s, const struct boot_file *file, struct err *err)
{
    uint8_t *buf = malloc(WINDOW);
    int rc = buf ? 0 : err_set(err, ENOMEM, "out of memory reading kernel '%s'", file->path);
    for (uint64_t at = 0; !rc && at < file->size && at < SEARCH_MAX;) {
        size_t len = file->size - at < WINDOW ? (size_t)(file->size - at) : WINDOW;
        rc = boot_file_read(file, at, buf, len, err);
        if (!rc)
            search_piece(s, at, buf, len);
        at += len;
        if (s->release && s->release[0])
            break;
    }
    free(buf);
    return rc;
}

static bool is_bzimage(const struct kernel_file *kernel)
{
    return bzimage_match(kernel) && kernel->head_len >= PAYLOAD_AT + 8 &&
           load_le16(kernel->head + MAGIC_AT + 4) >= 0x208;
}

static int open_kernel(struct boot_plan *plan, const char *path, struct kernel_file *kernel,
                       struct err *err)
{
    int rc = plan_open(plan, "kernel", path, err);
    if (rc < 0)
        return rc;
    kernel->file = &plan->files[rc];
    kernel->head_len = kernel->file->size < KERNEL_HEAD_MAX ? (size_t)kernel->file->size
                                                            : KERNEL_HEAD_MAX;
    kernel->head = plan_alloc(plan, kernel->head_len, err);
    return kernel->head ? boot_file_read(kernel->file, 0, kernel->head, kernel->head_len, err)
                        : -ENOMEM;
}

static bool is_elf(const struct kernel_file *kernel)
{
    return kernel->head_len >= SELFMAG && !memcmp(kernel->head, ELFMAG, SELFMAG);
}

static int read_release(const struct kernel_file *kernel, char *release, struct err *err)
{
    if (is_bzimage(kernel)) {
        size_t at = HEADER_AT + load_le16(kernel->head + VERSION_TEXT_AT);
        bool known = at > HEADER_AT && at < kernel->head_len &&
                     copy_release(release, kernel->head + at, kernel->head_len - at);
        return known ? 0 : -ENOENT;
    }
    if (!is_elf(kernel))
        return -ENOENT;
    struct search *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory reading kernel '%s'", kernel->file->path);
    s->release = release;
    int rc = search_file(s, kernel->file, err);
    free(s);
    return rc ? rc : release[0] ? 0 : -ENOENT;
}

int kernel_read_release(const char *path, char release[KERNEL_RELEASE_TEXT], struct err *err)
{
    struct boot_plan files = {0};
    struct kernel_file kernel = {0};
    release[0] = '\0';
    int rc = open_kernel(&files, path, &kernel, err);
    if (!rc)
        rc = read_release(&kernel, release, err);
    boot_plan_free(&files);
    return rc;
}

static int find_words(const struct kernel_file *kernel, struct search *s, struct err *err)
{
    struct payload payload;
    if (is_elf(kernel))
        return search_file(s, kernel->file, err);
    if (!is_bzimage(kernel))
        return err_set(err, ENOTSUP, "kernel '%s' is neither a bzImage nor an ELF",
                       kernel->file->path);
    unsigned sects = kernel->head[0x1f1] ? kernel->head[0x1f1] : 4;
    uint64_t at = (sects + 1) * 512ull + load_le32(kernel->head + PAYLOAD_AT);
    int rc =
        payload_open(&payload, kernel->file, at, load_le32(kernel->head + PAYLOAD_AT + 4), err);
    return rc ? rc : payload_unpack(&payload, 0, payload.size, search_piece, s, err);
}

int kernel_find_words(const char *path, const char *const *words, bool *found, unsigned n,
                      struct err *err)
{
    struct boot_plan files = {0};
    struct kernel_file kernel = {0};
    struct search *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory reading kernel '%s'", path);
    s->words = words;
    s->found = found;
    s->n = n;
    memset(found, 0, n * sizeof found[0]);
    int rc = open_kernel(&files, path, &kernel, err);
    if (!rc)
        rc = find_words(&kernel, s, err);
    free(s);
    boot_plan_free(&files);
    return rc;
}
