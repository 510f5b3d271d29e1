// SPDX-License-Identifier: MIT
//
// The terminal on stdin: raw while the guest runs, as it was before on every way out (atexit, and
// who calls tty_restore(): the machine's end, the handlers of fatal signals). Ctrl-C and its like
// go to the guest (ISIG off).
// Output processing stays on, so that our own messages, which end in a bare newline, do not run
// down the screen in steps; a guest's CR LF passes unharmed. In the background nothing is
// changed: the terminal is another job's then, and asking would stop us (SIGTTOU).
#include "devices/chr/tty.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "chr.h"
#include "log.h"

static struct termios saved, raw;
static atomic_bool wanted; /* saved and raw are valid, and nobody restored yet */
static atomic_bool is_raw;
static bool claimed; /* somebody reads keys */

void tty_claim(void)
{
    claimed = true;
}

bool tty_in_foreground(int fd)
{
    pid_t front = tcgetpgrp(fd);
    return front < 0 || front == getpgrp(); /* not our controlling terminal: no job control */
}

/* Without being stopped should we lose the foreground this very moment. Async-signal-safe. */
static int set_modes(const struct termios *modes)
{
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    int rc;
    do
        rc = tcsetattr(STDIN_FILENO, TCSANOW, modes) ? -errno : 0;
    while (rc == -EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void tty_restore(void)
{
    int saved_errno = errno;
    atomic_store(&wanted, false);
    if (atomic_exchange(&is_raw, false) && tty_in_foreground(STDIN_FILENO))
        set_modes(&saved);
    errno = saved_errno;
}

static void make_raw_modes(void)
{
    raw = saved;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag |= OPOST;
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
}

int tty_raw(struct err *err)
{
    static bool registered;
    if (!claimed || !isatty(STDIN_FILENO))
        return 0;
    if (!registered) {
        registered = true;
        atexit(tty_restore);
    }
    if (!atomic_load(&is_raw) && tcgetattr(STDIN_FILENO, &saved))
        return err_set_errno(err, errno, "read the modes of the terminal on stdin");
    make_raw_modes();
    atomic_store(&wanted, true);
    if (!tty_in_foreground(STDIN_FILENO)) {
        log_warn("in the background: terminal input waits until minivmm is in the foreground");
        return 0;
    }
    atomic_store(&is_raw, true); /* first: restoring what was not changed does no harm */
    int rc = set_modes(&raw);
    return rc ? err_set_errno(err, -rc, "put the terminal on stdin in raw mode") : 0;
}

void tty_raw_again(void)
{
    if (!atomic_load(&wanted) || !tty_in_foreground(STDIN_FILENO))
        return;
    atomic_store(&is_raw, true);
    set_modes(&raw);
}

void tty_lend(void)
{
    if (atomic_load(&is_raw) && tty_in_foreground(STDIN_FILENO))
        set_modes(&saved);
}
