// SPDX-License-Identifier: MIT
#include "tests/lib/fuse_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* Not Check's: a fuzzer has no runner. */
#define NEED(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* --- life --- */

static void open_fs(struct fuse_rig *r, struct fs_config cfg)
{
    struct err err = {{0}};
    cfg.path = r->share;
    r->fs = fs_open(&cfg, &err);
    if (!r->fs)
        fprintf(stderr, "%s\n", err.msg);
    NEED(r->fs);
}

void fuse_rig_init(struct fuse_rig *r, struct fs_config cfg)
{
    const char *tmp = getenv("TMPDIR");
    *r = (struct fuse_rig){0};
    snprintf(r->top, sizeof r->top, "%s/minivmm-fs-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    NEED(mkdtemp(r->top));
    snprintf(r->share, sizeof r->share, "%s/share", r->top);
    NEED((mkdir(r->share, 0755)) == 0);
    NEED((mkdir(host_path(r, "outside"), 0755)) == 0);
    r->out = malloc(FUSE_RIG_ROOM);
    NEED(r->out);
    umask(0); /* as fs_thread_init has it on the threads that serve */
    r->uid = geteuid();
    r->gid = getegid();
    open_fs(r, cfg);
    NEED((fuse_init(r, FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION)) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void fuse_rig_fini(struct fuse_rig *r)
{
    fs_close(r->fs);
    free(r->out);
    nftw(r->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fuse_rig_reopen(struct fuse_rig *r, struct fs_config cfg)
{
    fs_close(r->fs);
    open_fs(r, cfg);
    NEED((fuse_init(r, FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION)) == 0);
}

/* --- requests --- */

int fuse_raw(struct fuse_rig *r, const void *bytes, size_t len, long room)
{
    /* Exactly as long as said, so that a byte read too far is seen. */
    uint8_t *copy = malloc(len ? len : 1);
    NEED(copy);
    memcpy(copy, bytes, len);
    uint8_t header[FS_HEADER_IN] = {0};
    memcpy(header, bytes, len < sizeof header ? len : sizeof header);
    size_t args = fs_args_len(header, len);
    struct iovec data = {copy + args, len - args};
    struct iovec to = {r->out, room > 0 ? (size_t)room : 0};
    struct fs_request req = {
        .args = copy,
        .args_len = args,
        .data = &data,
        .ndata = len > args,
        .data_len = len - args,
        .can_reply = room >= 0,
        .room = &to,
        .nroom = room > 0,
        .room_len = to.iov_len,
    };
    fs_serve(r->fs, &req);
    r->replied = !req.no_reply;
    r->error = req.error;
    r->len = req.reply_len + req.moved;
    NEED(r->len <= to.iov_len);
    NEED(!req.error || !r->len);
    if (req.reply_len)
        memcpy(r->out, req.reply, req.reply_len);
    fs_request_done(&req);
    free(copy);
    return r->error;
}

int fuse_call(struct fuse_rig *r, uint32_t op, uint64_t node, const void *arg, size_t len,
              const char *a, const char *b)
{
    uint8_t *bytes = malloc(sizeof(struct fuse_in_header) + len + 9000);
    NEED(bytes);
    size_t n = sizeof(struct fuse_in_header);
    if (len)
        memcpy(bytes + n, arg, len);
    n += len;
    const char *const text[] = {a, b};
    for (unsigned i = 0; i < 2 && text[i]; i++) {
        memcpy(bytes + n, text[i], strlen(text[i]) + 1);
        n += strlen(text[i]) + 1;
    }
    struct fuse_in_header h = {.len = (uint32_t)n, .opcode = op, .unique = 1, .nodeid = node,
                               .uid = r->uid, .gid = r->gid};
    memcpy(bytes, &h, sizeof h);
    fuse_raw(r, bytes, n, FUSE_RIG_ROOM);
    free(bytes);
    return r->error;
}

int fuse_init(struct fuse_rig *r, uint32_t major, uint32_t minor)
{
    struct fuse_init_in in = {.major = major, .minor = minor, .max_readahead = 131072, .flags = ~0u};
    return fuse_call(r, FUSE_INIT, 0, &in, sizeof in, NULL, NULL);
}

int fuse_lookup(struct fuse_rig *r, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
    struct fuse_entry_out entry;
    int rc = fuse_call(r, FUSE_LOOKUP, dir, NULL, 0, name, NULL);
    if (rc)
        return rc;
    NEED(r->len == sizeof entry);
    memcpy(&entry, r->out, sizeof entry);
    if (e)
        *e = entry;
    return entry.nodeid ? 0 : -2; /* a name that is known not to be there */
}

uint64_t fuse_node(struct fuse_rig *r, const char *path)
{
    char copy[4096], *save = NULL;
    struct fuse_entry_out e = {.nodeid = FUSE_ROOT_ID};
    snprintf(copy, sizeof copy, "%s", path);
    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (fuse_lookup(r, e.nodeid, part, &e))
            return 0;
    }
    return e.nodeid;
}

void fuse_forget(struct fuse_rig *r, uint64_t node, uint64_t n)
{
    struct fuse_forget_in in = {.nlookup = n};
    fuse_call(r, FUSE_FORGET, node, &in, sizeof in, NULL, NULL);
}

int fuse_getattr(struct fuse_rig *r, uint64_t node, struct fuse_attr *a)
{
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    int rc = fuse_call(r, FUSE_GETATTR, node, &in, sizeof in, NULL, NULL);
    if (!rc && a) {
        memcpy(&out, r->out, sizeof out);
        *a = out.attr;
    }
    return rc;
}

int fuse_setattr(struct fuse_rig *r, uint64_t node, struct fuse_setattr_in in)
{
    return fuse_call(r, FUSE_SETATTR, node, &in, sizeof in, NULL, NULL);
}

int fuse_mkdir(struct fuse_rig *r, uint64_t dir, const char *name, uint32_t mode)
{
    struct fuse_mkdir_in in = {.mode = mode};
    return fuse_call(r, FUSE_MKDIR, dir, &in, sizeof in, name, NULL);
}

int fuse_create(struct fuse_rig *r, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
                uint64_t *node, uint64_t *fh)
{
    struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = mode};
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out;
    int rc = fuse_call(r, FUSE_CREATE, dir, &in, sizeof in, name, NULL);
    if (rc)
        return rc;
    memcpy(&out, r->out, sizeof out);
    if (node)
        *node = out.entry.nodeid;
    if (fh)
        *fh = out.open.fh;
    return 0;
}

static int open_as(struct fuse_rig *r, uint32_t op, uint64_t node, uint32_t flags, uint64_t *fh)
{
    struct fuse_open_in in = {.flags = flags};
    struct fuse_open_out out;
    int rc = fuse_call(r, op, node, &in, sizeof in, NULL, NULL);
    if (rc)
        return rc;
    memcpy(&out, r->out, sizeof out);
    *fh = out.fh;
    return 0;
}

int fuse_open(struct fuse_rig *r, uint64_t node, uint32_t flags, uint64_t *fh)
{
    return open_as(r, FUSE_OPEN, node, flags, fh);
}

int fuse_opendir(struct fuse_rig *r, uint64_t node, uint64_t *fh)
{
    return open_as(r, FUSE_OPENDIR, node, O_RDONLY | O_DIRECTORY, fh);
}

long fuse_read(struct fuse_rig *r, uint64_t node, uint64_t fh, uint64_t off, uint32_t size)
{
    struct fuse_read_in in = {.fh = fh, .offset = off, .size = size};
    int rc = fuse_call(r, FUSE_READ, node, &in, sizeof in, NULL, NULL);
    return rc ? rc : (long)r->len;
}

long fuse_write(struct fuse_rig *r, uint64_t node, uint64_t fh, uint64_t off, const void *data,
                uint32_t size, uint32_t flags)
{
    struct fuse_write_in in = {.fh = fh, .offset = off, .size = size, .flags = flags};
    struct fuse_in_header h = {.len = (uint32_t)(sizeof h + sizeof in) + size,
                               .opcode = FUSE_WRITE, .nodeid = node, .uid = r->uid, .gid = r->gid};
    uint8_t *bytes = malloc(h.len);
    NEED(bytes);
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + sizeof h, &in, sizeof in);
    memcpy(bytes + sizeof h + sizeof in, data, size);
    int rc = fuse_raw(r, bytes, h.len, 64);
    free(bytes);
    return rc ? rc : (long)load_le32(r->out);
}

int fuse_release(struct fuse_rig *r, uint64_t fh)
{
    struct fuse_release_in in = {.fh = fh};
    return fuse_call(r, FUSE_RELEASE, 0, &in, sizeof in, NULL, NULL);
}

int fuse_rename(struct fuse_rig *r, uint64_t from, const char *a, uint64_t to, const char *b,
                uint32_t flags)
{
    struct fuse_rename2_in in = {.newdir = to, .flags = flags};
    return fuse_call(r, FUSE_RENAME2, from, &in, sizeof in, a, b);
}

int fuse_link(struct fuse_rig *r, uint64_t node, uint64_t dir, const char *name)
{
    struct fuse_link_in in = {.oldnodeid = node};
    return fuse_call(r, FUSE_LINK, dir, &in, sizeof in, name, NULL);
}

int fuse_unlink(struct fuse_rig *r, uint64_t dir, const char *name)
{
    return fuse_call(r, FUSE_UNLINK, dir, NULL, 0, name, NULL);
}

int fuse_symlink(struct fuse_rig *r, uint64_t dir, const char *name, const char *target)
{
    return fuse_call(r, FUSE_SYMLINK, dir, NULL, 0, name, target);
}

/* --- the host's side --- */

const char *host_path(struct fuse_rig *r, const char *path)
{
    static char buf[4][4200];
    static unsigned n;
    char *at = buf[n++ % 4];
    snprintf(at, sizeof buf[0], "%s/%s", r->top, path);
    return at;
}

void host_put(struct fuse_rig *r, const char *path, const char *text)
{
    FILE *f = fopen(host_path(r, path), "w");
    NEED(f);
    fputs(text, f);
    NEED((fclose(f)) == 0);
}

bool host_has(struct fuse_rig *r, const char *path)
{
    struct stat st;
    return !lstat(host_path(r, path), &st);
}

const char *host_get(struct fuse_rig *r, const char *path)
{
    static char buf[4097];
    FILE *f = fopen(host_path(r, path), "r");
    if (!f)
        return NULL;
    buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
    fclose(f);
    return buf;
}

unsigned host_fds_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    NEED(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}
