// SPDX-License-Identifier: MIT
//
// Helper programs: see helper.h. The image goes into an anonymous file, which is executed.
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

static int image_fd(const struct helper_image *image)
{
    size_t len = (size_t)(image->end - image->begin);
    int fd = memfd_create(image->name, MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(image->name,
                          MFD_CLOEXEC); /* an older kernel: executable unless told otherwise */
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, image->begin + done, len - done);
        if (n < 0 && errno != EINTR) {
            int e = errno;
            close(fd);
            return -e;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fd;
}

static int spawn_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_init(attr);
    if (!rc)
        rc = posix_spawnattr_setsigmask(attr, &none);
    if (!rc)
        rc = posix_spawnattr_setsigdefault(attr, &all);
    if (!rc)
        rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return rc;
}

static int set_output(posix_spawn_file_actions_t *actions, int out)
{
    return out < 0
               ? posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
               : posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
}

/* Short: the parent waits only until the image is in place. */
static int spawn(const struct helper_image *image, int fd, int in, int out, pid_t *pid)
{
    char path[40], name[32];
    char *argv[] = {name, NULL}, *envp[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(name, sizeof name, "%s", image->name);
    int rc = spawn_attributes(&attr);
    if (rc)
        return -rc;
    rc = posix_spawn_file_actions_init(&actions);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (!rc)
        rc = set_output(&actions, out);
    if (!rc)
        rc = posix_spawn(pid, path, &actions, &attr, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return -rc;
}

int helper_start(const struct helper_image *image, int in, int out, pid_t *pid)
{
    *pid = 0;
    int fd = image_fd(image);
    if (fd < 0)
        return fd;
    int rc = spawn(image, fd, in, out, pid);
    close(fd);
    if (rc)
        *pid = 0;
    return rc;
}
