// SPDX-License-Identifier: MIT
//
// Directories of kernel modules: finding the one of a kernel, and its lists. See modules.h.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/module_dir.h"
#include "util.h"

#define LIST_MAX MIB(16)

int module_file_read(int dir_fd, const char *name, size_t max, uint8_t **data, size_t *len)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) ? -errno : !S_ISREG(st.st_mode) ? -EINVAL : 0;
    if (!rc && (uint64_t)st.st_size > max)
        rc = -EFBIG;
    size_t size = rc ? 0 : (size_t)st.st_size, done = 0;
    uint8_t *buf = rc ? NULL : malloc(size + 1);
    if (!rc && !buf)
        rc = -ENOMEM;
    while (!rc && done < size) {
        ssize_t n = read(fd, buf + done, size - done);
        if (n < 0 && errno != EINTR)
            rc = -errno;
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (rc) {
        free(buf);
        return rc;
    }
    buf[done] = '\0';
    *data = buf;
    *len = done;
    return 0;
}

static int read_list(const struct module_dir *dir, const char *name, struct module_text *text,
                     struct err *err)
{
    uint8_t *data;
    int rc = module_file_read(dir->fd, name, LIST_MAX, &data, &text->len);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return err_set_errno(err, -rc, "read '%s/%s'", dir->path, name);
    text->data = (char *)data;
    return 0;
}

int module_dir_open(struct module_dir *dir, const char *path, struct err *err)
{
    *dir = (struct module_dir){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (dir->fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? -ENOENT
                   : err_set_errno(err, errno, "open the module directory '%s'", path);
    dir->path = strdup(path);
    int rc = dir->path ? 0 : err_set_errno(err, ENOMEM, "open the module directory '%s'", path);
    if (!rc)
        rc = read_list(dir, "modules.dep", &dir->dep, err);
    if (!rc)
        rc = read_list(dir, "modules.order", &dir->order, err);
    if (!rc)
        rc = read_list(dir, "modules.builtin", &dir->builtin, err);
    if (!rc)
        rc = read_list(dir, "modules.alias", &dir->alias, err);
    if (!rc && !dir->dep.data && !dir->order.data && !dir->builtin.data &&
        module_find(dir, "virtio_blk") != MODULE_FILE)
        rc = -ENOENT;
    if (rc)
        module_dir_close(dir);
    return rc;
}

void module_dir_close(struct module_dir *dir)
{
    if (dir->path)
        close(dir->fd);
    free(dir->path);
    free(dir->dep.data);
    free(dir->order.data);
    free(dir->builtin.data);
    free(dir->alias.data);
    *dir = (struct module_dir){.fd = -1};
}

/* --- where it may be --- */

struct places {
    const char *release;
    char *tried;
    struct module_dir *dir;
    struct err *err;
};

/* 0: found; -ENOENT: look further. */
static int try_place(struct places *p, const char *base, const char *rest, bool with_release)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s%s%s%s", base, rest, with_release ? "/" : "",
                     with_release ? p->release : "");
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENOENT;
    char *tried;
    if (asprintf(&tried, "%s%s%s", p->tried ? p->tried : "", p->tried ? ", " : "", path) < 0)
        return err_set_errno(p->err, ENOMEM, "look for kernel modules");
    free(p->tried);
    p->tried = tried;
    return module_dir_open(p->dir, path, p->err);
}

struct place {
    const char *rest;
    bool with_release;
};

static int try_all(struct places *p, const char *base, const struct place *place, size_t n)
{
    int rc = -ENOENT;
    for (size_t i = 0; i < n && rc == -ENOENT; i++)
        rc = try_place(p, base, place[i].rest, place[i].with_release);
    return rc;
}

static int try_beside(struct places *p, const char *kernel)
{
    static const struct place beside[] = {
        {"/modules", true},        {"/modules", false},        {"/lib/modules", true},
        {"/../lib/modules", true}, {"/../usr/lib/modules", true},
    };
    const char *slash = strrchr(kernel, '/');
    char *base = slash ? strndup(kernel, (size_t)(slash - kernel)) : strdup(".");
    if (!base)
        return err_set_errno(p->err, ENOMEM, "look for kernel modules");
    int rc = try_all(p, base, beside, ARRAY_LEN(beside));
    /* Some distributions put the kernel itself there. */
    const char *last = strrchr(base, '/');
    if (rc == -ENOENT && last && !strcmp(last + 1, p->release))
        rc = try_place(p, base, "", false);
    free(base);
    return rc;
}

/* Beside the kernel, and where it is a symbolic link, beside what that leads to. */
static int try_kernel(struct places *p, const char *kernel)
{
    struct stat st;
    int rc = try_beside(p, kernel);
    if (rc != -ENOENT || lstat(kernel, &st) || !S_ISLNK(st.st_mode))
        return rc;
    char *target = realpath(kernel, NULL);
    rc = target ? try_beside(p, target) : -ENOENT;
    free(target);
    return rc;
}

