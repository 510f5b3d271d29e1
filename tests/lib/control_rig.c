// SPDX-License-Identifier: MIT
//
// See control_rig.h.
#include "tests/lib/control_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/pm.h"
#include "devices/virtio/balloon.h"
#include "src/control/control.h"
#include "src/control/frame.h"
#include "src/control/monitor.h"
#include "src/control/qmp.h"
#include "util.h"

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "control rig: %s\n", what);
    abort();
}

static void count_sci(void *opaque, unsigned n, bool level)
{
    struct control_rig *r = opaque;
    (void)n;
    r->sci += level;
}

static void ignore_stop(void *opaque, enum stop_cause cause, unsigned code)
{
    (void)opaque, (void)cause, (void)code;
}

static void wake(void *opaque)
{
    evloop_wake(opaque);
}

static void balloon_changed(void *opaque, uint64_t actual)
{
    struct vm *vm = opaque;
    control_tell_balloon(vm->control, vm->gmem.size - actual);
}

static void make_balloon(struct vm *vm)
{
    struct err err = {{0}};
    must(!gmem_init(&vm->gmem, CONTROL_RIG_RAM, 3ull << 30, 4ull << 30, &err), err.msg);
    const struct virtio_balloon_config cfg = {
        .clock = &vm->clock, .events = &vm->events, .changed = balloon_changed, .opaque = vm};
    vm->balloon = virtio_balloon_create(&cfg, &vm->gmem, &err);
    must(vm->balloon != NULL, err.msg);
}

void control_rig_open(struct control_rig *r)
{
    struct err err = {{0}};
    struct vm *vm = &r->vm;
    memset(r, 0, sizeof *r);
    strcpy(r->folder, "/tmp/minivmm-control-XXXXXX");
    must(mkdtemp(r->folder) != NULL, "no folder");
    snprintf(r->qmp_path, sizeof r->qmp_path, "%s/qmp", r->folder);
    snprintf(r->monitor_path, sizeof r->monitor_path, "%s/monitor", r->folder);
    r->cfg = (struct config){
        .name = "rig",
        .controls = {{CONTROL_QMP, r->qmp_path}, {CONTROL_MONITOR, r->monitor_path}},
        .ncontrols = 2,
        .balloon = {.there = true, .id = "rig-balloon"},
    };
    vm->cfg = &r->cfg;
    vm->accel.ops = accel_find("none", &err);
    pthread_mutex_init(&vm->lock, NULL);
    pthread_mutex_init(&vm->gate_lock, NULL);
    pthread_cond_init(&vm->gate_opened, NULL);
    pthread_cond_init(&vm->all_parked, NULL);
    clock_init_stepped(&vm->clock, 0);
    must(!evloop_init(&vm->loop, &err), err.msg);
    event_queue_init(&vm->events, wake, &vm->loop);
    bus_init(&vm->pio, "pio", 65536);
    bus_init(&vm->mmio, "mmio", 0);
    vm_power_init(vm);
    const struct pm_config pm = {
        .pio = &vm->pio, .clock = &vm->clock, .sci = {count_sci, r, 0}, .stop = {ignore_stop, NULL}};
    vm->devices = pm_create(&pm, &err);
    must(vm->devices != NULL, err.msg);
    vm->pm = pm_of(vm->devices);
    make_balloon(vm);
    must(!control_open(vm, &vm->control, &err), err.msg);
}

void control_rig_close(struct control_rig *r)
{
    control_close(r->vm.control);
    event_cancel(&r->vm.power);
    r->vm.balloon->ops->fini(r->vm.balloon);
    gmem_fini(&r->vm.gmem);
    r->vm.devices->ops->fini(r->vm.devices);
    event_queue_fini(&r->vm.events);
    evloop_fini(&r->vm.loop);
    must(!rmdir(r->folder), "files are left in the folder");
}

int control_rig_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strncpy(addr.sun_path, path, sizeof addr.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!connect(fd, (const struct sockaddr *)&addr, sizeof addr))
        return fd;
    close(fd);
    return -1;
}

void control_rig_pump(struct control_rig *r)
{
    for (int i = 0; i < 8; i++) {
        evloop_run_once(&r->vm.loop, 0);
        event_queue_run(&r->vm.events);
        control_deliver(r->vm.control);
    }
}

static bool peek_line(int fd, char *buf, size_t len, size_t *n)
{
    ssize_t got = recv(fd, buf, len - 1, MSG_PEEK);
    char *end = got > 0 ? memchr(buf, '\n', (size_t)got) : NULL;
    *n = end ? (size_t)(end - buf) + 1 : 0;
    return end;
}

bool control_rig_line(struct control_rig *r, int fd, char *buf, size_t len)
{
    size_t n;
    control_rig_pump(r);
    if (!peek_line(fd, buf, len, &n))
        return false;
    must(recv(fd, buf, n, 0) == (ssize_t)n, "bytes vanished");
    buf[n - 1] = '\0';
    if (n > 1 && buf[n - 2] == '\r')
        buf[n - 2] = '\0';
    return true;
}

const char *control_rig_ask(struct control_rig *r, int fd, const char *text)
{
    static char line[65536];
    size_t n = strlen(text);
    must(!n || send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n, "the client cannot send");
    return control_rig_line(r, fd, line, sizeof line) ? line : "";
}

/* --- chaos --- */

static void check_reply(char *text)
{
    json_error_t where;
    json_t *reply = text ? json_loads(text, 0, &where) : NULL;
    must(json_is_object(reply), "an answer is no JSON object");
    must(!json_object_get(reply, "return") != !json_object_get(reply, "error"), "an answer is none");
    must(!strpbrk(text, "\r\n"), "an answer has several lines");
    json_decref(reply);
    free(text);
}

static void chaos_qmp(struct control_rig *r, const char *bytes, size_t size, bool negotiated)
{
    static struct frame frame;
    struct qmp_state state = {.vm = &r->vm, .negotiated = negotiated};
    memset(&frame, 0, offsetof(struct frame, text));
    for (size_t used; size; bytes += used, size -= used) {
        enum frame_result result = frame_feed(&frame, bytes, size, &used);
        must(used && used <= size && frame.len <= FRAME_MAX, "a frame goes beyond its bounds");
        if (result == FRAME_BAD)
            check_reply(qmp_bad(frame.why));
        if (result != FRAME_DONE)
            continue;
        check_reply(qmp_answer(&state, frame.text, frame.len));
        frame_next(&frame);
    }
}

static void chaos_monitor(struct control_rig *r, const char *bytes, size_t size)
{
    char line[MONITOR_LINE];
    size_t n = size < sizeof line ? size : sizeof line - 1;
    memcpy(line, bytes, n);
    line[n] = '\0';
    char *text = monitor_run(&r->vm, line);
    must(text && strlen(text) <= MONITOR_TEXT, "the monitor says nothing or too much");
    free(text);
}

void control_chaos(struct control_rig *r, const uint8_t *data, size_t size)
{
    if (!size)
        return;
    const char *bytes = (const char *)data + 1;
    if (data[0] % 4 == 3)
        chaos_monitor(r, bytes, size - 1);
    else
        chaos_qmp(r, bytes, size - 1, data[0] % 4);
    event_queue_run(&r->vm.events);
    control_deliver(r->vm.control);
    atomic_store(&r->vm.stop, 0);
}
