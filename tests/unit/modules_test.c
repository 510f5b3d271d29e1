// SPDX-License-Identifier: MIT
//
// Directories of kernel modules: finding them, their lists, dependencies in order, and what
// malformed ones do.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/module_dir.h"
#include "tests/lib/module_image.h"
#include "tests/lib/suite.h"
#include "util.h"

#define RELEASE "6.1.0-test"

static char top[64];
static struct module_dir dir;
static struct module_set *set;
static struct err err;

static void put_bytes(const char *name, const void *data, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, len, f), len);
    fclose(f);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static void make_folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void put_module(const char *name, const char *depends, const char *more)
{
    uint8_t buf[MODULE_IMAGE_MAX];
    char words[512];
    snprintf(words, sizeof words, "license=GPL\ndepends=%s\nvermagic=" RELEASE " SMP\n%s", depends,
             more);
    put_bytes(name, buf, module_image_make(buf, words));
}

static void setup(void)
{
    strcpy(top, "/tmp/modules_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    set = calloc(1, sizeof *set);
    set->release = RELEASE;
    err = (struct err){0};
    dir = (struct module_dir){.fd = -1};
    make_folder("kernel");
}

static void teardown(void)
{
    char command[128];
    module_set_free(set);
    free(set);
    module_dir_close(&dir);
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    ck_assert_int_eq(system(command), 0);
}

static void open_dir(void)
{
    ck_assert_msg(!module_dir_open(&dir, top, &err), "%s", err.msg);
}

/* "a b c" in the set's order */
static const char *order(void)
{
    static char text[512];
    text[0] = '\0';
    for (unsigned i = 0; i < set->count; i++) {
        if (i)
            strcat(text, " ");
        strcat(text, set->image[i].name);
    }
    return text;
}

START_TEST(dependencies_come_first_and_once)
{
    put("modules.dep", "kernel/top.ko: x\nkernel/left.ko:\nkernel/right.ko:\nkernel/base-one.ko:\n");
    put_module("kernel/top.ko", "left,right", "");
    put_module("kernel/left.ko", "base_one", "");
    put_module("kernel/right.ko", "base-one,left", "");
    put_module("kernel/base-one.ko", "", "");
    open_dir();
    ck_assert_msg(!module_set_add(set, &dir, "top", &err), "%s", err.msg);
    ck_assert_str_eq(order(), "base_one left right top");
    ck_assert_int_eq(module_set_add(set, &dir, "left", &err), 0);
    ck_assert_uint_eq(set->count, 4);
}
END_TEST

START_TEST(modules_order_serves_where_depmod_never_ran)
{
    put("modules.order", "kernel/a.ko\nkernel/b.ko\n");
    put("modules.builtin", "kernel/fs/built-in.ko\n");
    put_module("kernel/a.ko", "b,built_in", "");
    put_module("kernel/b.ko", "", "");
    open_dir();
    ck_assert_int_eq(module_find(&dir, "built_in"), MODULE_BUILTIN);
    ck_assert_int_eq(module_find(&dir, "a"), MODULE_FILE);
    ck_assert_int_eq(module_find(&dir, "c"), MODULE_NOWHERE);
    ck_assert_int_eq(module_set_add(set, &dir, "a", &err), 0);
    ck_assert_str_eq(order(), "b a");
}
END_TEST

START_TEST(soft_dependencies_come_along_where_they_are)
{
    put("modules.dep", "kernel/fs.ko:\nkernel/crc32c_generic.ko:\nkernel/late.ko:\nkernel/fast.ko:\n");
    put("modules.alias", "# Aliases\nalias quick fast\n");
    put_module("kernel/fs.ko", "",
               "softdep=pre: crc32c nowhere\nsoftdep=post: late\nsoftdep=pre: quick");
    put_module("kernel/crc32c_generic.ko", "", "");
    put_module("kernel/late.ko", "", "");
    put_module("kernel/fast.ko", "", "");
    open_dir();
    ck_assert_msg(!module_set_add(set, &dir, "fs", &err), "%s", err.msg);
    ck_assert_str_eq(order(), "crc32c_generic fast fs");
}
END_TEST

START_TEST(missing_dependency_is_named_with_who_needs_it)
{
    put("modules.dep", "kernel/a.ko: kernel/b.ko\n");
    put_module("kernel/a.ko", "b", "");
    open_dir();
    ck_assert_int_eq(module_set_add(set, &dir, "a", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.msg, "no kernel module b in"));
    ck_assert_ptr_nonnull(strstr(err.msg, "needed by a"));
    ck_assert_uint_eq(set->count, 0);
}
END_TEST

START_TEST(circle_ends)
{
    put("modules.dep", "kernel/a.ko:\nkernel/b.ko:\n");
    put_module("kernel/a.ko", "b,a", "");
    put_module("kernel/b.ko", "a", "");
    open_dir();
    ck_assert_int_eq(module_set_add(set, &dir, "a", &err), 0);
    ck_assert_str_eq(order(), "b a");
}
END_TEST

START_TEST(long_chain_is_refused)
{
    char name[32], needs[32];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "m%u.ko", i);
        snprintf(needs, sizeof needs, "m%u", i + 1);
        put_module(name, needs, "");
    }
    put("modules.builtin", "");
    open_dir();
    ck_assert_int_eq(module_set_add(set, &dir, "m0", &err), -ELOOP);
    ck_assert_uint_eq(set->count, 0);
    ck_assert_uint_eq(set->nopen, 0);
}
END_TEST

