// SPDX-License-Identifier: MIT
//
// Files that are complete or not there (base/outfile.h).
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/outfile.h"
#include "tests/lib/suite.h"

static char dir[] = "/tmp/outfile.XXXXXX";
static char path[64];
static struct outfile f;
static struct err err;

static void make_dir(void)
{
    strcpy(dir, "/tmp/outfile.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out", dir);
}

static const char *in_dir(const char *name)
{
    static char text[2][64];
    static unsigned i;
    i = !i;
    snprintf(text[i], sizeof text[i], "%s/%s", dir, name);
    return text[i];
}

static void remove_dir(void)
{
    unlink(path);
    unlink(in_dir("link"));
    ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left there */
}

static unsigned entries(void)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void expect_text(const char *text)
{
    char buf[64] = "";
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(read(fd, buf, sizeof buf - 1), 0);
    close(fd);
    ck_assert_str_eq(buf, text);
}

static void write_file(const char *text)
{
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    ck_assert_int_eq(outfile_commit(&f, text, strlen(text)), 0);
}

START_TEST(a_file_is_there_when_it_is_complete)
{
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(outfile_commit(&f, "all of it", 9), 0);
    expect_text("all of it");
    ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(one_that_is_open_has_no_name_that_a_dead_process_could_leave)
{
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    if (!f.named)
        ck_assert_uint_eq(entries(), 0);
    outfile_abandon(&f);
    outfile_abandon(&f);
    ck_assert_uint_eq(entries(), 0);
}
END_TEST

START_TEST(the_old_one_stays_until_the_new_one_is_complete)
{
    write_file("old");
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    expect_text("old");
    ck_assert_int_eq(outfile_commit(&f, "new", 3), 0);
    expect_text("new");
    ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(its_mode_follows_the_mask)
{
    struct stat st;
    mode_t mask = umask(027);
    write_file("x");
    umask(mask);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_directory_that_has_gone_is_an_error_at_the_end)
{
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    if (f.named)
        return; /* the named file kept the directory */
    ck_assert_int_eq(rmdir(dir), 0);
    ck_assert_int_lt(outfile_commit(&f, "x", 1), 0);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
}
END_TEST

START_TEST(a_process_that_was_killed_leaves_no_trace)
{
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    bool named = f.named;
    outfile_abandon(&f);
    if (named)
        return; /* no files without a name on this file system */
    pid_t pid = fork();
    if (!pid)
        _exit(outfile_open(&f, "-x", path, &err) != 0);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(entries(), 0);
}
END_TEST

START_TEST(without_nameless_files_it_is_written_all_the_same)
{
    char name[32];
    snprintf(name, sizeof name, "out.%d", getpid()); /* the name that it would get */
    ck_assert_int_eq(close(open(in_dir(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    ck_assert_int_eq(outfile_open(&f, "-x", path, &err), 0);
    ck_assert_uint_eq(entries(), 2);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), 0);
    expect_text("x");
    ck_assert_uint_eq(entries(), 2);
    unlink(in_dir(name));
}
END_TEST

START_TEST(errors_come_early)
{
    char name[PATH_MAX + 10];
    ck_assert_int_eq(outfile_open(&f, "-x", in_dir("no/such"), &err), -ENOENT);
    ck_assert_msg(strstr(err.msg, "-x: create a file beside"), "%s", err.msg);
    err.msg[0] = 0;
    ck_assert_int_eq(outfile_open(&f, "-x", dir, &err), -EISDIR);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    ck_assert_int_lt(outfile_open(&f, "-x", name, &err), 0);
}
END_TEST

START_TEST(symbolic_links_and_devices_stay_what_they_are)
{
    struct stat st;
    ck_assert_int_eq(symlink("out", in_dir("link")), 0);
    write_file("old");
    ck_assert_int_eq(outfile_open(&f, "-x", in_dir("link"), &err), 0);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), 0);
    ck_assert_int_eq(lstat(in_dir("link"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    expect_text("x");
    ck_assert_int_eq(outfile_open(&f, "-x", "/dev/null", &err), 0);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), 0);
    ck_assert_int_eq(stat("/dev/null", &st), 0);
    ck_assert(S_ISCHR(st.st_mode));
    ck_assert_int_eq(outfile_open(&f, "-x", "/dev/full", &err), 0);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), -ENOSPC);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("outfile");
    TCase *tc = suite_case(s, "outfile", make_dir, remove_dir);
    tcase_add_test(tc, a_file_is_there_when_it_is_complete);
    tcase_add_test(tc, one_that_is_open_has_no_name_that_a_dead_process_could_leave);
    tcase_add_test(tc, the_old_one_stays_until_the_new_one_is_complete);
    tcase_add_test(tc, its_mode_follows_the_mask);
    tcase_add_test(tc, a_directory_that_has_gone_is_an_error_at_the_end);
    tcase_add_test(tc, a_process_that_was_killed_leaves_no_trace);
    tcase_add_test(tc, without_nameless_files_it_is_written_all_the_same);
    tcase_add_test(tc, errors_come_early);
    tcase_add_test(tc, symbolic_links_and_devices_stay_what_they_are);
    return suite_run(s);
}
