// SPDX-License-Identifier: MIT
//
// Flat images, files that are no kernels, and files that cannot be read.
#include "../lib/kernel_image.h"
#include "tests/lib/suite.h"

#include <sys/stat.h>

START_TEST(boot_sector_is_loaded_at_7c00_and_entered_in_real_mode)
{
    struct image img = {0};
    struct boot_plan plan;
    struct err err;
    struct gmem gm;
    image_pattern(&img, 0, 4096, 1);
    image_put(&img, 510, 0xaa55, 2);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    const struct cpu_state *cpu = &plan.cpu;
    ck_assert_uint_eq(cpu->rip, 0x7c00);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, 0);
    ck_assert_uint_eq(cpu->seg[SEG_CS].base, 0);
    ck_assert_uint_eq(cpu->seg[SEG_CS].limit, 0xffff);
    ck_assert_uint_eq(cpu->cr0 & 1, 0);
    ck_assert_uint_eq(cpu->rflags, 2);
    ck_assert_uint_eq(cpu->idt.limit, 0xffff);
    apply_to_ram(&plan, &gm, TEST_RAM);
    ck_assert_mem_eq(gmem_ptr(&gm, 0x7c00, 4096), img.data, 4096);
    gmem_fini(&gm);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(flat_images_have_a_size_limit_and_take_no_initrd)
{
    struct image img = {0};
    struct boot_plan plan;
    struct err err = {0};
    image_put(&img, 510, 0xaa55, 2);
    image_size(&img, KIB(512));
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    boot_plan_free(&plan);
    image_size(&img, KIB(512) + 1);
    ck_assert_int_eq(plan_image(&img, &plan, &err), -EFBIG);
    ck_assert_ptr_nonnull(strstr(err.msg, "at most 512 KiB"));
    image_size(&img, 512);
    struct image_file f = image_open(&img);
    struct boot_request req = request_default(f.path);
    req.initrd = f.path;
    err.msg[0] = '\0';
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "-initrd"));
    close(f.fd);
    image_free(&img);
}
END_TEST

START_TEST(files_of_no_known_format_are_named_so)
{
    static const struct {
        const char bytes[8];
        const char *says;
    } rows[] = {
        {"hello", "need a bzImage, an x86 ELF (vmlinux, PVH), a multiboot kernel or a boot sector"},
        {"\x1f\x8b\x08", "gunzip"},
        {"\xfd"
         "7zXZ",
         "unxz"},
        {"\x28\xb5\x2f\xfd", "unzstd"},
        {"BZh9", "bunzip2"},
        {"070701", "-initrd"},
        {"QFI\xfb", "qemu-img convert"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct image img = {0};
        struct boot_plan plan;
        struct err err;
        image_copy(&img, 0, rows[i].bytes, sizeof rows[i].bytes);
        ck_assert_int_eq(plan_image(&img, &plan, &err), -ENOEXEC);
        ck_assert_msg(strstr(err.msg, rows[i].says) != NULL, "%s", err.msg);
        image_free(&img);
    }
}
END_TEST

static void check_path(const char *kernel, const char *initrd, int errnum, const char *says)
{
    struct boot_request req = request_default(kernel);
    struct boot_plan plan;
    struct err err = {0};
    req.initrd = initrd;
    int ret = boot_plan_make(&req, &plan, &err);
    ck_assert_msg(ret == -errnum, "%s: %d %s", kernel, ret, err.msg);
    ck_assert_msg(strstr(err.msg, says) != NULL, "%s", err.msg);
    ck_assert_uint_eq(plan.nfiles, 0);
}

START_TEST(files_that_cannot_be_read_are_named)
{
    struct image img;
    bzimage_build(&img);
    struct image_file good = image_open(&img);
    struct image_file empty = {.fd = memfd_create("empty", MFD_CLOEXEC)};
    snprintf(empty.path, sizeof empty.path, "/proc/self/fd/%d", empty.fd);

    check_path("/nonexistent/bzImage", NULL, ENOENT,
               "open kernel '/nonexistent/bzImage': No such file");
    check_path("/tmp", NULL, EISDIR, "kernel '/tmp' is a directory");
    check_path("/dev/null", NULL, EINVAL, "kernel '/dev/null' is not a regular file");
    check_path(empty.path, NULL, EINVAL, "is empty");
    check_path(good.path, "/nonexistent/initrd", ENOENT, "open initrd '/nonexistent/initrd'");
    check_path(good.path, "/tmp", EISDIR, "initrd '/tmp' is a directory");
    check_path(good.path, empty.path, EINVAL, "initrd '/proc/self/fd/");

    char fifo[] = "/tmp/loader-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(fifo));
    char path[64];
    snprintf(path, sizeof path, "%s/fifo", fifo);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    check_path(path, NULL, EINVAL, "not a regular file"); /* and does not wait for a writer */
    unlink(path);
    rmdir(fifo);
    close(good.fd);
    close(empty.fd);
    image_free(&img);
}
END_TEST

START_TEST(freeing_an_empty_plan_is_harmless)
{
    struct boot_plan plan = {0};
    boot_plan_free(&plan);
    boot_plan_free(&plan);
    ck_assert_uint_eq(plan.nfiles, 0);
}
END_TEST

int main(void)
{
    const TTest *const list[] = {
        boot_sector_is_loaded_at_7c00_and_entered_in_real_mode,
        flat_images_have_a_size_limit_and_take_no_initrd,
        files_of_no_known_format_are_named_so,
        files_that_cannot_be_read_are_named,
        freeing_an_empty_plan_is_harmless,
    };
    return suite_run_tests("loader_file", NULL, NULL, list, ARRAY_LEN(list));
}
