// SPDX-License-Identifier: MIT
//
// The first process of a guest whose initramfs minivmm made itself: mounts the kernel's file
// systems, inserts the modules it was given, and then does what its words say: go on to the init on
// the root disk (root.c). It has no C library and asks for nothing but what it was given, so that it
// costs a guest little memory and no time.
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "init.h"

#define WORDS "/minivmm/words"

static char words[1 << 20];
static size_t words_len;
char cmdline[4096 + 1];

/* --- words --- */

const char *word_next(const char *key, const char **at)
{
    const char *word = *at ? *at + strlen(*at) + 1 : words;
    size_t len = strlen(key);
    for (; word < words + words_len; word += strlen(word) + 1) {
        if (starts_with(word, key) && word[len] == '=') {
            *at = word;
            return word + len + 1;
        }
    }
    return NULL;
}

const char *word_get(const char *key)
{
    const char *at = NULL;
    return word_next(key, &at);
}

/* --- modules --- */

/* '-' and '_' are the same here, as they are for the kernel. */
static bool same_name(const char *name, size_t len, const char *param)
{
    for (size_t i = 0; i < len; i++) {
        char a = name[i] == '-' ? '_' : name[i], b = param[i] == '-' ? '_' : param[i];
        if (a != b)
            return false;
    }
    return param[len] == '.';
}

/* What the command line has for this module, as "module.parameter=value". */
static void module_parameters(const char *path, char *to, size_t room)
{
    static char param[1024];
    const char *name = path, *at = cmdline;
    for (const char *c = path; *c; c++)
        name = *c == '/' ? c + 1 : name;
    size_t len = 0, used = 0;
    while (name[len] && name[len] != '.')
        len++;
    to[0] = '\0';
    while (cmdline_next(&at, param, sizeof param)) {
        if (!same_name(name, len, param))
            continue;
        text_join(to + used, room - used, used ? " " : "", param + len + 1, NULL);
        used = strlen(to);
    }
}

static void insert_modules(void)
{
    static char parameters[1024];
    const char *at = NULL;
    for (const char *path; (path = word_next("module", &at));) {
        char why[32];
        module_parameters(path, parameters, sizeof parameters);
        int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
        int rc = fd < 0 ? fd : (int)SYS3(finit_module, fd, parameters, 0);
        if (rc < 0 && rc != -EEXIST)
            say("cannot insert module ", path, ": ", text_errno(why, -rc), NULL);
        if (fd >= 0)
            sys_close(fd);
        SYS1(unlink, path);
    }
}

/* --- start --- */

static void mount_kernel_fs(void)
{
    sys_mkdir("/dev", 0755);
    sys_mkdir("/proc", 0555);
    sys_mkdir("/sys", 0555);
    int rc = sys_mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
    for (int fd = 0; fd < 3; fd++) {
        if (SYS3(fcntl, fd, F_GETFD, 0) < 0)
            sys_open("/dev/console", O_RDWR);
    }
    if (rc < 0 && rc != -EBUSY)
        say("cannot mount devtmpfs: the kernel needs CONFIG_DEVTMPFS", NULL);
    rc = sys_mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    if (rc < 0 && rc != -EBUSY)
        say("cannot mount proc: the kernel needs CONFIG_PROC_FS", NULL);
    rc = sys_mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    if (rc < 0 && rc != -EBUSY)
        say("cannot mount sysfs: the kernel needs CONFIG_SYSFS", NULL);
}

/* From _start, with what the kernel left on the stack: argc, argv, environment. */
_Noreturn void init_main(long *stack);

void init_main(long *stack)
{
    char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
    mount_kernel_fs();
    long n = read_file(WORDS, words, sizeof words);
    words_len = n < 0 ? 0 : (size_t)n;
    SYS1(unlink, WORDS);
    SYS1(unlink, "/init");
    read_file("/proc/cmdline", cmdline, sizeof cmdline);
    insert_modules();
    const char *mode = word_get("mode");
    if (mode && !strcmp(mode, "root"))
        run_root(argv, envp);
    if (mode && !strcmp(mode, "run"))
        run_command();
    give_up("no known mode in " WORDS, NULL);
}

__asm__(".globl _start\n"
        "_start:\n"
        "xor %ebp, %ebp\n"
        "mov %rsp, %rdi\n"
        "and $-16, %rsp\n"
        "call init_main\n");
