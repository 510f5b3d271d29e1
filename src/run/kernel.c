// SPDX-License-Identifier: MIT
//
// Which kernel a command runs under when nobody says: see run_find_kernel.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "src/run/run.h"

#define BOOT "/boot"
#define PREFIX "vmlinuz-"

static bool take(struct run *run, const char *path)
{
    if (access(path, R_OK))
        return false;
    snprintf(run->kernel, sizeof run->kernel, "%s", path);
    return true;
}

static bool take_running(struct run *run)
{
    struct utsname uts;
    char path[256];
    if (uname(&uts))
        return false;
    snprintf(path, sizeof path, BOOT "/" PREFIX "%s", uts.release);
    return take(run, path);
}

static bool take_newest(struct run *run)
{
    char best[256] = "", path[sizeof BOOT + 256];
    DIR *dir = opendir(BOOT);
    if (!dir)
        return false;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)))
            continue;
        snprintf(path, sizeof path, BOOT "/%s", entry->d_name);
        if (!access(path, R_OK) && strverscmp(entry->d_name, best) > 0)
            snprintf(best, sizeof best, "%s", entry->d_name);
    }
    closedir(dir);
    snprintf(path, sizeof path, BOOT "/%s", best);
    return best[0] && take(run, path);
}

/* Where the tests of a source tree keep theirs. */
static bool take_fetched(struct run *run)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "/build/linux/vmlinuz");
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (!slash)
        return false;
    strcpy(slash, "/build/linux/vmlinuz");
    return take(run, path);
}

int run_find_kernel(struct run *run, struct err *err)
{
    const char *given = run->opt.kernel ? run->opt.kernel : getenv("MINIVMM_KERNEL");
    const char *option = run->opt.kernel ? "--kernel" : "MINIVMM_KERNEL";
    if (given && *given) {
        if (!take(run, given))
            return err_set_errno(err, errno, "%s: open '%s'", option, given);
    } else if (!take_running(run) && !take_newest(run) && !take_fetched(run)) {
        return err_set(err, ENOENT,
                       "no kernel that can be read in " BOOT ", and neither --kernel nor "
                       "$MINIVMM_KERNEL: install one (Debian: apt-get install "
                       "linux-image-cloud-amd64) or name one with --kernel FILE");
    }
    int rc = kernel_read_release(run->kernel, run->release, err);
    if (rc == -ENOENT)
        return err_set(err, EINVAL, "'%s' is no Linux kernel: it has no release in it",
                       run->kernel);
    return rc;
}
