// SPDX-License-Identifier: MIT
//
// The commands of QMP: one table, with what each does. Values and their names are QEMU's where QEMU
// has the command.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/control/balloon.h"
#include "src/control/monitor.h"
#include "src/control/qmp.h"
#include "src/vm/vm.h"

#define UNUSED(vm, args, ret, err) (void)(vm), (void)(args), (void)(ret), (void)(err)

static int negotiate(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    (void)vm, (void)ret;
    const json_t *enable = json_object_get(args, "enable");
    if (json_array_size(enable))
        return err_set(err, EINVAL, "qmp_capabilities: there is no capability to enable");
    return 0;
}

static int query_version(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = qmp_version();
    return 0;
}

static int query_commands(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = json_array();
    for (const struct qmp_command *cmd = qmp_commands; cmd->name; cmd++)
        json_array_append_new(*ret, json_pack("{s:s}", "name", cmd->name));
    return 0;
}

static int query_status(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = json_pack("{s:s, s:b, s:b}", "status", vm_status(vm), "singlestep", 0, "running",
                     !atomic_load(&vm->brakes));
    return 0;
}

static int query_name(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = json_object();
    if (vm->cfg->name)
        json_object_set_new(*ret, "name", qmp_text(vm->cfg->name));
    return 0;
}

static int query_kvm(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    bool kvm = vm->accel.ops && !strcmp(vm->accel.ops->name, "kvm");
    *ret = json_pack("{s:b, s:b}", "enabled", kvm, "present", kvm);
    return 0;
}

static int query_cpus(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = json_array();
    for (unsigned i = 0; vm->vcpus && i < vm->accel.nvcpus; i++) {
        unsigned thread = i < vm->nthreads ? i : 0; /* an engine may run all of them on one */
        int tid = vm->threads ? atomic_load(&vm->threads[thread].tid) : 0;
        char path[64];
        snprintf(path, sizeof path, "/machine/unattached/cpu[%u]", i);
        json_array_append_new(*ret, json_pack("{s:i, s:s, s:i, s:s, s:{s:i}}", "cpu-index", (int)i,
                                              "qom-path", path, "thread-id", tid, "target",
                                              "x86_64", "props", "core-id", (int)i));
    }
    return 0;
}

static const char *disk_id(const struct disk_config *d, unsigned n, char *buf, size_t len)
{
    snprintf(buf, len, "disk%u", n);
    return d->id ? d->id : buf;
}

static json_t *describe_disk(const struct disk_config *d, const struct block *b, unsigned n)
{
    char buf[32];
    json_t *image = json_pack("{s:o, s:s, s:I}", "filename", qmp_text(d->block.path), "format",
                              "raw", "virtual-size", (json_int_t)(b ? b->size : 0));
    json_t *cache =
        json_pack("{s:b, s:b, s:b}", "writeback", 1, "direct", d->block.cache == BLK_CACHE_NONE,
                  "no-flush", d->block.cache == BLK_CACHE_UNSAFE);
    json_t *inserted =
        json_pack("{s:o, s:s, s:b, s:b, s:o, s:o}", "file", qmp_text(d->block.path), "drv", "raw",
                  "ro", d->block.read_only, "encrypted", 0, "cache", cache, "image", image);
    return json_pack("{s:o, s:b, s:b, s:s, s:o}", "device",
                     qmp_text(disk_id(d, n, buf, sizeof buf)), "locked", 0, "removable", 0, "type",
                     "unknown", "inserted", inserted);
}

static int query_block(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = json_array();
    for (unsigned i = 0; i < vm->cfg->ndisks; i++)
        json_array_append_new(*ret, describe_disk(&vm->cfg->disks[i], vm->blocks[i], i));
    return 0;
}

static json_t *count_disk(const struct disk_config *d, const struct block *b, unsigned n)
{
    char buf[32];
    json_t *stats = json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "rd_bytes", (json_int_t)b->count.read_bytes, "wr_bytes",
        (json_int_t)b->count.write_bytes, "rd_operations", (json_int_t)b->count.reads,
        "wr_operations", (json_int_t)b->count.writes, "flush_operations", (json_int_t)b->flushes);
    return json_pack("{s:o, s:o}", "device", qmp_text(disk_id(d, n, buf, sizeof buf)), "stats",
                     stats);
}

static int query_blockstats(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    *ret = json_array();
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->cfg->ndisks; i++) {
        if (vm->blocks[i])
            json_array_append_new(*ret, count_disk(&vm->cfg->disks[i], vm->blocks[i], i));
    }
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

static int stop(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    vm_pause(vm, BRAKE_CONTROL);
    return 0;
}

static int cont(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    vm_resume(vm, BRAKE_CONTROL);
    return 0;
}

static int powerdown(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    vm_press_power(vm);
    return 0;
}

static int reset(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    vm_request_stop(vm, STOP_RESET, STOP_BY_CONTROL);
    return 0;
}

static int quit(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    UNUSED(vm, args, ret, err);
    vm_request_stop(vm, STOP_QUIT, STOP_BY_CONTROL);
    return 0;
}

static int human(struct vm *vm, const json_t *args, json_t **ret, struct err *err)
{
    const char *line = json_string_value(json_object_get(args, "command-line"));
    json_t *cpu = json_object_get(args, "cpu-index");
    if (cpu &&
        (json_integer_value(cpu) < 0 || json_integer_value(cpu) >= (json_int_t)vm->accel.nvcpus))
        return err_set(err, EINVAL, "human-monitor-command: there is no CPU %lld",
                       (long long)json_integer_value(cpu));
    if (strlen(line) >= MONITOR_LINE)
        return err_set(err, EINVAL, "human-monitor-command: the line has more than %d bytes",
                       MONITOR_LINE - 1);
    char *text = monitor_run(vm, line);
    if (!text)
        return err_set(err, ENOMEM, "human-monitor-command: out of memory");
    *ret = qmp_text(text);
    free(text);
    return 0;
}

