// SPDX-License-Identifier: MIT
//
// ELF kernels: placement, PVH and 64-bit entry, and spoiled images.
#include "../lib/kernel_image.h"
#include "tests/lib/suite.h"

#include <asm/bootparam.h>

struct pvh_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};

START_TEST(elf_segments_go_to_physical_addresses_and_bss_is_zeroed)
{
    struct image elf;
    struct boot_plan plan;
    struct err err;
    struct gmem gm;
    elf64_build(&elf, true);
    ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%s", err.msg);
    apply_to_ram(&plan, &gm, TEST_RAM);
    ck_assert_mem_eq(gmem_ptr(&gm, ELF_TEXT, ELF_TEXT_SIZE), elf.data + ELF_TEXT_AT, ELF_TEXT_SIZE);
    ck_assert_mem_eq(gmem_ptr(&gm, ELF_DATA, ELF_DATA_FILE), elf.data + ELF_DATA_AT, ELF_DATA_FILE);
    ck_assert(all_bytes(gmem_ptr(&gm, ELF_DATA + ELF_DATA_FILE, ELF_DATA_MEM - ELF_DATA_FILE),
                        ELF_DATA_MEM - ELF_DATA_FILE, 0));
    /* Nothing beside the segments is touched. */
    ck_assert_uint_eq(*gmem_ptr(&gm, ELF_TEXT + ELF_TEXT_SIZE, 1), 0xcc);
    ck_assert_uint_eq(*gmem_ptr(&gm, ELF_DATA + ELF_DATA_MEM, 1), 0xcc);
    gmem_fini(&gm);
    boot_plan_free(&plan);
    image_free(&elf);
}
END_TEST

START_TEST(pvh_entry_is_protected_mode_with_start_info_in_ebx)
{
    struct image elf, rd = {0};
    struct boot_plan plan;
    struct err err = {0};
    struct gmem gm;
    elf64_build(&elf, true);
    image_pattern(&rd, 0, 5000, 8);
    struct image_file kernel = image_open(&elf), initrd = image_open(&rd);
    struct boot_request req = request_default(kernel.path);
    req.initrd = initrd.path;
    ck_assert_msg(boot_plan_make(&req, &plan, &err) == 0, "%s", err.msg);
    const struct cpu_state *cpu = &plan.cpu;
    ck_assert_uint_eq(cpu->rip, ELF_PVH_ENTRY);
    ck_assert_uint_eq(cpu->gpr[RBX], BOOT_PVH_INFO);
    ck_assert_uint_eq(cpu->cr0, 0x11);
    ck_assert_uint_eq(cpu->cr4, 0);
    ck_assert_uint_eq(cpu->efer, 0);
    ck_assert_uint_eq(cpu->rflags, 2);
    ck_assert(cpu->seg[SEG_CS].db && !cpu->seg[SEG_CS].l);
    ck_assert_uint_eq(cpu->seg[SEG_CS].limit, 0xffffffff);
    ck_assert_uint_eq(cpu->seg[SEG_TR].limit, 0x67);

    apply_to_ram(&plan, &gm, TEST_RAM);
    struct pvh_info info;
    ck_assert_int_eq(gmem_read(&gm, BOOT_PVH_INFO, &info, sizeof info), 0);
    ck_assert_uint_eq(info.magic, 0x336ec578);
    ck_assert_uint_eq(info.version, 1);
    ck_assert_uint_eq(info.rsdp, ACPI_TABLES);
    ck_assert_str_eq((char *)gmem_ptr(&gm, info.cmdline, 64), "console=ttyS0");
    ck_assert_uint_eq(info.nr_modules, 1);
    uint64_t mod[4];
    ck_assert_int_eq(gmem_read(&gm, info.modlist, mod, sizeof mod), 0);
    ck_assert_uint_eq(mod[0], TEST_RAM - 0x2000);
    ck_assert_uint_eq(mod[1], 5000);
    ck_assert_mem_eq(gmem_ptr(&gm, mod[0], 5000), rd.data, 5000);
    ck_assert_uint_eq(info.memmap_entries, 4);
    struct {
        uint64_t base, size;
        uint32_t type, reserved;
    } map[4];
    ck_assert_int_eq(gmem_read(&gm, info.memmap, map, sizeof map), 0);
    ck_assert_uint_eq(map[0].size, EBDA_START);
    ck_assert_uint_eq(map[2].base, HIGH_RAM_START);
    ck_assert_uint_eq(map[2].base + map[2].size, TEST_RAM);
    ck_assert_uint_eq(map[1].type, 2);
    gmem_fini(&gm);
    boot_plan_free(&plan);
    close(kernel.fd);
    close(initrd.fd);
    image_free(&elf);
    image_free(&rd);
}
END_TEST

