// SPDX-License-Identifier: MIT
//
// The gdb server: sockets, and the stops that vCPU threads tell of. A vCPU's thread keeps the first
// of them, asks all vCPUs to the gate and wakes the event loop, which waits for them and lets the
// stub speak. A client that reads nothing is dropped when its answers fill the buffer; a second one
// is turned away.
#include "src/gdb/gdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "src/gdb/address.h"
#include "src/gdb/stub.h"
#include "src/vm/vm.h"
#include "unix_socket.h"

#define OUT_MAX 0x10000

struct gdb {
    struct vm *vm;
    struct stub stub;
    struct gdb_address address;
    struct fd_watch listener, client, wake;
    bool leaving; /* the client is done: close when all is sent */
    uint8_t *out; /* OUT_MAX bytes while there is a client */
    size_t nout;

    pthread_mutex_t lock; /* a leaf, for these two */
    bool told;
    struct vm_exit exit;
};

/* --- what vCPUs tell --- */

void gdb_told(struct gdb *g, const struct vm_exit *exit)
{
    pthread_mutex_lock(&g->lock);
    if (!g->told)
        g->exit = *exit;
    g->told = true;
    pthread_mutex_unlock(&g->lock);
    vm_brake(g->vm, BRAKE_GDB);
    eventfd_write(g->wake.fd, 1);
}

static void forget_told(struct gdb *g)
{
    pthread_mutex_lock(&g->lock);
    g->told = false;
    pthread_mutex_unlock(&g->lock);
}

static void halt(void *opaque)
{
    struct gdb *g = opaque;
    vm_pause(g->vm, BRAKE_GDB);
}

static void on_wake(void *self, uint32_t events)
{
    struct gdb *g = self;
    eventfd_t n;
    struct vm_exit exit;
    (void)events;
    eventfd_read(g->wake.fd, &n);
    pthread_mutex_lock(&g->lock);
    bool told = g->told;
    exit = g->exit;
    pthread_mutex_unlock(&g->lock);
    if (!told)
        return;
    halt(g);
    forget_told(g);
    if (g->stub.attached && g->stub.running)
        stub_stopped(&g->stub, &exit);
    else if (!g->stub.attached)
        stub_let_go(&g->stub);
}

/* --- what the stub wants --- */

static void resume(void *opaque)
{
    struct gdb *g = opaque;
    forget_told(g);
    vm_resume(g->vm, BRAKE_GDB);
    if (g->vm->stands)
        stub_note(
            &g->stub,
            "The machine is paused by its monitor or QMP socket, and goes on with `cont` there.\n");
}

static void kill_machine(void *opaque)
{
    struct gdb *g = opaque;
    vm_request_stop(g->vm, STOP_QUIT, 0);
}

/* --- descriptors --- */

static int watch(struct gdb *g, struct fd_watch *w, int fd, void (*ready)(void *, uint32_t))
{
    *w = (struct fd_watch){.fd = fd, .events = EPOLLIN, .ready = ready, .self = g};
    return fd < 0 ? fd : evloop_add(&g->vm->loop, w);
}

static void close_watch(struct gdb *g, struct fd_watch *w)
{
    if (w->added)
        evloop_remove(&g->vm->loop, w);
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct fd_watch){.fd = -1};
}

static void close_client(struct gdb *g)
{
    close_watch(g, &g->client);
    free(g->out);
    g->out = NULL;
    g->nout = 0;
}

static void drop_client(struct gdb *g)
{
    if (!g->client.added)
        return;
    close_client(g);
    stub_disconnect(&g->stub);
}

static void flush(struct gdb *g)
{
    size_t done = 0;
    while (done < g->nout) {
        ssize_t n = send(g->client.fd, g->out + done, g->nout - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    g->nout -= done;
    memmove(g->out, g->out + done, g->nout);
    evloop_modify(&g->vm->loop, &g->client, g->nout ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_bytes(void *opaque, const void *bytes, size_t len)
{
    struct gdb *g = opaque;
    if (!g->client.added)
        return;
    if (len > OUT_MAX - g->nout) {
        g->leaving = true;
        g->nout = 0;
        return;
    }
    memcpy(g->out + g->nout, bytes, len);
    g->nout += len;
    flush(g);
}

static void leave(void *opaque)
{
    struct gdb *g = opaque;
    g->leaving = true;
}

static const struct stub_host host = {
    .send = send_bytes, .halt = halt, .resume = resume, .leave = leave, .kill = kill_machine};

/* --- the client --- */

static void on_client(void *self, uint32_t events)
{
    struct gdb *g = self;
    uint8_t buf[4096];
    if (events & EPOLLOUT)
        flush(g);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    ssize_t n = recv(g->client.fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        stub_feed(&g->stub, buf, (size_t)n);
    if (n <= 0 || g->leaving)
        drop_client(g);
}

static void on_listener(void *self, uint32_t events)
{
    struct gdb *g = self;
    (void)events;
    int fd = unix_accept(g->listener.fd); /* TCP sockets are accepted in the same way */
    if (fd < 0)
        return;
    uint8_t *out = g->client.added ? NULL : malloc(OUT_MAX); /* one at a time */
    if (!out) {
        close(fd);
        return;
    }
    gdb_address_tune(fd);
    g->out = out;
    g->leaving = false;
    stub_connect(&g->stub);
    if (watch(g, &g->client, fd, on_client))
        close_client(g);
}

/* --- the life of the server --- */

static int start(struct gdb *g, struct err *err)
{
    int fd = gdb_address_listen(&g->address, err);
    if (fd < 0)
        return fd;
    int rc = watch(g, &g->listener, fd, on_listener);
    if (!rc)
        rc = watch(g, &g->wake, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_wake);
    return rc ? err_set_errno(err, -rc, "-gdb: watch its descriptors") : 0;
}

int gdb_open(struct vm *vm, struct gdb **out, struct err *err)
{
    if (!vm->cfg->gdb)
        return 0;
    if (!vm->accel.ops->set_debug)
        return err_set(err, ENOTSUP, "-gdb: engine %s cannot be debugged; kvm and interp can",
                       vm->accel.ops->name);
    struct gdb *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(err, ENOMEM, "-gdb: out of memory");
    g->vm = vm;
    g->client.fd = g->listener.fd = g->wake.fd = -1;
    pthread_mutex_init(&g->lock, NULL);
    stub_init(&g->stub, &vm->accel, &host, g);
    int rc = gdb_address_parse(vm->cfg->gdb, &g->address, err);
    if (!rc)
        rc = start(g, err);
    if (rc) {
        gdb_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

void gdb_restarted(struct gdb *g)
{
    if (g)
        stub_restarted(&g->stub);
}

void gdb_ended(struct gdb *g, unsigned status)
{
    if (g)
        stub_ended(&g->stub, status);
}

void gdb_close(struct gdb *g)
{
    if (!g)
        return;
    if (g->listener.fd >= 0 && g->address.path)
        unlink(g->address.path);
    close_client(g);
    close_watch(g, &g->listener);
    close_watch(g, &g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

int gdb_check_address(const char *text, struct err *err)
{
    struct gdb_address a;
    return gdb_address_parse(text, &a, err);
}
