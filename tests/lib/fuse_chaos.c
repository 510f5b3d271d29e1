// SPDX-License-Identifier: MIT
#include "tests/lib/fuse_chaos.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define FILE_MAX KIB(256) /* so that no run fills the host's disk */
#define REQUESTS_MAX 24
#define TIDY_EVERY 64

/* --- what must not change --- */

static struct timespec changed(struct fuse_chaos *c, const char *path)
{
    struct stat st;
    if (lstat(host_path(&c->rig, path), &st))
        return (struct timespec){0};
    return st.st_ctim;
}

static const char *const watched[3] = {"", "outside", "outside/canary"};

static void fill_share(struct fuse_chaos *c)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        char path[32];
        snprintf(path, sizeof path, "share/%s", names[i]);
        if (i == 3)
            mkdir(host_path(&c->rig, path), 0777);
        else if (i == 2)
            (void)!symlink("../outside", host_path(&c->rig, path));
        else
            host_put(&c->rig, path, "text");
    }
}

void fuse_chaos_init(struct fuse_chaos *c)
{
    struct rlimit file = {FILE_MAX, FILE_MAX};
    memset(c, 0, sizeof *c);
    fuse_rig_init(&c->rig, (struct fs_config){.owner = FS_OWNER_MAP});
    host_put(&c->rig, "outside/canary", "canary");
    fill_share(c);
    setrlimit(RLIMIT_FSIZE, &file);
    signal(SIGXFSZ, SIG_IGN);
    for (unsigned i = 0; i < ARRAY_LEN(watched); i++)
        c->marks[i] = changed(c, watched[i]);
    fuse_call(&c->rig, FUSE_DESTROY, 0, NULL, 0, NULL, NULL);
}

void fuse_chaos_fini(struct fuse_chaos *c)
{
    fuse_rig_fini(&c->rig);
}

static const char *aftermath(struct fuse_chaos *c)
{
    struct fs_counters n = fs_count(c->rig.fs);
    for (unsigned i = 0; i < ARRAY_LEN(watched); i++) {
        struct timespec now = changed(c, watched[i]);
        if (now.tv_sec != c->marks[i].tv_sec || now.tv_nsec != c->marks[i].tv_nsec)
            return "something outside the shared directory changed";
    }
    if (n.nodes != 1 || n.handles || n.descriptors)
        return "something is left after DESTROY";
    return host_fds_open() == c->fds ? NULL : "a descriptor is left";
}

static const char *top_of_share;

static int remove_below(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)type, (void)ftw;
    if (S_ISDIR(st->st_mode))
        chmod(path, 0700);
    return strcmp(path, top_of_share) ? remove(path) : 0;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)type, (void)ftw;
    return S_ISDIR(st->st_mode) ? chmod(path, 0700) : 0;
}

static void tidy(struct fuse_chaos *c)
{
    top_of_share = c->rig.share;
    nftw(c->rig.share, open_up, 16, FTW_PHYS);
    nftw(c->rig.share, remove_below, 16, FTW_DEPTH | FTW_PHYS);
    fill_share(c);
}

/* --- bytes to requests --- */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t byte(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

/* Numbers that matter: small ones, the last of each size, what the input says. */
static uint64_t number(struct input *in)
{
    static const uint64_t special[] = {0, 1, 2, 3, 4096, 65536, 1 << 20, INT32_MAX, UINT32_MAX,
                                       INT64_MAX, INT64_MAX - 4095, UINT64_MAX};
    uint8_t b = byte(in);
    if (b < ARRAY_LEN(special))
        return special[b];
    if (b < 200)
        return b;
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | byte(in);
    return v;
}

static size_t put_name(struct input *in, char *to)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "..", ".", "", "a/b", "../outside",
                                        "/etc/passwd", "user.x", "security.x", "d/../..", "c/canary"};
    uint8_t b = byte(in);
    if (b < 120)
        return (size_t)sprintf(to, "%s", names[b % ARRAY_LEN(names)]) + (b < 118);
    size_t n = b < 240 ? b % 24 : 300u;
    for (size_t i = 0; i < n; i++)
        to[i] = (char)byte(in);
    to[n] = '\0';
    return n + (b & 1);
}

/* Numbers of nodes and handles are small, and the last reply's first word is one that exists. */
static uint64_t reference(struct input *in, uint64_t last)
{
    uint8_t b = byte(in);
    return b < 80 ? FUSE_ROOT_ID : b < 200 ? last : b < 240 ? b - 200u : number(in);
}

struct talk {
    struct input in;
    uint64_t node, fh; /* given out last */
    uint8_t bytes[8192];
};