START_TEST(elf_without_note_is_entered_in_long_mode_with_zero_page)
{
    struct image elf;
    struct boot_plan plan;
    struct err err;
    elf64_build(&elf, false);
    ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%s", err.msg);
    ck_assert_str_eq(plan.format, "ELF, Linux 64-bit entry");
    ck_assert_uint_eq(plan.cpu.rip, ELF_TEXT + 0x40);
    ck_assert_uint_eq(plan.cpu.gpr[RSI], BOOT_ZEROPAGE);
    const struct boot_params *bp = plan_segment(&plan, "zero page", 0)->data;
    ck_assert_uint_eq(bp->hdr.boot_flag, 0xaa55);
    ck_assert_uint_eq(bp->hdr.cmd_line_ptr, BOOT_CMDLINE);
    ck_assert_uint_eq(bp->hdr.ramdisk_size, 0);
    boot_plan_free(&plan);
    image_free(&elf);
}
END_TEST

START_TEST(virtual_entry_is_translated_to_physical)
{
    struct image elf;
    struct boot_plan plan;
    struct err err;
    elf64_build(&elf, false);
    image_put(&elf, ELF64_EHDR(e_entry), 0xffffffff81000123, 8);
    ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(plan.cpu.rip, ELF_TEXT + 0x123);
    boot_plan_free(&plan);
    image_free(&elf);
}
END_TEST

START_TEST(elf32_with_pvh_note_is_taken)
{
    struct image elf;
    struct boot_plan plan;
    struct err err;
    elf32_build(&elf);
    image_put(&elf, offsetof(Elf32_Ehdr, e_phnum), 2, 2);
    Elf32_Phdr note = {
        .p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = 20, .p_memsz = 20, .p_align = 4};
    image_copy(&elf, ELF32_PHDR(1, p_type), &note, sizeof note);
    elf_put_note(&elf, 0x400, "Xen", 18, ELF32_LOAD + 0x500);
    ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(plan.cpu.rip, ELF32_LOAD + 0x500);
    boot_plan_free(&plan);
    image_free(&elf);
}
END_TEST

START_TEST(segments_of_no_size_are_skipped)
{
    struct image elf;
    struct boot_plan plan;
    struct err err;
    elf64_build(&elf, true);
    image_put(&elf, ELF64_PHDR(1, p_filesz), 0, 8);
    image_put(&elf, ELF64_PHDR(1, p_memsz), 0, 8);
    image_put(&elf, ELF64_PHDR(1, p_paddr), ~0ull, 8);
    ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%s", err.msg);
    ck_assert_ptr_null(plan_segment(&plan, "kernel", 1));
    boot_plan_free(&plan);
    image_free(&elf);
}
END_TEST

START_TEST(section_table_is_not_looked_at)
{
    struct image elf;
    struct boot_plan plan;
    struct err err;
    elf64_build(&elf, true);
    image_put(&elf, ELF64_EHDR(e_shoff), 0xfffffffffffffff0, 8);
    image_put(&elf, ELF64_EHDR(e_shnum), 0xffff, 2);
    image_put(&elf, ELF64_EHDR(e_shstrndx), 0xffff, 2);
    ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%s", err.msg);
    boot_plan_free(&plan);
    image_free(&elf);
}
END_TEST

#define PH(n, field) ELF64_PHDR(n, field)

