// SPDX-License-Identifier: MIT
//
// See qmp.h. The order of checks is QEMU's: the message's shape, its members, negotiation, the
// command, its arguments.
#include "src/control/qmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opt.h"
#include "util.h"
#include "version.h"

#define NEGOTIATE "qmp_capabilities"
#define GENERIC "GenericError"
#define NO_COMMAND "CommandNotFound"
#define US_PER_S 1000000u

static char *dump(json_t *reply)
{
    char *text = reply ? json_dumps(reply, JSON_ENSURE_ASCII) : NULL;
    json_decref(reply);
    return text;
}

json_t *qmp_version(void)
{
    int major = 0, minor = 0, micro = 0;
    sscanf(MINIVMM_VERSION, "%d.%d.%d", &major, &minor, &micro);
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", major, "minor", minor, "micro",
                     micro, "package", "minivmm " MINIVMM_VERSION);
}

char *qmp_greeting(void)
{
    return dump(json_pack("{s:{s:o, s:[]}}", "QMP", "version", qmp_version(), "capabilities"));
}

json_t *qmp_text(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char *plain = strdup(text);
    for (char *p = plain; p && *p; p++)
        *p = (unsigned char)*p < 0x80 ? *p : '?';
    string = plain ? json_string(plain) : NULL;
    free(plain);
    return string;
}

static json_t *error_of(const char *class, const char *desc)
{
    return json_pack("{s:{s:s, s:o}}", "error", "class", class, "desc", qmp_text(desc));
}

static json_t *generic(const struct err *err)
{
    return error_of(GENERIC, err->msg);
}

/* Of a command that failed with -errno. */
static const char *class_of(int rc)
{
    return rc == -ENODEV ? "DeviceNotActive" : rc == -ENOENT ? "DeviceNotFound" : GENERIC;
}

char *qmp_bad(const char *why)
{
    return dump(error_of(GENERIC, why));
}

/* --- events --- */

static const char *const event_names[CONTROL_EVENTS] = {
    [CONTROL_SHUTDOWN] = "SHUTDOWN", [CONTROL_RESET] = "RESET",
    [CONTROL_STOP] = "STOP", [CONTROL_RESUME] = "RESUME",
    [CONTROL_POWERDOWN] = "POWERDOWN", [CONTROL_GUEST_PANICKED] = "GUEST_PANICKED",
    [CONTROL_WATCHDOG] = "WATCHDOG", [CONTROL_BALLOON_CHANGE] = "BALLOON_CHANGE",
};

static json_t *event_data(const struct control_news *news)
{
    switch (news->event) {
    case CONTROL_SHUTDOWN:
    case CONTROL_RESET:
        return json_pack("{s:b, s:s}", "guest", news->guest, "reason",
                         news->word    ? news->word
                         : news->guest ? "guest-reset"
                                       : "host-qmp-system-reset");
    case CONTROL_GUEST_PANICKED:
    case CONTROL_WATCHDOG:
        return json_pack("{s:s}", "action", news->word);
    case CONTROL_BALLOON_CHANGE:
        return json_pack("{s:I}", "actual", (json_int_t)news->bytes);
    default:
        return NULL;
    }
}

char *qmp_event(const struct control_news *news)
{
    json_t *ev = json_pack(
        "{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)(news->utc_us / US_PER_S),
        "microseconds", (json_int_t)(news->utc_us % US_PER_S), "event", event_names[news->event]);
    json_t *data = event_data(news);
    if (data)
        json_object_set_new(ev, "data", data);
    return dump(ev);
}

/* --- checks --- */

const char *const qmp_type_names[] = {[QMP_STRING] = "string",
                                      [QMP_INT] = "integer",
                                      [QMP_BOOL] = "boolean",
                                      [QMP_ARRAY] = "array",
                                      [QMP_ANY] = "any"};

static bool has_type(const json_t *value, enum qmp_type type)
{
    switch (type) {
    case QMP_STRING:
        return json_is_string(value);
    case QMP_INT:
        return json_is_integer(value);
    case QMP_BOOL:
        return json_is_boolean(value);
    case QMP_ARRAY:
        return json_is_array(value);
    default:
        return true;
    }
}

