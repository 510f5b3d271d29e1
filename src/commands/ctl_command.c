// SPDX-License-Identifier: MIT
//
// `minivmm ctl PATH COMMAND [KEY=VALUE]...`: one QMP command for shells. Prints what the command
// returns as JSON; an error is one line and status 1. A value that is JSON is taken as such, any
// other is a string. Works with any QMP server.
#include "src/commands/ctl_command.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "opt.h"
#include "stop.h"

#define PATIENCE_S 30
#define REPLY_MAX (4u << 20)

struct link {
    const char *path;
    int fd;
    char *buf;
    size_t len, cap;
};

static int open_link(struct link *l, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    if (strlen(l->path) >= sizeof addr.sun_path)
        return err_set(err, ENAMETOOLONG, "ctl: the name of a socket has at most %zu bytes",
                       sizeof addr.sun_path - 1);
    memcpy(addr.sun_path, l->path, strlen(l->path) + 1);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return err_set_errno(err, errno, "ctl: make a socket");
    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(l->fd, (const struct sockaddr *)&addr, sizeof addr))
        return err_set_errno(err, errno, "ctl: connect to '%s'", l->path);
    return 0;
}

static int fill(struct link *l, struct err *err)
{
    if (l->cap - l->len < 4096) {
        char *bigger = l->cap < REPLY_MAX ? realloc(l->buf, l->cap + 65536) : NULL;
        if (!bigger)
            return err_set(err, ENOMEM, "ctl: '%s' answers with too much", l->path);
        l->buf = bigger;
        l->cap += 65536;
    }
    ssize_t n = recv(l->fd, l->buf + l->len, l->cap - l->len, 0);
    if (n < 0 && errno == EAGAIN)
        return err_set(err, ETIMEDOUT, "ctl: no answer from '%s' for %d s", l->path, PATIENCE_S);
    if (n < 0)
        return err_set_errno(err, errno, "ctl: read from '%s'", l->path);
    if (!n)
        return err_set(err, EPIPE, "ctl: '%s' hung up", l->path);
    l->len += (size_t)n;
    return 0;
}

/* The next message, a new reference. */
static json_t *next_message(struct link *l, struct err *err)
{
    char *end;
    while (!(end = l->len ? memchr(l->buf, '\n', l->len) : NULL)) {
        if (fill(l, err))
            return NULL;
    }
    size_t n = (size_t)(end - l->buf) + 1;
    json_t *msg = json_loadb(l->buf, n, 0, NULL);
    memmove(l->buf, l->buf + n, l->len - n);
    l->len -= n;
    if (!json_is_object(msg)) {
        err_set(err, EPROTO, "ctl: what '%s' says is not QMP", l->path);
        json_decref(msg);
        return NULL;
    }
    return msg;
}

static int send_message(struct link *l, json_t *msg, struct err *err)
{
    char *text = msg ? json_dumps(msg, 0) : NULL;
    int rc = text ? 0 : err_set(err, EINVAL, "ctl: the command cannot be written as JSON");
    for (size_t done = 0, len = text ? strlen(text) : 0; !rc && done < len;) {
        ssize_t n = send(l->fd, text + done, len - done, MSG_NOSIGNAL);
        if (n < 0)
            rc = err_set_errno(err, errno, "ctl: write to '%s'", l->path);
        else
            done += (size_t)n;
    }
    free(text);
    json_decref(msg);
    return rc;
}

/* What the command returned, a new reference; events pass by. */
static json_t *next_return(struct link *l, struct err *err)
{
    for (;;) {
        json_t *msg = next_message(l, err);
        if (!msg)
            return NULL;
        json_t *ret = json_incref(json_object_get(msg, "return"));
        json_t *error = json_object_get(msg, "error");
        const char *class = json_string_value(json_object_get(error, "class"));
        const char *desc = json_string_value(json_object_get(error, "desc"));
        if (error)
            err_set(err, EREMOTEIO, "ctl: %s: %s", class ? class : "error",
                    desc ? desc : "no reason given");
        json_decref(msg);
        if (ret || err->msg[0])
            return ret;
    }
}

static json_t *call(struct link *l, json_t *msg, struct err *err)
{
    return send_message(l, msg, err) ? NULL : next_return(l, err);
}

static int greet(struct link *l, struct err *err)
{
    json_t *msg = next_message(l, err);
    bool qmp = json_object_get(msg, "QMP");
    json_decref(msg);
    if (!msg)
        return -EPROTO;
    if (!qmp)
        return err_set(err, EPROTO, "ctl: what '%s' says is not QMP", l->path);
    json_t *ret = call(l, json_pack("{s:s}", "execute", "qmp_capabilities"), err);
    json_decref(ret);
    return ret ? 0 : -EPROTO;
}

static int add_argument(json_t *args, const char *word, struct err *err)
{
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return err_set(err, EINVAL, "ctl: '%s' is not KEY=VALUE", OPT_QUOTE(word));
    char *key = strndup(word, (size_t)(equals - word));
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (!value)
        value = json_string(equals + 1);
    int rc = !key || json_object_set_new(args, key, value)
                 ? err_set(err, EINVAL, "ctl: '%s' is not UTF-8", OPT_QUOTE(word))
                 : 0;
    free(key);
    return rc;
}

static int print_return(json_t *ret, struct err *err)
{
    int rc = json_dumpf(ret, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(ret);
    return rc ? err_set(err, EIO, "ctl: cannot write to standard output") : 0;
}

static int ctl(const char *path, json_t *msg, struct err *err)
{
    struct link l = {.path = path, .fd = -1};
    int rc = open_link(&l, err);
    if (!rc)
        rc = greet(&l, err);
    json_t *ret = rc ? NULL : call(&l, json_incref(msg), err);
    if (!rc)
        rc = ret ? print_return(ret, err) : -EREMOTEIO;
    if (l.fd >= 0)
        close(l.fd);
    free(l.buf);
    return rc;
}

int ctl_command(int argc, char **argv)
{
    struct err err = {{0}};
    if (argc == 2 && opt_asks_help(argv[1])) {
        puts("Usage: minivmm ctl PATH COMMAND [KEY=VALUE]...\n"
             "Gives one command to the machine that listens on PATH (-qmp unix:PATH) and prints\n"
             "what it returns. minivmm-qmp(7) lists the commands; so does query-commands.");
        return EXIT_OK;
    }
    if (argc < 3) {
        log_error(
            "ctl: a socket and a command are wanted: minivmm ctl PATH COMMAND [KEY=VALUE]...");
        return EXIT_USAGE;
    }
    json_t *args = json_object();
    int rc = 0;
    for (int i = 3; i < argc && !rc; i++)
        rc = add_argument(args, argv[i], &err);
    json_t *msg = json_pack("{s:s, s:o}", "execute", argv[2], "arguments", args);
    int status = EXIT_USAGE;
    if (!rc && !msg)
        rc = err_set(&err, EINVAL, "ctl: the command's name is not UTF-8");
    if (!rc) {
        rc = ctl(argv[1], msg, &err);
        status = EXIT_HOST_ERROR;
    }
    json_decref(msg);
    if (!rc)
        return EXIT_OK;
    log_error("%s", err.msg);
    return status;
}