const struct qmp_command qmp_commands[] = {
    {.name = "qmp_capabilities",
     .run = negotiate,
     .help = "Ends the negotiation that a connection begins with; until then every other command "
             "fails with CommandNotFound.",
     .args = {{"enable", QMP_ARRAY, true,
               "Capabilities to enable; there are none, so it is empty."}},
     .errors = "GenericError when a capability is asked for."},
    {.name = "query-version",
     .run = query_version,
     .help = "Which minivmm this is.",
     .returns = "The object version of the greeting: qemu (major, minor, micro: minivmm's own) and "
                "package (text)."},
    {.name = "query-commands",
     .run = query_commands,
     .help = "All commands.",
     .returns = "An array of objects with name."},
    {.name = "query-status",
     .run = query_status,
     .help = "Whether the guest runs.",
     .returns = "status (running, paused, prelaunch under -S, debug when gdb alone holds it), "
                "running (boolean) and singlestep (always false)."},
    {.name = "query-name",
     .run = query_name,
     .help = "The guest's name.",
     .returns = "name, when -name gave one."},
    {.name = "query-kvm",
     .run = query_kvm,
     .help = "Whether KVM is the engine.",
     .returns = "enabled and present, both true when it is."},
    {.name = "query-cpus-fast",
     .run = query_cpus,
     .help = "The CPUs and their threads; the guest is not held up.",
     .returns = "An array of objects with cpu-index, thread-id, qom-path, target and props "
                "(core-id). Engines that take turns have the same thread for all CPUs."},
    {.name = "query-block",
     .run = query_block,
     .help = "The disks.",
     .returns = "An array of objects with device (-drive's id, or diskN), locked, removable, type "
                "and inserted (file, drv, ro, encrypted, cache, image)."},
    {.name = "query-blockstats",
     .run = query_blockstats,
     .help = "What was done with the disks.",
     .returns = "An array of objects with device and stats (rd_bytes, wr_bytes, rd_operations, "
                "wr_operations, flush_operations)."},
    {.name = "balloon",
     .run = balloon_set,
     .help = "Asks the guest's balloon driver to leave it so much memory. It may take long, or "
             "never happen; BALLOON_CHANGE tells of it.",
     .args = {{"value", QMP_INT, false,
               "What is left to the guest, in bytes; all that it has at the most."}},
     .errors = "DeviceNotActive when there is no balloon, GenericError when the value is not "
               "positive."},
    {.name = "query-balloon",
     .run = balloon_query,
     .help = "How much memory the balloon leaves to the guest.",
     .returns = "actual, in bytes, as the driver tells: all memory while there is none.",
     .errors = "DeviceNotActive when there is no balloon."},
    {.name = "qom-get",
     .run = balloon_get_property,
     .help = "A property of the balloon, which is the only object: guest-stats (what its driver "
             "told last) or guest-stats-polling-interval (how often it is asked, in seconds; 0, "
             "the beginning: not at all).",
     .args = {{"path", QMP_STRING, false,
               "/machine/peripheral/ID with the id of -device, or balloon0."},
              {"property", QMP_STRING, false, "Its name."}},
     .returns = "guest-stats: stats (stat-swap-in, stat-swap-out, stat-major-faults, "
                "stat-minor-faults, stat-free-memory, stat-total-memory, stat-available-memory, "
                "stat-disk-caches, stat-htlb-pgalloc, stat-htlb-pgfail; memory in bytes, -1 what "
                "was not told) and last-update (seconds since 1970 by the date that the guest has, "
                "0: never). The interval: an integer.",
     .errors = "DeviceNotFound when the path names no balloon, GenericError when there is no such "
               "property."},
    {.name = "qom-set",
     .run = balloon_set_property,
     .help = "Sets guest-stats-polling-interval: statistics are asked for at once, and every so "
             "many seconds of the guest's time.",
     .args = {{"path", QMP_STRING, false, "As for qom-get."},
              {"property", QMP_STRING, false, "guest-stats-polling-interval."},
              {"value", QMP_ANY, false, "An integer from 0 to 4294967295."}},
     .errors = "DeviceNotFound when the path names no balloon, GenericError for any other property "
               "or value."},
    {.name = "stop",
     .run = stop,
     .help = "Stops all CPUs where they are. On a stopped machine nothing happens."},
    {.name = "cont",
     .run = cont,
     .help = "Lets a stopped machine go on; one that gdb holds too, only when gdb lets it. On a "
             "running one nothing happens."},
    {.name = "system_powerdown",
     .run = powerdown,
     .help = "Presses the power button. What follows is the guest's decision; a stopped one sees "
             "it when it goes on."},
    {.name = "system_reset",
     .run = reset,
     .help = "Resets the machine, as the guest itself can; under -no-reboot it ends. A stopped "
             "machine stays stopped."},
    {.name = "quit", .run = quit, .help = "Ends minivmm at once, with exit status 0."},
    {.name = "human-monitor-command",
     .run = human,
     .help = "Gives a line to the human monitor.",
     .args = {{"command-line", QMP_STRING, false, "The line, at most 255 bytes."},
              {"cpu-index", QMP_INT, true, "Accepted; the monitor shows all CPUs."}},
     .returns = "What the monitor says: a string, also when it is a complaint.",
     .errors = "GenericError when the line is too long, or there is no such CPU."},
    {.name = NULL},
};
