// SPDX-License-Identifier: MIT
//
// Character backends by name (include/chr.h), and the one that leads nowhere.
#include "chr.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/chr/backends.h"

static size_t none_read(struct chr *chr, uint8_t *buf, size_t len)
{
    (void)chr;
    (void)buf;
    (void)len;
    return 0;
}

static size_t none_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    (void)chr;
    (void)buf;
    return len;
}

static void none_fini(struct chr *chr)
{
    free(chr);
}

static const struct chr_ops none_ops = {
    .read = none_read,
    .write = none_write,
    .fini = none_fini,
};

static struct chr *none_open(const char *arg, const struct chr_env *env, struct err *err)
{
    (void)arg;
    (void)env;
    struct chr *chr = calloc(1, sizeof *chr);
    if (!chr) {
        err_set_errno(err, ENOMEM, "open the serial backend 'none'");
        return NULL;
    }
    *chr = (struct chr){.name = "none", .ops = &none_ops};
    return chr;
}

static struct chr *fd_open(const char *arg, const struct chr_env *env, struct err *err)
{
    int in, out, end = 0;
    if (sscanf(arg, "%d:%d%n", &in, &out, &end) == 2 && !arg[end])
        return chr_fd_open(in, out, env, err);
    err_set(err, EINVAL, "serial backend 'fd:%s': two descriptors are fd:IN:OUT", arg);
    return NULL;
}

static const struct backend {
    const char *name, *arg_name; /* arg_name NULL: takes none */
    struct chr *(*open)(const char *arg, const struct chr_env *env, struct err *err);
} backends[] = {
    {"stdio", NULL, chr_stdio_open},
    {"file", "PATH", chr_file_open},
    {"pty", NULL, chr_pty_open},
    {"none", NULL, none_open},
    {"null", NULL, none_open},
    {"fd", "IN:OUT", fd_open},
    {"socket", "PATH", chr_socket_open},
};

struct chr *chr_open(const char *spec, const struct chr_env *env, struct err *err)
{
    const char *colon = strchr(spec, ':');
    size_t name_len = colon ? (size_t)(colon - spec) : strlen(spec);
    const char *arg = colon ? colon + 1 : NULL;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        const struct backend *b = &backends[i];
        if (strlen(b->name) != name_len || memcmp(b->name, spec, name_len) != 0)
            continue;
        if (b->arg_name && (!arg || !*arg)) {
            err_set(err, EINVAL, "serial backend '%s' needs an argument: %s:%s", spec, b->name,
                    b->arg_name);
            return NULL;
        }
        if (!b->arg_name && arg) {
            err_set(err, EINVAL, "serial backend '%s' takes no argument, but '%s' was given",
                    b->name, spec);
            return NULL;
        }
        return b->open(arg, env, err);
    }
    err_set(err, EINVAL, "unknown serial backend '%s'; known are stdio, file:PATH, pty, none, "
                         "fd:IN:OUT, socket:PATH",
            spec);
    return NULL;
}

void chr_close(struct chr *chr)
{
    if (chr)
        chr->ops->fini(chr);
}
