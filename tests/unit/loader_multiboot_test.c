// SPDX-License-Identifier: MIT
//
// Multiboot 1: both kinds of image, the info structure, modules, and spoiled headers.
#include "../lib/kernel_image.h"
#include "tests/lib/suite.h"

#define FLAT_AT 0x200u
#define FLAT_LOAD 0x200000u /* of file offset 0x100 */
#define FLAT_SIZE 0x3000u
#define FLAT_FIELD(n) (FLAT_AT + 12 + 4 * (n)) /* header, load, load end, bss end, entry */

static void flat_build(struct image *img)
{
    *img = (struct image){0};
    image_pattern(img, 0, FLAT_SIZE, 11);
    multiboot_put_header(img, FLAT_AT, 0x10003);
    image_put(img, FLAT_FIELD(0), FLAT_LOAD + 0x100, 4);
    image_put(img, FLAT_FIELD(1), FLAT_LOAD, 4);
    image_put(img, FLAT_FIELD(2), FLAT_LOAD + 0x2000, 4);
    image_put(img, FLAT_FIELD(3), FLAT_LOAD + 0x8000, 4);
    image_put(img, FLAT_FIELD(4), FLAT_LOAD + 0x1c0, 4);
}

START_TEST(address_fields_place_the_image_and_zero_its_bss)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    struct gmem gm;
    flat_build(&img);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    const struct cpu_state *cpu = &plan.cpu;
    ck_assert_uint_eq(cpu->rip, FLAT_LOAD + 0x1c0);
    ck_assert_uint_eq(cpu->gpr[RAX], 0x2badb002);
    ck_assert_uint_eq(cpu->cr0, 0x11);
    ck_assert(cpu->seg[SEG_CS].db && cpu->seg[SEG_DS].db);
    apply_to_ram(&plan, &gm, TEST_RAM);
    ck_assert_mem_eq(gmem_ptr(&gm, FLAT_LOAD, 0x2000), img.data + 0x100, 0x2000);
    ck_assert(all_bytes(gmem_ptr(&gm, FLAT_LOAD + 0x2000, 0x6000), 0x6000, 0));
    ck_assert_uint_eq(*gmem_ptr(&gm, FLAT_LOAD + 0x8000, 1), 0xcc);
    gmem_fini(&gm);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(zero_load_end_means_the_whole_file)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    flat_build(&img);
    image_put(&img, FLAT_FIELD(2), 0, 4);
    image_put(&img, FLAT_FIELD(3), 0, 4);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    const struct boot_segment *s = plan_segment(&plan, "kernel", 0);
    ck_assert_uint_eq(s->file_size, FLAT_SIZE - 0x100);
    ck_assert_uint_eq(s->mem_size, FLAT_SIZE - 0x100);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(elf_image_gets_memory_map_command_line_and_modules)
{
    struct image img, mod = {0};
    struct boot_plan plan;
    struct err err = {0};
    struct gmem gm;
    char list[200], want[120];
    elf32_build(&img);
    multiboot_put_header(&img, MB_AT, 3);
    image_pattern(&mod, 0, 5000, 3);
    struct image_file kernel = image_open(&img), module = image_open(&mod);
    snprintf(list, sizeof list, "%s one two,,three,%s", module.path, module.path);
    struct boot_request req = request_default(kernel.path);
    req.initrd = list;
    ck_assert_msg(boot_plan_make(&req, &plan, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(plan.cpu.rip, ELF32_ENTRY);
    apply_to_ram(&plan, &gm, TEST_RAM);

    uint32_t info[29];
    ck_assert_int_eq(gmem_read(&gm, plan.cpu.gpr[RBX], info, sizeof info), 0);
    ck_assert_uint_eq(info[0], 0x24d);
    ck_assert_uint_eq(info[1], 639);
    ck_assert_uint_eq(info[2], (TEST_RAM >> 10) - 1024);
    snprintf(want, sizeof want, "%s console=ttyS0", kernel.path);
    ck_assert_str_eq((char *)gmem_ptr(&gm, info[4], 100), want);
    ck_assert_uint_eq(info[5], 2);
    uint32_t mods[8];
    ck_assert_int_eq(gmem_read(&gm, info[6], mods, sizeof mods), 0);
    /* The first free pages behind the kernel, which ends at 0x109000. */
    ck_assert_uint_eq(mods[0], 0x109000);
    ck_assert_uint_eq(mods[1], 0x109000 + 5000);
    ck_assert_uint_eq(mods[4], 0x10b000);
    ck_assert_mem_eq(gmem_ptr(&gm, mods[4], 5000), mod.data, 5000);
    snprintf(want, sizeof want, "%s one two,three", module.path);
    ck_assert_str_eq((char *)gmem_ptr(&gm, mods[2], 100), want);
    ck_assert_str_eq((char *)gmem_ptr(&gm, mods[6], 100), module.path);
    ck_assert_uint_eq(info[11], 4 * 24);
    uint32_t map[6];
    ck_assert_int_eq(gmem_read(&gm, info[12], map, sizeof map), 0);
    ck_assert_uint_eq(map[0], 20);
    ck_assert_uint_eq(map[3], EBDA_START);
    ck_assert_uint_eq(map[5], 1);
    ck_assert_str_eq((char *)gmem_ptr(&gm, info[16], 8), "minivmm");
    gmem_fini(&gm);
    boot_plan_free(&plan);
    close(kernel.fd);
    close(module.fd);
    image_free(&img);
    image_free(&mod);
}
END_TEST

/* A plan for an ELF multiboot kernel with this -initrd and command line. */
static int plan_modules(const char *initrd, const char *cmdline, struct err *err)
{
    struct image img;
    struct boot_plan plan;
    elf32_build(&img);
    multiboot_put_header(&img, MB_AT, 0);
    struct image_file kernel = image_open(&img);
    struct boot_request req = request_default(kernel.path);
    req.initrd = initrd;
    req.cmdline = cmdline;
    *err = (struct err){0};
    int ret = boot_plan_make(&req, &plan, err);
    boot_plan_free(&plan);
    close(kernel.fd);
    image_free(&img);
    return ret;
}

START_TEST(bad_module_lists_are_refused)
{
    struct err err;
    ck_assert_int_eq(plan_modules("/nonexistent/x args", "", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.msg, "module '/nonexistent/x'"));
    ck_assert_int_eq(plan_modules("", "", &err), -ENOENT);
    ck_assert_int_eq(plan_modules("/proc/self/exe,", "", &err), -ENOENT);

    struct image_file big = {.fd = memfd_create("big", MFD_CLOEXEC)};
    snprintf(big.path, sizeof big.path, "/proc/self/fd/%d", big.fd);
    ck_assert_int_eq(ftruncate(big.fd, (off_t)MIB(63)), 0);
    ck_assert_int_eq(plan_modules(big.path, "", &err), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(err.msg, "64512 KiB"));

    char list[33 * sizeof big.path] = "";
    ck_assert_int_eq(ftruncate(big.fd, 100), 0);
    for (unsigned i = 0; i < 33; i++) {
        strcat(list, i ? "," : "");
        strcat(list, big.path);
    }
    ck_assert_int_eq(plan_modules(list, "", &err), -E2BIG);
    ck_assert_ptr_nonnull(strstr(err.msg, "more than 32 multiboot modules"));
    close(big.fd);

    char *line = malloc(BOOT_CMDLINE_MAX);
    memset(line, 'x', BOOT_CMDLINE_MAX);
    line[BOOT_CMDLINE_MAX - 1] = '\0';
    ck_assert_int_eq(plan_modules(NULL, line, &err), -E2BIG);
    free(line);
}
END_TEST

START_TEST(header_is_searched_in_the_first_8192_bytes_only)
{
    static const struct {
        unsigned at;
        bool found;
    } rows[] = {{8192 - 12, true}, {8192 - 8, false}, {8192, false}, {0x1001, false}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct image img;
        struct boot_plan plan;
        struct err err;
        elf32_build(&img);
        image_size(&img, 0x3000);
        multiboot_put_header(&img, rows[i].at, 0);
        int ret = plan_image(&img, &plan, &err);
        ck_assert_msg((ret == 0) == rows[i].found, "at 0x%x: %s", rows[i].at, err.msg);
        boot_plan_free(&plan);
        image_free(&img);
    }
}
END_TEST

START_TEST(a_false_magic_before_the_header_is_passed_over)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    elf32_build(&img);
    multiboot_put_header(&img, MB_AT, 0);
    image_put(&img, MB_AT - 12, 0x1badb002, 4);
    image_put(&img, MB_AT - 8, 0, 8);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(video_wish_is_ignored)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    elf32_build(&img);
    multiboot_put_header(&img, MB_AT, 7);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(spoiled_headers_are_refused_with_a_reason)
{
    static const struct spoiled rows[] = {
        {"bad checksum", 0, {{FLAT_AT + 8, 4, 1}}, EINVAL, "bad checksum"},
        {"unknown demand",
         0,
         {{FLAT_AT + 4, 4, 0x10008}, {FLAT_AT + 8, 4, (uint32_t) - (0x1badb002 + 0x10008)}},
         ENOTSUP,
         "flags 0x8"},
        {"no addresses, no ELF",
         0,
         {{FLAT_AT + 4, 4, 3}, {FLAT_AT + 8, 4, (uint32_t) - (0x1badb002 + 3)}},
         ENOEXEC,
         "without address fields"},
        {"load above header",
         0,
         {{FLAT_FIELD(1), 4, FLAT_LOAD + 0x101}},
         EINVAL,
         "does not fit header"},
        {"load before file",
         0,
         {{FLAT_FIELD(1), 4, FLAT_LOAD - 0x101}},
         EINVAL,
         "does not fit header"},
        {"header address huge", 0, {{FLAT_FIELD(0), 4, 0xffffffff}}, EINVAL, "does not fit header"},
        {"load end below load",
         0,
         {{FLAT_FIELD(2), 4, FLAT_LOAD - 1}},
         EINVAL,
         "is below load address"},
        {"load end beyond file",
         0,
         {{FLAT_FIELD(2), 4, FLAT_LOAD + FLAT_SIZE}},
         EINVAL,
         "truncated multiboot"},
        {"load end huge", 0, {{FLAT_FIELD(2), 4, 0xffffffff}}, EINVAL, "truncated multiboot"},
        {"bss end below load end",
         0,
         {{FLAT_FIELD(3), 4, FLAT_LOAD + 0x1fff}},
         EINVAL,
         "is below load end"},
        {"bss end beyond RAM", 0, {{FLAT_FIELD(3), 4, 0xfffffff0}}, ENOSPC, "give more with -m"},
        {"entry below", 0, {{FLAT_FIELD(4), 4, FLAT_LOAD - 1}}, EINVAL, "multiboot entry"},
        {"entry beyond", 0, {{FLAT_FIELD(4), 4, FLAT_LOAD + 0x2000}}, EINVAL, "multiboot entry"},
        {"empty image", 0, {{FLAT_FIELD(2), 4, FLAT_LOAD}}, EINVAL, "multiboot entry"},
        {"cut in header", FLAT_AT + 20, {{0}}, EINVAL, "bad checksum"},
        {"cut in image", 0x1000, {{0}}, EINVAL, "truncated multiboot"},
    };
    struct image img;
    flat_build(&img);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        check_spoiled(&img, &rows[i]);
    check_truncations(&img, 1, 0x100 + 0x2000);
    image_free(&img);
}
END_TEST

START_TEST(image_over_the_info_page_is_refused)
{
    struct image img;
    flat_build(&img);
    image_put(&img, FLAT_FIELD(0), 0x5100, 4);
    image_put(&img, FLAT_FIELD(1), 0x5000, 4);
    image_put(&img, FLAT_FIELD(2), 0x7000, 4);
    image_put(&img, FLAT_FIELD(3), 0, 4);
    image_put(&img, FLAT_FIELD(4), 0x5200, 4);
    static const struct spoiled row = {"info", 0, {{0}}, EINVAL, "multiboot info at 0x6000"};
    check_spoiled(&img, &row);
    image_free(&img);
}
END_TEST

START_TEST(elf64_with_multiboot_header_is_refused)
{
    static const struct spoiled row = {"elf64", 0, {{0}}, ENOEXEC, "cannot start a 64-bit ELF"};
    struct image img;
    elf64_build(&img, false);
    multiboot_put_header(&img, 0x800, 0);
    check_spoiled(&img, &row);
    image_free(&img);
}
END_TEST

int main(void)
{
    const TTest *const list[] = {
        address_fields_place_the_image_and_zero_its_bss,
        zero_load_end_means_the_whole_file,
        elf_image_gets_memory_map_command_line_and_modules,
        bad_module_lists_are_refused,
        header_is_searched_in_the_first_8192_bytes_only,
        a_false_magic_before_the_header_is_passed_over,
        video_wish_is_ignored,
        spoiled_headers_are_refused_with_a_reason,
        image_over_the_info_page_is_refused,
        elf64_with_multiboot_header_is_refused,
    };
    return suite_run_tests("loader_multiboot", NULL, NULL, list, ARRAY_LEN(list));
}
