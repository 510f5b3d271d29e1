// SPDX-License-Identifier: MIT
//
// A client of control sockets for tests, which shares no code with minivmm:
//
//   client replay SOCKET SESSION   send a recorded session's '>' lines; every answer must be like the '<' line: the same kind, id, error class,
//                                  event, reason and state, and values of the same types under the names both have. Between two '>' lines answers
//                                  and events keep their order among themselves. A BALLOON_CHANGE on the way to the size that was recorded is
//                                  passed over: how many there are is a matter of speed.
//   client events SOCKET           print READY, then the name (and reason) of every event until the server hangs up
//   client rude SOCKET SEED        several connections that send rubbish, half commands and floods, read nothing, and vanish
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 30
#define RUDE 5

static char line[1 << 20];

static int die(const char *what, const char *which)
{
    fprintf(stderr, "client: %s: %s\n", what, which);
    exit(1);
}

static int open_socket(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    strncpy(addr.sun_path, path, sizeof addr.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr))
        die("connect", path);
    return fd;
}

/* NULL at the end. */
static json_t *next_message(FILE *in)
{
    if (!fgets(line, sizeof line, in))
        return NULL;
    json_t *msg = json_loads(line, 0, NULL);
    if (!msg)
        die("not JSON", line);
    return msg;
}

/* --- replay --- */

static bool is_event(json_t *msg)
{
    return json_object_get(msg, "event");
}

static bool is_literal(const char *key)
{
    static const char *const keys[] = {"id", "class", "event", "reason", "guest", "status", "running", "device", "ro", "drv", "name", "actual"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!strcmp(keys[i], key))
            return true;
    }
    return false;
}

static bool same_type(const json_t *a, const json_t *b)
{
    return json_typeof(a) == json_typeof(b) || (json_is_boolean(a) && json_is_boolean(b));
}

static void compare(const char *where, json_t *want, json_t *got, const char *text)
{
    const char *key;
    json_t *value;
    if (!same_type(want, got))
        die(where, text);
    if (json_is_array(want) && json_array_size(want)) {
        if (!json_array_size(got) && strcmp(where, "capabilities"))
            die("an empty array", text);
        if (json_array_size(got) && !json_object_get(json_array_get(want, 0), "name"))
            compare(where, json_array_get(want, 0), json_array_get(got, 0), text);
    }
    unsigned common = 0;
    json_object_foreach(want, key, value)
    {
        json_t *ours = json_object_get(got, key);
        common += ours != NULL;
        if (ours && is_literal(key) && !json_equal(value, ours))
            die(key, text);
        if (ours)
            compare(key, value, ours, text);
    }
    if (json_object_size(want) && !common)
        die("nothing in common", text);
}

static void compare_message(json_t *want, json_t *got)
{
    static const char *const members[] = {"QMP", "return", "error", "event", "id", "data", "timestamp"};
    char *text = json_dumps(got, 0);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (!json_object_get(want, members[i]) != !json_object_get(got, members[i]))
            die(members[i], text);
    }
    compare("message", want, got, text);
    free(text);
}

static bool is_on_the_way(json_t *want, json_t *got)
{
    json_t *size = json_object_get(json_object_get(got, "data"), "actual");
    return size && !json_equal(size, json_object_get(json_object_get(want, "data"), "actual"));
}

/* The messages between two '>' lines, in two arrays: answers and events. */
static void check_round(json_t *want[2], FILE *in)
{
    size_t done[2] = {0, 0};
    while (done[0] + done[1] < json_array_size(want[0]) + json_array_size(want[1])) {
        json_t *got = next_message(in);
        if (!got)
            die("the server hung up", "too early");
        bool event = is_event(got);
        json_t *wanted = json_array_get(want[event], done[event]);
        if (!wanted)
            die("unexpected", line);
        if (!is_on_the_way(wanted, got)) {
            compare_message(wanted, got);
            done[event]++;
        }
        json_decref(got);
    }
    json_array_clear(want[0]);
    json_array_clear(want[1]);
}

static int replay(const char *path, const char *session)
{
    FILE *in = fdopen(open_socket(path), "r+"), *script = fopen(session, "r");
    json_t *want[2] = {json_array(), json_array()};
    if (!script)
        die("open", session);
    while (fgets(line, sizeof line, script)) {
        if (line[0] == '<') {
            json_t *msg = json_loads(line + 2, 0, NULL);
            json_array_append_new(want[is_event(msg)], msg);
        } else if (line[0] == '>') {
            static char next[4096];
            strncpy(next, line + 2, sizeof next - 1);
            check_round(want, in);
            if (send(fileno(in), next, strlen(next), MSG_NOSIGNAL) < 0)
                die("send", next);
        }
    }
    check_round(want, in);
    return 0;
}

static int events(const char *path)
{
    int fd = open_socket(path);
    FILE *in = fdopen(fd, "r");
    const struct timeval forever = {0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    dprintf(fd, "{\"execute\":\"qmp_capabilities\"}");
    for (json_t *msg; (msg = next_message(in)); json_decref(msg)) {
        const char *reason = json_string_value(json_object_get(json_object_get(msg, "data"), "reason"));
        const char *name = json_string_value(json_object_get(msg, "event"));
        if (name)
            printf("%s%s%s\n", name, reason ? " " : "", reason ? reason : "");
        else if (json_object_get(msg, "return"))
            printf("READY\n");
        fflush(stdout);
    }
    return 0;
}

/* --- rude --- */

static int rude(const char *path, unsigned seed)
{
    static const char *const parts[] = {"{\"execute\":\"query-commands\"}", "{\"execute\":\"qmp_capabilities\"}", "{\"execute\":\"que",
                                        "[[[[[[[[", "{\"a\":[[[[[[[[", "\"", "\n", "\xff\xfe", "{\"id\":"};
    srandom(seed);
    for (unsigned round = 0; round < 10; round++) {
        int fd[RUDE];
        for (unsigned i = 0; i < RUDE; i++)
            fd[i] = open_socket(path);
        for (unsigned n = 0; n < 4000; n++) {
            const char *part = parts[(unsigned)random() % (sizeof parts / sizeof parts[0])];
            send(fd[n % RUDE], part, strlen(part), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        for (unsigned i = 0; i < RUDE; i++) {
            if (random() % 2)
                shutdown(fd[i], SHUT_WR);
            close(fd[i]);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "replay"))
        return replay(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "events"))
        return events(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "rude"))
        return rude(argv[2], (unsigned)atoi(argv[3]));
    fprintf(stderr, "usage: client replay SOCKET SESSION | events SOCKET | rude SOCKET SEED\n");
    return 2;
}