int module_dir_find(struct module_dir *dir, const char *given, const char *kernel,
                    const char *release, char **tried, struct err *err)
{
    static const struct place in_given[] = {{"/lib/modules", true}, {"", true}, {"", false}};
    static const struct place system[] = {{"/lib/modules", true}, {"/usr/lib/modules", true}};
    struct places p = {.release = release, .dir = dir, .err = err};
    int rc;
    if (given) {
        rc = try_all(&p, given, in_given, ARRAY_LEN(in_given));
    } else {
        rc = try_kernel(&p, kernel);
        if (rc == -ENOENT)
            rc = try_all(&p, "", system, ARRAY_LEN(system));
    }
    *tried = p.tried;
    return rc;
}

/* --- what it holds --- */

/* A name without directory and .ko, '-' made '_'. False: no module's. */
static bool module_name_of(const char *path, size_t len, char name[MODULE_NAME_TEXT])
{
    for (size_t i = len; i > 0; i--) {
        if (path[i - 1] == '/') {
            path += i;
            len -= i;
            break;
        }
    }
    size_t n = 0;
    while (n < len && path[n] != '.' && n < MODULE_NAME_TEXT - 1) {
        name[n] = path[n] == '-' ? '_' : path[n];
        n++;
    }
    name[n] = '\0';
    return n && len - n >= 3 && !memcmp(path + n, ".ko", 3);
}

void module_name_normal(const char *from, char name[MODULE_NAME_TEXT])
{
    size_t n = 0;
    for (; from[n] && n < MODULE_NAME_TEXT - 1; n++)
        name[n] = from[n] == '-' ? '_' : from[n];
    name[n] = '\0';
}

/* Inside the directory, and no longer than a path is. */
static bool path_is_decent(const char *path, size_t len)
{
    return len && len < MODULE_PATH_TEXT && path[0] != '/' && !memmem(path, len, "..", 2);
}

/* The path on the line that names this module; lines end at '\n', paths at ':' too. */
static bool find_line(const struct module_text *text, const char *name,
                      char path[MODULE_PATH_TEXT])
{
    const char *line = text->data, *end = line ? line + text->len : NULL;
    while (line && line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((next ? next : end) - line);
        const char *colon = memchr(line, ':', len);
        char here[MODULE_NAME_TEXT];
        if (colon)
            len = (size_t)(colon - line);
        if (module_name_of(line, len, here) && !strcmp(here, name) && path_is_decent(line, len)) {
            memcpy(path, line, len);
            path[len] = '\0';
            return true;
        }
        line = next ? next + 1 : NULL;
    }
    return false;
}

static bool is_file(const struct module_dir *dir, const char *path)
{
    struct stat st;
    return !fstatat(dir->fd, path, &st, 0) && S_ISREG(st.st_mode);
}

/* The lists may have been made before the files were compressed, or the other way round. */
static bool settle_suffix(const struct module_dir *dir, char path[MODULE_PATH_TEXT])
{
    static const char *const suffixes[] = {"", ".xz", ".zst", ".gz"};
    char *ko = strrchr(path, '/');
    ko = strstr(ko ? ko : path, ".ko");
    if (is_file(dir, path))
        return true;
    if (!ko || ko + 3 + sizeof ".zst" > path + MODULE_PATH_TEXT)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        strcpy(ko + 3, suffixes[i]);
        if (is_file(dir, path))
            return true;
    }
    return false;
}

/* A folder with nothing but modules in it. */
static bool find_flat(const struct module_dir *dir, const char *name, char path[MODULE_PATH_TEXT])
{
    for (unsigned dashes = 0; dashes < 2; dashes++) {
        snprintf(path, MODULE_PATH_TEXT, "%s.ko", name);
        for (char *c = path; dashes && *c; c++)
            *c = *c == '_' ? '-' : *c;
        if (settle_suffix(dir, path))
            return true;
    }
    return false;
}

bool module_path(const struct module_dir *dir, const char *normal, char path[MODULE_PATH_TEXT])
{
    if (find_line(&dir->dep, normal, path) && settle_suffix(dir, path))
        return true;
    if (find_line(&dir->order, normal, path) && settle_suffix(dir, path))
        return true;
    return !strchr(normal, '/') && find_flat(dir, normal, path);
}

enum module_where module_find(const struct module_dir *dir, const char *name)
{
    char normal[MODULE_NAME_TEXT], path[MODULE_PATH_TEXT];
    module_name_normal(name, normal);
    if (find_line(&dir->builtin, normal, path))
        return MODULE_BUILTIN;
    return module_path(dir, normal, path) ? MODULE_FILE : MODULE_NOWHERE;
}

bool module_alias(const struct module_dir *dir, const char *alias, char name[MODULE_NAME_TEXT])
{
    const char *line = dir->alias.data, *end = line ? line + dir->alias.len : NULL;
    size_t alias_len = strlen(alias);
    while (line && line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((next ? next : end) - line);
        if (len > 7 + alias_len && !memcmp(line, "alias ", 6) &&
            !memcmp(line + 6, alias, alias_len) && line[6 + alias_len] == ' ' &&
            len - 7 - alias_len < MODULE_NAME_TEXT) {
            char word[MODULE_NAME_TEXT];
            memcpy(word, line + 7 + alias_len, len - 7 - alias_len);
            word[len - 7 - alias_len] = '\0';
            module_name_normal(word, name);
            return true;
        }
        line = next ? next + 1 : NULL;
    }
    return false;
}
