// SPDX-License-Identifier: MIT
//
// Which drivers a kernel lacks, and where their modules are. See auto_boot.h.
//
// Where a module directory has no modules.builtin, or there is no directory at all, the kernel file
// itself is asked: a driver that is built in leaves its name there.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/kernel_version.h"
#include "log.h"
#include "src/vm/auto_boot.h"

#define NEEDS_MAX 16

/* Is each of these built in, as far as the kernel file tells? Unknown counts as yes: then the guest
 * itself will tell. */
static int ask_kernel(const struct config *cfg, const struct driver_need *needs, unsigned n,
                      bool *inside, struct err *err)
{
    const char *words[NEEDS_MAX];
    struct err why = {0};
    for (unsigned i = 0; i < n; i++)
        words[i] = needs[i].word ? needs[i].word : "";
    int rc = kernel_find_words(cfg->kernel, words, inside, n, &why);
    if (rc == -ENOMEM)
        return err_set(err, ENOMEM, "%s", why.msg);
    if (rc)
        log_msg(LOG_BOOT, "built-in drivers are not known: %s", why.msg);
    for (unsigned i = 0; i < n; i++)
        inside[i] |= rc || !needs[i].word;
    return 0;
}

static int no_directory(const struct config *cfg, const char *release,
                        const struct driver_need *needs, unsigned n, const char *tried,
                        const char *advice, struct err *err)
{
    bool inside[NEEDS_MAX] = {false};
    int rc = ask_kernel(cfg, needs, n, inside, err);
    for (unsigned i = 0; i < n && !rc; i++) {
        if (!inside[i])
            rc = err_set(err, ENOENT,
                         "kernel '%s' (%s) has no built-in %s, which %s needs, and its modules are "
                         "not in %s: %s",
                         cfg->kernel, release, needs[i].module, needs[i].what_for, tried, advice);
    }
    return rc;
}

static int missing(const struct config *cfg, const char *release, const struct module_dir *dir,
                   const struct driver_need *need, struct err *err)
{
    const char *option = module_config_option(need->module);
    return err_set(
        err, ENOENT,
        "kernel '%s' (%s) has no driver %s, which %s needs: it is neither built in nor a "
        "module in '%s'%s%s%s",
        cfg->kernel, release, need->module, need->what_for, dir->path, option ? " (" : "",
        option ? option : "", option ? "=y or =m adds it)" : "");
}

static int collect_one(struct module_set *set, const struct config *cfg, const char *release,
                       const struct module_dir *dir, const struct driver_need *need,
                       struct err *err)
{
    switch (module_find(dir, need->module)) {
    case MODULE_BUILTIN:
        return 0;
    case MODULE_FILE:
        return module_set_add(set, dir, need->module, err);
    case MODULE_NOWHERE:
        break;
    }
    if (!module_dir_knows_builtin(dir)) {
        bool inside = false;
        int rc = ask_kernel(cfg, need, 1, &inside, err);
        if (rc || inside)
            return rc;
    }
    return missing(cfg, release, dir, need, err);
}

int drivers_collect(struct module_set *set, const struct config *cfg, const char *release,
                    const struct driver_need *needs, unsigned n, const char *advice,
                    struct err *err)
{
    struct module_dir dir;
    char *tried = NULL;
    if (n > NEEDS_MAX)
        return err_set(err, E2BIG, "more than %d drivers are needed", NEEDS_MAX);
    set->release = release;
    int rc = module_dir_find(&dir, cfg->modules, cfg->kernel, release, &tried, err);
    if (rc == -ENOENT && cfg->modules)
        rc = err_set(err, ENOENT, "there are no modules of kernel %s in %s", release,
                     tried ? tried : cfg->modules);
    else if (rc == -ENOENT)
        rc = no_directory(cfg, release, needs, n, tried, advice, err);
    else if (!rc) {
        log_msg(LOG_BOOT, "kernel modules of %s in '%s'", release, dir.path);
        for (unsigned i = 0; i < n && !rc; i++)
            rc = collect_one(set, cfg, release, &dir, &needs[i], err);
        module_dir_close(&dir);
    }
    free(tried);
    return rc;
}