START_TEST(module_of_another_kernel_is_refused)
{
    put("modules.builtin", "");
    put_module("a.ko", "", "vermagic=5.10.0-other SMP");
    open_dir();
    ck_assert_int_eq(module_set_add(set, &dir, "a", &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "is for kernel 5.10.0-other, but the kernel is " RELEASE));
}
END_TEST

START_TEST(packed_module_is_unpacked)
{
    uint8_t raw[MODULE_IMAGE_MAX], packed[2 * MODULE_IMAGE_MAX];
    size_t len = module_image_make(raw, "depends=\nvermagic=" RELEASE " x"), packed_len = 0;
    ck_assert_int_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, raw, len, packed,
                                             &packed_len, sizeof packed),
                     LZMA_OK);
    put("modules.order", "kernel/a.ko\nkernel/cut.ko\n");
    put_bytes("kernel/a.ko.xz", packed, packed_len);
    put_bytes("kernel/cut.ko.xz", packed, packed_len - 20);
    open_dir();
    ck_assert_msg(!module_set_add(set, &dir, "a", &err), "%s", err.msg);
    ck_assert_uint_eq(set->image[0].len, len);
    ck_assert_mem_eq(set->image[0].data, raw, len);
    ck_assert_int_lt(module_set_add(set, &dir, "cut", &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "unpack kernel module"));
}
END_TEST

START_TEST(lists_cannot_lead_outside)
{
    put("modules.dep", "/etc/passwd.ko:\n../x/evil.ko:\nkernel/../../evil.ko: \n:\n\n:::\n.ko:\n/\n"
                       "kernel/no-newline.ko");
    put_module("kernel/no-newline.ko", "", "");
    open_dir();
    ck_assert_int_eq(module_find(&dir, "evil"), MODULE_NOWHERE);
    ck_assert_int_eq(module_find(&dir, "passwd"), MODULE_NOWHERE);
    ck_assert_int_eq(module_find(&dir, ""), MODULE_NOWHERE);
    ck_assert_int_eq(module_find(&dir, "no_newline"), MODULE_FILE);
    ck_assert_int_eq(module_find(&dir, "kernel/no_newline"), MODULE_NOWHERE);
}
END_TEST

START_TEST(garbage_module_is_one_line)
{
    put("modules.builtin", "");
    put("text.ko", "this is no module");
    put("empty.ko", "");
    make_folder("folder.ko");
    open_dir();
    static const char *const names[] = {"text", "empty", "folder"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        err = (struct err){0};
        ck_assert_int_lt(module_set_add(set, &dir, names[i], &err), 0);
        ck_assert_str_ne(err.msg, "");
        ck_assert_ptr_null(strchr(err.msg, '\n'));
    }
}
END_TEST