static const struct qmp_arg *find_arg(const struct qmp_command *cmd, const char *name)
{
    for (unsigned i = 0; i < QMP_ARGS && cmd->args[i].name; i++) {
        if (!strcmp(cmd->args[i].name, name))
            return &cmd->args[i];
    }
    return NULL;
}

static int check_args(const struct qmp_command *cmd, json_t *args, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(args, name, value)
    {
        const struct qmp_arg *arg = find_arg(cmd, name);
        if (!arg)
            return err_set(err, EINVAL, "%s: parameter '%s' is unexpected", cmd->name,
                           OPT_QUOTE(name));
        if (!has_type(value, arg->type))
            return err_set(err, EINVAL, "%s: parameter '%s' must be of type %s", cmd->name, name,
                           qmp_type_names[arg->type]);
    }
    for (unsigned i = 0; i < QMP_ARGS && cmd->args[i].name; i++) {
        if (!cmd->args[i].optional && !json_object_get(args, cmd->args[i].name))
            return err_set(err, EINVAL, "%s: parameter '%s' is missing", cmd->name,
                           cmd->args[i].name);
    }
    return 0;
}

static int check_message(json_t *msg, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(msg, name, value)
    {
        bool execute = !strcmp(name, "execute"), arguments = !strcmp(name, "arguments");
        if (execute && !json_is_string(value))
            return err_set(err, EINVAL, "member 'execute' must be a string");
        if (arguments && !json_is_object(value))
            return err_set(err, EINVAL, "member 'arguments' must be an object");
        if (!execute && !arguments && strcmp(name, "id"))
            return err_set(err, EINVAL, "member '%s' is unexpected (known: execute, arguments, id)",
                           OPT_QUOTE(name));
    }
    if (!json_object_get(msg, "execute"))
        return err_set(err, EINVAL, "member 'execute' is missing");
    return 0;
}

/* --- commands --- */

static const struct qmp_command *find_command(const char *name)
{
    for (const struct qmp_command *cmd = qmp_commands; cmd->name; cmd++) {
        if (!strcmp(cmd->name, name))
            return cmd;
    }
    return NULL;
}

static json_t *not_found(const char *name)
{
    struct err err = {{0}};
    err_set(&err, ENOENT, "there is no command '%s' (query-commands lists them)", OPT_QUOTE(name));
    return error_of(NO_COMMAND, err.msg);
}

static json_t *run(struct qmp_state *s, const struct qmp_command *cmd, json_t *args)
{
    struct err err = {{0}};
    json_t *none = json_object(), *ret = NULL;
    int rc = check_args(cmd, args ? args : none, &err);
    if (!rc)
        rc = cmd->run(s->vm, args ? args : none, &ret, &err);
    json_decref(none);
    if (rc)
        return error_of(class_of(rc), err.msg);
    if (!strcmp(cmd->name, NEGOTIATE))
        s->negotiated = true;
    return json_pack("{s:o}", "return", ret ? ret : json_object());
}

static json_t *dispatch(struct qmp_state *s, json_t *msg)
{
    struct err err = {{0}};
    if (check_message(msg, &err))
        return generic(&err);
    const char *name = json_string_value(json_object_get(msg, "execute"));
    bool negotiate = !strcmp(name, NEGOTIATE);
    if (!s->negotiated && !negotiate)
        return error_of(NO_COMMAND, "capabilities come first: send 'qmp_capabilities'");
    if (s->negotiated && negotiate)
        return error_of(NO_COMMAND, "capabilities were negotiated before");
    const struct qmp_command *cmd = find_command(name);
    return cmd ? run(s, cmd, json_object_get(msg, "arguments")) : not_found(name);
}

char *qmp_answer(struct qmp_state *s, const char *text, size_t len)
{
    json_error_t where;
    json_t *msg = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!msg) {
        struct err err = {{0}};
        err_set(&err, EINVAL, "malformed JSON, at byte %d: %s", where.position,
                OPT_QUOTE(where.text));
        return qmp_bad(err.msg);
    }
    json_t *reply = dispatch(s, msg), *id = json_object_get(msg, "id");
    if (id)
        json_object_set(reply, "id", id);
    json_decref(msg);
    return dump(reply);
}