START_TEST(spoiled_elf64_files_are_refused_with_a_reason)
{
    static const struct spoiled rows[] = {
        {"big endian", 0, {{EI_DATA, 1, ELFDATA2MSB}}, ENOEXEC, "not an x86 ELF"},
        {"no class", 0, {{EI_CLASS, 1, 0}}, ENOEXEC, "bad ELF"},
        {"class 7", 0, {{EI_CLASS, 1, 7}}, ENOEXEC, "bad ELF"},
        {"class 32", 0, {{EI_CLASS, 1, ELFCLASS32}}, ENOEXEC, "not an x86 ELF"},
        {"arm", 0, {{ELF64_EHDR(e_machine), 2, EM_AARCH64}}, ENOEXEC, "machine 183"},
        {"i386 in 64", 0, {{ELF64_EHDR(e_machine), 2, EM_386}}, ENOEXEC, "not an x86 ELF"},
        {"object", 0, {{ELF64_EHDR(e_type), 2, ET_REL}}, ENOEXEC, "not an executable"},
        {"core", 0, {{ELF64_EHDR(e_type), 2, ET_CORE}}, ENOEXEC, "not an executable"},
        {"no phdrs", 0, {{ELF64_EHDR(e_phnum), 2, 0}}, ENOEXEC, "without program headers"},
        {"phnum 65", 0, {{ELF64_EHDR(e_phnum), 2, 65}}, E2BIG, "at most 64"},
        {"phnum huge", 0, {{ELF64_EHDR(e_phnum), 2, 0xfffe}}, E2BIG, "65534 program headers"},
        {"phentsize 0", 0, {{ELF64_EHDR(e_phentsize), 2, 0}}, ENOEXEC, "headers of 0 bytes"},
        {"phentsize 32", 0, {{ELF64_EHDR(e_phentsize), 2, 32}}, ENOEXEC, "headers of 32 bytes"},
        {"phoff at end", 0, {{ELF64_EHDR(e_phoff), 8, 0x6000}}, ENOEXEC, "truncated ELF"},
        {"phoff wraps", 0, {{ELF64_EHDR(e_phoff), 8, ~0ull}}, ENOEXEC, "truncated ELF"},
        {"a program", 0, {{PH(2, p_type), 4, PT_INTERP}}, ENOEXEC, "a program for an operating system"},
        {"only a note",
         0,
         {{PH(0, p_type), 4, PT_NULL}, {PH(1, p_type), 4, PT_NULL}},
         ENOEXEC,
         "without loadable"},
        {"offset past end",
         0,
         {{PH(0, p_offset), 8, 0x10000}},
         ENOEXEC,
         "truncated ELF: segment 0"},
        {"offset wraps",
         0,
         {{PH(0, p_offset), 8, ~0ull - 0x100}},
         ENOEXEC,
         "truncated ELF: segment 0"},
        {"filesz huge",
         0,
         {{PH(1, p_filesz), 8, ~0ull}, {PH(1, p_memsz), 8, ~0ull}},
         ENOEXEC,
         "truncated ELF: segment 1"},
        {"filesz beyond memsz", 0, {{PH(1, p_memsz), 8, ELF_DATA_FILE - 1}}, ENOEXEC, "in memory"},
        {"address wraps",
         0,
         {{PH(1, p_paddr), 8, ~0ull - 0x10}},
         ENOEXEC,
         "end of the address space"},
        {"memsz wraps",
         0,
         {{PH(1, p_memsz), 8, ~0ull - 0x10}},
         ENOEXEC,
         "end of the address space"},
        {"memsz huge", 0, {{PH(1, p_memsz), 8, GIB(1) << 20}}, ENOSPC, "not in the 64 MiB of RAM"},
        {"beyond RAM", 0, {{PH(1, p_paddr), 8, TEST_RAM - 0x1000}}, ENOSPC, "give more with -m"},
        {"in the hole", 0, {{PH(1, p_paddr), 8, 0xfee00000}}, ENOSPC, "not in the 64 MiB of RAM"},
        {"over the firmware", 0, {{PH(1, p_paddr), 8, 0xe0000}}, EINVAL, "firmware's region"},
        {"over start info", 0, {{PH(1, p_paddr), 8, 0x5000}}, EINVAL, "overlaps kernel at 0x5000"},
        {"over command line", 0, {{PH(1, p_paddr), 8, BOOT_CMDLINE}}, EINVAL, "command line"},
        {"over GDT", 0, {{PH(1, p_paddr), 8, 0x400}}, EINVAL, "overlaps kernel"},
        {"segments overlap",
         0,
         {{PH(1, p_paddr), 8, ELF_TEXT + ELF_TEXT_SIZE - 1}},
         EINVAL,
         "overlaps kernel at 0x1000000-0x1002345"},
        {"segment inside", 0, {{PH(1, p_paddr), 8, ELF_TEXT}}, EINVAL, "overlaps"},
        {"PVH entry outside",
         0,
         {{ELF_NOTE_AT + 20 + 16, 4, 0x2000000}},
         ENOEXEC,
         "PVH entry 0x2000000"},
        {"note past end", 0, {{PH(2, p_offset), 8, 0x100000}}, EINVAL, "truncated ELF"},
        {"note huge", 0, {{PH(2, p_filesz), 8, GIB(4)}}, ENOEXEC, "note segment of"},
        {"cut in text", 0x2000, {{0}}, ENOEXEC, "truncated ELF: segment 0"},
        {"cut in note", ELF_NOTE_AT + 8, {{0}}, EINVAL, "truncated ELF"},
        {"cut in header", 40, {{0}}, ENOEXEC, "truncated ELF"},
        {"cut in phdrs", 100, {{0}}, ENOEXEC, "truncated ELF"},
    };
    struct image elf;
    elf64_build(&elf, true);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        check_spoiled(&elf, &rows[i]);
    check_truncations(&elf, 1, elf.len);
    image_free(&elf);
}
END_TEST

