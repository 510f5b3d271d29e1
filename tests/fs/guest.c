// SPDX-License-Identifier: MIT
//
// In the guest of tests/fs: what a shell cannot do to files. Usage: fs-guest DIRECTORY. Prints
// "TEST ok NAME" or "TEST fail NAME: what" for each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char wrong[200];

static int fail(const char *what)
{
    snprintf(wrong, sizeof wrong, "%s (%s)", what, strerror(errno));
    return -1;
}

#define NEED(what)                                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if (!(what))                                                                               \
            return fail(#what);                                                                    \
    } while (0)

static int test_mmap(void)
{
    struct stat st;
    int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0 && !ftruncate(fd, 100000));
    char *map = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEED(map != MAP_FAILED);
    for (int i = 0; i < 100000; i++)
        map[i] = (char)('a' + i % 26);
    char got[27] = "";
    NEED(pread(fd, got, 26, 26 * 2000) == 26 && !strcmp(got, "abcdefghijklmnopqrstuvwxyz"));
    NEED(!msync(map, 100000, MS_SYNC) && !munmap(map, 100000));
    NEED(!fstat(fd, &st) && st.st_size == 100000);
    return close(fd);
}

static struct flock whole(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* A child waits for the lock until its parent lets go. */
static int test_locks(void)
{
    int fd = open("locked", O_RDWR | O_CREAT, 0644), p[2];
    struct flock l = whole(F_WRLCK);
    NEED(fd >= 0 && !pipe(p) && !fcntl(fd, F_SETLK, &l));
    pid_t child = fork();
    if (!child) {
        struct flock mine = whole(F_WRLCK), see = whole(F_WRLCK);
        int own = open("locked", O_RDWR);
        if (fcntl(own, F_SETLK, &mine) != -1 || fcntl(own, F_GETLK, &see) ||
            see.l_pid != getppid() || !flock(own, LOCK_EX | LOCK_NB))
            _exit(1);
        (void)!write(p[1], "x", 1);
        _exit(fcntl(own, F_SETLKW, &mine) || flock(own, LOCK_EX));
    }
    char c;
    NEED(!flock(fd, LOCK_EX)); /* before or after the child tried: it needs it taken once more */
    NEED(read(p[0], &c, 1) == 1);
    l.l_type = F_UNLCK;
    NEED(!fcntl(fd, F_SETLK, &l) && !flock(fd, LOCK_UN));
    int status;
    NEED(waitpid(child, &status, 0) == child && status == 0);
    return close(fd);
}

static int test_unlinked(void)
{
    struct stat st;
    char got[6] = "";
    int fd = open("unlinked", O_RDWR | O_CREAT, 0644);
    NEED(fd >= 0 && !unlink("unlinked"));
    NEED(write(fd, "alive", 5) == 5 && pread(fd, got, 5, 0) == 5 && !strcmp(got, "alive"));
    NEED(!fstat(fd, &st) && st.st_nlink == 0 && st.st_size == 5);
    NEED(!ftruncate(fd, 2) && !fchmod(fd, 0600) && !fstat(fd, &st) && st.st_size == 2);
    NEED(access("unlinked", F_OK) == -1 && errno == ENOENT);
    return close(fd);
}

static int test_fallocate(void)
{
    struct stat st;
    int fd = open("allocated", O_RDWR | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0 && !fallocate(fd, 0, 0, 1 << 20));
    NEED(!fstat(fd, &st) && st.st_size == 1 << 20 && st.st_blocks >= 2000);
    char buf[4096];
    memset(buf, 7, sizeof buf);
    for (int i = 0; i < 64; i++)
        NEED(pwrite(fd, buf, sizeof buf, i * 4096) == 4096);
    NEED(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536));
    NEED(pread(fd, buf, 4096, 65536) == 4096 && buf[0] == 0 && buf[4095] == 0);
    NEED(pread(fd, buf, 4096, 131072) == 4096 && buf[0] == 7);
    NEED(lseek(fd, 0, SEEK_HOLE) == 65536 && lseek(fd, 65536, SEEK_DATA) == 131072);
    return close(fd);
}

static int put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return close(fd);
}

static const char *get(const char *name)
{
    static char buf[64];
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof buf - 1);
    buf[n < 0 ? 0 : n] = '\0';
    close(fd);
    return buf;
}