START_TEST(spoilt_section_headers_are_no_module)
{
    uint8_t buf[MODULE_IMAGE_MAX], bad[MODULE_IMAGE_MAX];
    size_t len = module_image_make(buf, "depends=x\nvermagic=y");
    struct module_info info;
    ck_assert_int_eq(module_read_info(buf, len, &info), 0);
    ck_assert_str_eq(info.depends, "x");
    ck_assert_str_eq(info.vermagic, "y");
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(module_read_info(buf, cut, &info), -EINVAL);
    for (size_t at = 0; at < len; at++) { /* must not read outside, whatever comes out */
        memcpy(bad, buf, len);
        bad[at] ^= 0xff;
        module_read_info(bad, len, &info);
    }
}
END_TEST

START_TEST(folder_without_modules_is_none)
{
    ck_assert_int_eq(module_dir_open(&dir, top, &err), -ENOENT);
    ck_assert_int_eq(module_dir_open(&dir, "/no/such", &err), -ENOENT);
    ck_assert_str_eq(err.msg, "");
}
END_TEST

START_TEST(directory_is_found_beside_the_kernel)
{
    char kernel[128], *tried = NULL;
    snprintf(kernel, sizeof kernel, "%s/boot/vmlinuz", top);
    ck_assert_int_eq(module_dir_find(&dir, NULL, kernel, RELEASE, &tried, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(tried, "/boot/modules/" RELEASE ", "));
    ck_assert_ptr_nonnull(strstr(tried, ", /lib/modules/" RELEASE));
    free(tried);
    make_folder("boot");
    make_folder("lib");
    make_folder("lib/modules");
    make_folder("lib/modules/" RELEASE);
    put("lib/modules/" RELEASE "/modules.dep", "");
    ck_assert_int_eq(module_dir_find(&dir, NULL, kernel, RELEASE, &tried, &err), 0);
    ck_assert_ptr_nonnull(strstr(dir.path, "/boot/../lib/modules/" RELEASE));
    free(tried);
}
END_TEST

START_TEST(directory_is_found_beside_what_a_link_to_the_kernel_leads_to)
{
    char kernel[128], link[128], *tried = NULL;
    make_folder("here");
    make_folder("here/deep");
    make_folder("boot");
    make_folder("boot/modules");
    put("boot/vmlinuz", "");
    put("boot/modules/modules.dep", "");
    snprintf(kernel, sizeof kernel, "%s/boot/vmlinuz", top);
    snprintf(link, sizeof link, "%s/here/deep/kernel", top);
    ck_assert_int_eq(symlink(kernel, link), 0);
    ck_assert_int_eq(module_dir_find(&dir, NULL, link, RELEASE, &tried, &err), 0);
    ck_assert_ptr_nonnull(strstr(dir.path, "/boot/modules"));
    free(tried);
}
END_TEST

START_TEST(given_directory_may_be_three_things)
{
    char path[128], *tried = NULL;
    static const char *const given[] = {"", "/lib/modules", "/lib/modules/" RELEASE};
    make_folder("lib");
    make_folder("lib/modules");
    make_folder("lib/modules/" RELEASE);
    put("lib/modules/" RELEASE "/modules.dep", "");
    for (unsigned i = 0; i < ARRAY_LEN(given); i++) {
        snprintf(path, sizeof path, "%s%s", top, given[i]);
        ck_assert_int_eq(module_dir_find(&dir, path, "vmlinuz", RELEASE, &tried, &err), 0);
        module_dir_close(&dir);
        free(tried);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("modules");
    TCase *tc = tcase_create("modules");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, dependencies_come_first_and_once);
    tcase_add_test(tc, modules_order_serves_where_depmod_never_ran);
    tcase_add_test(tc, soft_dependencies_come_along_where_they_are);
    tcase_add_test(tc, missing_dependency_is_named_with_who_needs_it);
    tcase_add_test(tc, circle_ends);
    tcase_add_test(tc, long_chain_is_refused);
    tcase_add_test(tc, module_of_another_kernel_is_refused);
    tcase_add_test(tc, packed_module_is_unpacked);
    tcase_add_test(tc, lists_cannot_lead_outside);
    tcase_add_test(tc, garbage_module_is_one_line);
    tcase_add_test(tc, spoilt_section_headers_are_no_module);
    tcase_add_test(tc, folder_without_modules_is_none);
    tcase_add_test(tc, directory_is_found_beside_the_kernel);
    tcase_add_test(tc, directory_is_found_beside_what_a_link_to_the_kernel_leads_to);
    tcase_add_test(tc, given_directory_may_be_three_things);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