START_TEST(entry_outside_every_segment_is_refused)
{
    static const struct spoiled row = {
        "entry",
        0,
        {{ELF64_EHDR(e_entry), 8, 0x2000000}},
        ENOEXEC,
        "entry 0x2000000 is in no segment",
    };
    struct image elf;
    elf64_build(&elf, false);
    check_spoiled(&elf, &row);
    image_free(&elf);
}
END_TEST

START_TEST(damaged_notes_count_as_none)
{
    static const struct patch damage[] = {
        {ELF_NOTE_AT + 20, 4, 0xffffffff},                            /* name size */
        {ELF_NOTE_AT + 24, 4, 0xffffffff},                            /* description size */
        {ELF_NOTE_AT + 24, 4, 2},          {ELF_NOTE_AT + 28, 4, 17}, /* type */
        {ELF_NOTE_AT + 32, 1, 'Y'},                                   /* name */
        {ELF_NOTE_AT + 4, 4, 0xfffffffc}, /* description of the first: skips over the end */
        {ELF64_PHDR(2, p_filesz), 8, 38}, /* the segment ends inside the description */
    };
    for (unsigned i = 0; i < ARRAY_LEN(damage); i++) {
        struct image elf;
        struct boot_plan plan;
        struct err err;
        elf64_build(&elf, true);
        image_put(&elf, damage[i].at, damage[i].value, damage[i].width);
        ck_assert_msg(plan_image(&elf, &plan, &err) == 0, "%u: %s", i, err.msg);
        ck_assert_msg(!strcmp(plan.format, "ELF, Linux 64-bit entry"), "%u: %s", i, plan.format);
        boot_plan_free(&plan);
        image_free(&elf);
    }
}
END_TEST

START_TEST(elf32_without_pvh_or_multiboot_is_refused)
{
    struct image elf;
    static const struct spoiled row = {
        "elf32", 0, {{0}}, ENOEXEC, "PVH note or a multiboot header"};
    elf32_build(&elf);
    check_spoiled(&elf, &row);
    multiboot_put_header(&elf, MB_AT, 0);
    image_put(&elf, MB_AT + 8, 1, 4);
    static const struct spoiled bad_sum = {"elf32", 0, {{0}}, ENOEXEC, "bad checksum"};
    check_spoiled(&elf, &bad_sum);
    image_free(&elf);
}
END_TEST

START_TEST(command_line_for_pvh_is_capped_by_its_room)
{
    struct image elf;
    struct err err = {0};
    struct boot_plan plan;
    char *line = malloc(BOOT_CMDLINE_MAX + 1);
    elf64_build(&elf, true);
    struct image_file kernel = image_open(&elf);
    struct boot_request req = request_default(kernel.path);
    memset(line, 'x', BOOT_CMDLINE_MAX);
    line[BOOT_CMDLINE_MAX] = '\0';
    req.cmdline = line;
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), -E2BIG);
    ck_assert_ptr_nonnull(strstr(err.msg, "at most 65535"));
    line[BOOT_CMDLINE_MAX - 1] = '\0';
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), 0);
    boot_plan_free(&plan);
    free(line);
    close(kernel.fd);
    image_free(&elf);
}
END_TEST

int main(void)
{
    const TTest *const list[] = {
        elf_segments_go_to_physical_addresses_and_bss_is_zeroed,
        pvh_entry_is_protected_mode_with_start_info_in_ebx,
        elf_without_note_is_entered_in_long_mode_with_zero_page,
        virtual_entry_is_translated_to_physical,
        elf32_with_pvh_note_is_taken,
        segments_of_no_size_are_skipped,
        section_table_is_not_looked_at,
        spoiled_elf64_files_are_refused_with_a_reason,
        entry_outside_every_segment_is_refused,
        damaged_notes_count_as_none,
        elf32_without_pvh_or_multiboot_is_refused,
        command_line_for_pvh_is_capped_by_its_room,
    };
    return suite_run_tests("loader_elf", NULL, NULL, list, ARRAY_LEN(list));
}