static int test_rename(void)
{
    NEED(!put("r1", "one") && !put("r2", "two"));
    NEED(renameat2(AT_FDCWD, "r1", AT_FDCWD, "r2", RENAME_NOREPLACE) && errno == EEXIST);
    NEED(!renameat2(AT_FDCWD, "r1", AT_FDCWD, "r2", RENAME_EXCHANGE));
    NEED(!strcmp(get("r1"), "two") && !strcmp(get("r2"), "one"));
    int fd = open("r2", O_RDONLY);
    NEED(!rename("r1", "r2") && !strcmp(get("r2"), "two"));
    char old[4] = "";
    NEED(read(fd, old, 3) == 3 && !strcmp(old, "one")); /* what was replaced is still open */
    NEED(!mkdir("rd", 0755) && !put("rd/f", "f") && (fd = open("rd/f", O_RDWR)) >= 0);
    NEED(!rename("rd", "re") && write(fd, "F", 1) == 1 && !strcmp(get("re/f"), "F"));
    return 0;
}

static int test_links(void)
{
    struct stat a, b;
    NEED(!put("l1", "x") && !link("l1", "l2") && !stat("l1", &a) && !stat("l2", &b));
    NEED(a.st_ino == b.st_ino && a.st_nlink == 2);
    NEED(!unlink("l1") && !stat("l2", &b) && b.st_nlink == 1 && !strcmp(get("l2"), "x"));
    return 0;
}

static int test_tmpfile(void)
{
    char path[40];
    int fd = open(".", O_TMPFILE | O_RDWR, 0644);
    if (fd < 0 && errno == EOPNOTSUPP)
        return 0; /* the host has none there */
    NEED(fd >= 0 && write(fd, "tmp", 3) == 3);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    NEED(!linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    NEED(!strcmp(get("named"), "tmp"));
    return close(fd);
}

static int test_xattr(void)
{
    char buf[64];
    NEED(!put("x", ""));
    if (setxattr("x", "user.k", "value", 5, 0) && errno == EOPNOTSUPP)
        return 0;
    NEED(getxattr("x", "user.k", buf, sizeof buf) == 5 && !memcmp(buf, "value", 5));
    NEED(setxattr("x", "security.k", "v", 1, 0) == -1 && errno == EOPNOTSUPP);
    NEED(listxattr("x", buf, sizeof buf) == 7 && !strcmp(buf, "user.k"));
    return 0;
}

static int test_copy(void)
{
    int in = open("mapped", O_RDONLY), out = open("copied", O_RDWR | O_CREAT | O_TRUNC, 0644);
    loff_t at = 26;
    NEED(in >= 0 && out >= 0 && copy_file_range(in, &at, out, NULL, 52, 0) == 52);
    NEED(!strncmp(get("copied"), "abcdefghijklmnopqrstuvwxyzabc", 29));
    return 0;
}

/* Two processes, as a rule on two CPUs, append to one file; nothing is lost. */
static int test_append(void)
{
    enum { LINES = 200 };
    unlink("appended");
    for (int child = 0; child < 2; child++) {
        if (fork())
            continue;
        int fd = open("appended", O_WRONLY | O_APPEND | O_CREAT, 0644);
        char line[9] = "c      \n";
        line[0] = (char)('0' + child);
        for (int i = 0; i < LINES; i++) {
            if (write(fd, line, 8) != 8)
                _exit(1);
        }
        _exit(0);
    }
    int status, bad = 0;
    while (wait(&status) > 0)
        bad |= status;
    struct stat st;
    NEED(!bad && !stat("appended", &st) && st.st_size == 2 * LINES * 8);
    FILE *f = fopen("appended", "r");
    char line[32];
    int n[2] = {0};
    while (f && fgets(line, sizeof line, f))
        n[line[0] == '1']++;
    NEED(n[0] == LINES && n[1] == LINES);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} tests[] = {
    {"mmap", test_mmap},     {"locks", test_locks}, {"unlinked", test_unlinked},
    {"fallocate", test_fallocate}, {"rename", test_rename}, {"links", test_links},
    {"tmpfile", test_tmpfile}, {"xattr", test_xattr}, {"copy", test_copy},
    {"append", test_append},
};

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1])) {
        printf("TEST fail directory\n");
        return 1;
    }
    for (unsigned i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (tests[i].run())
            printf("TEST fail %s: %s\n", tests[i].name, wrong);
        else
            printf("TEST ok %s\n", tests[i].name);
        fflush(stdout);
    }
    return 0;
}
