// SPDX-License-Identifier: MIT
//
// Opening disks: what is refused and in which words, who may have an image at the same time, and
// what carries the I/O where the host forbids io_uring.
#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/lib/block_scene.h"
#include "tests/lib/suite.h"

/* --- opening --- */

START_TEST(block_open_refuses_what_is_no_disk)
{
    struct block_config cfg = config(rig.dir, 0);
    refused(&cfg, "is a directory");
    cfg.path = "/dev/null";
    refused(&cfg, "is a character device");
    cfg.path = block_rig_path(&rig, "fifo");
    ck_assert_int_eq(mkfifo(cfg.path, 0600), 0);
    refused(&cfg, "is a FIFO");
    cfg.path = block_rig_path(&rig, "nothing");
    refused(&cfg, "No such file");
    cfg.path = block_rig_image(&rig, "empty", 0);
    refused(&cfg, "is empty");
    cfg.read_only = true;
    refused(&cfg, "is empty");
    cfg.path = block_rig_image(&rig, "odd", 1000);
    cfg.read_only = false;
    refused(&cfg, "truncate -s %512");
}
END_TEST

START_TEST(block_open_copies_the_serial)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    cfg.serial = "0123456789012345678901234";
    struct block *blk = open_ok(&cfg);
    ck_assert_str_eq(blk->serial, "01234567890123456789");
    ck_assert_uint_eq(blk->logical_block, 512);
    block_close(blk);
}
END_TEST

/* --- locks: [first][second], 0 writable 1 read-only 2 snapshot --- */

static void set_mode(struct block_config *cfg, unsigned mode)
{
    cfg->read_only = mode == 1;
    cfg->snapshot = mode == 2;
}

/* A child that holds the image until it is told to go. */
static pid_t holder(const struct block_config *cfg, int *go)
{
    int ready[2], leave[2];
    char c = 0;
    ck_assert(!pipe(ready) && !pipe(leave));
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        struct err err = {0};
        struct block *blk = block_open(cfg, &rig.env, &err);
        close(leave[1]);
        if (!blk || write(ready[1], &c, 1) != 1 || read(leave[0], &c, 1) < 0)
            _exit(1);
        _exit(0);
    }
    close(ready[1]);
    close(leave[0]);
    ck_assert_int_eq(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *go = leave[1];
    return pid;
}

START_TEST(block_lock_keeps_a_second_process_out)
{
    static const bool fits[3][3] = {
        {false, false, false}, {false, true, true}, {false, true, true}};
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    for (unsigned first = 0; first < 3; first++) {
        set_mode(&cfg, first);
        int go, status;
        pid_t pid = holder(&cfg, &go);
        for (unsigned second = 0; second < 3; second++) {
            set_mode(&cfg, second);
            char why[64];
            snprintf(why, sizeof why, "in use by another process (pid %d)", (int)pid);
            if (fits[first][second])
                block_close(open_ok(&cfg));
            else
                refused(&cfg, why);
        }
        close(go);
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
        set_mode(&cfg, 0);
        block_close(open_ok(&cfg)); /* gone with the process */
    }
}
END_TEST

START_TEST(block_lock_keeps_a_second_disk_out)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    struct block *blk = open_ok(&cfg);
    refused(&cfg, "is given twice");
    block_close(blk);
    block_close(open_ok(&cfg));
}
END_TEST

START_TEST(block_lock_is_understood_by_others)
{
    struct block_config cfg = config(block_rig_image(&rig, "disk", 4096), 0);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(cfg.path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &whole), 0);
    refused(&cfg, "given twice"); /* a program that locks the whole file */
    close(fd);
    /* a program that says it writes, as QEMU does */
    fd = open(cfg.path, O_RDWR | O_CLOEXEC);
    struct flock writes = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &writes), 0);
    refused(&cfg, "given twice");
    cfg.read_only = true;
    refused(&cfg, "given twice");
    close(fd);
    block_close(open_ok(&cfg));
}
END_TEST

/* From here on this process may not make this system call, as in many containers. */
static bool forbid(unsigned nr, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = ARRAY_LEN(code), .filter = code};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* In a child, because a filter is for life: 0, or the number of the step that went wrong. */
static int live_without(unsigned nr, unsigned error, const char *path)
{
    struct block_config cfg = config(path, ENGINE_URING);
    struct err err = {0}, none = {0};
    uint8_t out[4096], in[4096];
    if (!forbid(nr, error))
        return 1;
    if (block_open(&cfg, &rig.env, &err) || !strstr(err.msg, "aio=threads"))
        return 2;
    cfg.aio = BLK_AIO_AUTO;
    struct block *blk = block_open(&cfg, &rig.env, &none);
    if (!blk || strcmp(raw_engine(blk)->ops->name, "threads"))
        return 3;
    fill(out, sizeof out, 30);
    if (block_rig_io(&rig, blk, BLK_WRITE, 0, out, sizeof out) ||
        block_rig_io(&rig, blk, BLK_READ, 0, in, sizeof in) || memcmp(in, out, sizeof in))
        return 4;
    block_close(blk);
    return 0;
}

START_TEST(block_uses_threads_where_io_uring_is_refused)
{
    static const struct {
        unsigned nr, error;
    } cases[] = {
        {SYS_io_uring_setup, EPERM}, {SYS_io_uring_setup, ENOSYS}, {SYS_io_uring_setup, ENOMEM},
        {SYS_io_uring_enter, EPERM}, {SYS_io_uring_register, EPERM},
    };
    const char *path = block_rig_image(&rig, "disk", 4096);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        int status;
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (!pid)
            _exit(live_without(cases[i].nr, cases[i].error, path));
        waitpid(pid, &status, 0);
        ck_assert_msg(status == 0, "case %u: status %#x", i, (unsigned)status);
    }
}
END_TEST

static Suite *image_suite(void)
{
    Suite *s = suite_create("block images");
    TCase *tc = tcase_create("open");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, block_open_refuses_what_is_no_disk);
    tcase_add_test(tc, block_open_copies_the_serial);
    tcase_add_test(tc, block_lock_keeps_a_second_process_out);
    tcase_add_test(tc, block_lock_keeps_a_second_disk_out);
    tcase_add_test(tc, block_lock_is_understood_by_others);
    tcase_add_test(tc, block_uses_threads_where_io_uring_is_refused);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(image_suite());
}
