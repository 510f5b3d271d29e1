// SPDX-License-Identifier: MIT
//
// See balloon.h. Statistics are where QEMU's clients look for them: in the properties guest-stats
// and guest-stats-polling-interval of an object named after the device. It is the only object that
// there is.
#include "src/control/balloon.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "devices/virtio/balloon.h"
#include "opt.h"
#include "src/control/qmp.h"
#include "src/vm/vm.h"
#include "util.h"

#define FOLDER "/machine/peripheral/"
#define STATS "guest-stats"
#define INTERVAL "guest-stats-polling-interval"

static int no_balloon(struct err *err)
{
    return err_set(err, ENODEV,
                   "there is no balloon; start minivmm with -device virtio-balloon-pci");
}

static struct virtio_balloon_info look(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    struct virtio_balloon_info info = virtio_balloon_info(vm->balloon);
    pthread_mutex_unlock(&vm->lock);
    return info;
}

/* Let the guest have `bytes`. */
static void leave(struct vm *vm, uint64_t bytes)
{
    pthread_mutex_lock(&vm->lock);
    virtio_balloon_set_target(vm->balloon, bytes < vm->gmem.size ? vm->gmem.size - bytes : 0);
    pthread_mutex_unlock(&vm->lock);
}

int balloon_query(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    (void)args;
    if (!vm->balloon)
        return no_balloon(err);
    *ret = json_pack("{s:I}", "actual", (json_int_t)(vm->gmem.size - look(vm).actual));
    return 0;
}

int balloon_set(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    (void)ret;
    json_int_t value = json_integer_value(json_object_get(args, "value"));
    if (!vm->balloon)
        return no_balloon(err);
    if (value <= 0)
        return err_set(err, EINVAL,
                       "balloon: value is what is left to the guest, in bytes, more than 0");
    leave(vm, (uint64_t)value);
    return 0;
}

/* --- properties --- */

/* The balloon is what 'path' names, and what 'property' names is one of the two. */
static int check_property(struct vm *vm, const json_t *args, struct err *err)
{
    const char *path = json_string_value(json_object_get(args, "path"));
    const char *name = json_string_value(json_object_get(args, "property"));
    if (!vm->balloon || strncmp(path, FOLDER, strlen(FOLDER)) ||
        strcmp(path + strlen(FOLDER), vm->cfg->balloon.id))
        return err_set(err, ENOENT, "device '%s' not found; only the balloon can be looked at: %s",
                       OPT_QUOTE(path), vm->balloon ? vm->cfg->balloon.id : "there is none");
    if (strcmp(name, STATS) && strcmp(name, INTERVAL))
        return err_set(err, EINVAL, "property '%s' not found; there are " STATS " and " INTERVAL,
                       OPT_QUOTE(name));
    return 0;
}

static bool is_stats(const json_t *args)
{
    return !strcmp(json_string_value(json_object_get(args, "property")), STATS);
}

/* As QEMU's; but JSON's integers end at 2^63 here, so what the guest has not told is -1. */
static json_t *describe_stats(const struct virtio_balloon_info *info)
{
    json_t *stats = json_object();
    for (unsigned i = 0; i < BALLOON_STATS; i++) {
        char name[32];
        uint64_t value = info->stats[i] <= INT64_MAX ? info->stats[i] : BALLOON_NOT_TOLD;
        snprintf(name, sizeof name, "stat-%s", balloon_stat_names[i]);
        json_object_set_new(stats, name, json_integer((json_int_t)value));
    }
    return json_pack("{s:o, s:I}", "stats", stats, "last-update", (json_int_t)info->stats_utc_s);
}

int balloon_get_property(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    int rc = check_property(vm, args, err);
    if (rc)
        return rc;
    struct virtio_balloon_info info = look(vm);
    *ret = is_stats(args) ? describe_stats(&info) : json_integer(info.poll_s);
    return 0;
}

int balloon_set_property(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    const json_t *value = json_object_get(args, "value");
    json_int_t seconds = json_integer_value(value);
    int rc = check_property(vm, args, err);
    (void)ret;
    if (rc)
        return rc;
    if (is_stats(args))
        return err_set(err, EINVAL, "property '" STATS "' is not writable");
    if (!json_is_integer(value) || seconds < 0 || seconds > UINT32_MAX)
        return err_set(err, EINVAL,
                       "property '" INTERVAL "' is an integer: seconds, or 0 for none");
    pthread_mutex_lock(&vm->lock);
    virtio_balloon_poll_stats(vm->balloon, (uint32_t)seconds);
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

/* --- the monitor --- */

void balloon_type(struct vm *vm, const char *size, FILE *out)
{
    struct err err = {{0}};
    uint64_t bytes = 0;
    int rc = vm->balloon ? opt_size("balloon", size, MIB(1), &bytes, &err) : no_balloon(&err);
    if (!rc && !bytes)
        rc = err_set(&err, EINVAL, "balloon: the size is what is left to the guest, more than 0");
    if (rc)
        fprintf(out, "%s\n", err.msg);
    else
        leave(vm, bytes);
}

void balloon_print(struct vm *vm, FILE *out)
{
    if (!vm->balloon) {
        fputs("no balloon\n", out);
        return;
    }
    struct virtio_balloon_info info = look(vm);
    fprintf(out, "balloon: actual=%" PRIu64 "\n", (vm->gmem.size - info.actual) >> 20);
    fprintf(out,
            "    asked for %" PRIu64 " bytes, has %" PRIu64 "; the host got back %" PRIu64
            " (balloon) and %" PRIu64 " (freed pages); ignored %" PRIu64 "\n",
            info.target, info.actual, info.inflated, info.reported, info.ignored);
    fprintf(out, "    statistics told %" PRIu64 " times, asked for every %" PRIu32 " s\n",
            info.stats_told, info.poll_s);
    for (unsigned i = 0; i < BALLOON_STATS; i++) {
        if (info.stats[i] != BALLOON_NOT_TOLD)
            fprintf(out, "    %-17s %" PRIu64 "\n", balloon_stat_names[i], info.stats[i]);
    }
}