static size_t put_args(struct talk *t, uint32_t op, uint8_t *to)
{
    size_t n = byte(&t->in) % 9 * 8;
    for (size_t i = 0; i < n; i += 8)
        store_le64(to + i, i ? number(&t->in) : reference(&t->in, t->fh));
    if (op == FUSE_RENAME || op == FUSE_RENAME2 || op == FUSE_LINK)
        store_le64(to, reference(&t->in, t->node));
    return n;
}

/* The sizes that the operations have; 0: any. */
static const uint8_t arg_size[64] = {
    [FUSE_FORGET] = 8,     [FUSE_GETATTR] = 16,  [FUSE_SETATTR] = 88,   [FUSE_MKNOD] = 16,
    [FUSE_MKDIR] = 8,      [FUSE_RENAME] = 8,    [FUSE_RENAME2] = 16,   [FUSE_LINK] = 8,
    [FUSE_OPEN] = 8,       [FUSE_OPENDIR] = 8,   [FUSE_READ] = 40,      [FUSE_READDIR] = 40,
    [FUSE_READDIRPLUS] = 40, [FUSE_WRITE] = 40,  [FUSE_RELEASE] = 24,   [FUSE_RELEASEDIR] = 24,
    [FUSE_FSYNC] = 16,     [FUSE_FSYNCDIR] = 16, [FUSE_SETXATTR] = 8,   [FUSE_GETXATTR] = 8,
    [FUSE_LISTXATTR] = 8,  [FUSE_FLUSH] = 24,    [FUSE_INIT] = 64,      [FUSE_ACCESS] = 8,
    [FUSE_CREATE] = 16,    [FUSE_TMPFILE] = 16,  [FUSE_INTERRUPT] = 8,  [FUSE_FALLOCATE] = 32,
    [FUSE_LSEEK] = 24,     [FUSE_COPY_FILE_RANGE] = 56, [FUSE_SYNCFS] = 8, [FUSE_BATCH_FORGET] = 8,
};

static bool not_for_long_runs(uint32_t op)
{
    return op == FUSE_SYNCFS || op == FUSE_FSYNC || op == FUSE_FSYNCDIR; /* they wait for the disk */
}

static void one_request(struct fuse_chaos *c, struct talk *t)
{
    uint8_t shape = byte(&t->in), raw_op = byte(&t->in);
    uint32_t op = raw_op < 230 ? raw_op % 54 : (uint32_t)number(&t->in);
    if (not_for_long_runs(op))
        return;
    size_t len = sizeof(struct fuse_in_header);
    size_t args = put_args(t, op, t->bytes + len);
    if (op < ARRAY_LEN(arg_size) && shape < 200) {
        memset(t->bytes + len + args, 0, arg_size[op] > args ? arg_size[op] - args : 0);
        args = arg_size[op];
    }
    len += args;
    for (unsigned i = shape % 3; i < 2; i++)
        len += put_name(&t->in, (char *)t->bytes + len);
    if (op == FUSE_WRITE)
        len += byte(&t->in);
    struct fuse_in_header h = {.len = (uint32_t)len, .opcode = op,
                               .nodeid = reference(&t->in, t->node)};
    memcpy(t->bytes, &h, sizeof h);
    if (shape > 240)
        len = byte(&t->in) % (len + 1);
    long room = shape % 7 == 6 ? (long)(byte(&t->in)) - 1 : 8192;
    if (fuse_raw(&c->rig, t->bytes, len, room) || c->rig.len < 8)
        return;
    if (op == FUSE_OPEN || op == FUSE_OPENDIR)
        t->fh = load_le64(c->rig.out);
    else if (c->rig.len >= sizeof(struct fuse_entry_out))
        t->node = load_le64(c->rig.out);
    if (op == FUSE_CREATE && c->rig.len > sizeof(struct fuse_entry_out))
        t->fh = load_le64(c->rig.out + sizeof(struct fuse_entry_out));
}

const char *fuse_chaos_run(struct fuse_chaos *c, const uint8_t *data, size_t size)
{
    struct talk t = {.in = {data, size}, .node = FUSE_ROOT_ID};
    c->fds = host_fds_open();
    fuse_init(&c->rig, 7, 38);
    for (unsigned i = 0; i < REQUESTS_MAX && t.in.left; i++)
        one_request(c, &t);
    fuse_call(&c->rig, FUSE_DESTROY, 0, NULL, 0, NULL, NULL);
    const char *wrong = aftermath(c);
    if (++c->runs % TIDY_EVERY == 0)
        tidy(c);
    return wrong;
}
