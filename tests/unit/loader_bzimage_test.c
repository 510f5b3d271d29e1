// SPDX-License-Identifier: MIT
//
// bzImage: placement and registers of a good image, host-side unpacking in every supported format,
// and spoiled images.
#include "../lib/kernel_image.h"
#include "tests/lib/suite.h"

#include <asm/bootparam.h>
#include <lz4hc.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

static struct boot_params *zero_page(struct gmem *gm)
{
    return (struct boot_params *)(void *)gmem_ptr(gm, BOOT_ZEROPAGE, sizeof(struct boot_params));
}

START_TEST(bzimage_is_placed_at_preferred_address_and_entered_in_long_mode)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    struct gmem gm;
    bzimage_build(&img);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    ck_assert_str_eq(plan.format, "bzImage");
    const struct boot_segment *kernel = plan_segment(&plan, "kernel", 0);
    ck_assert_uint_eq(kernel->gpa, BZ_LOAD);
    ck_assert_uint_eq(kernel->file_size, BZ_PROT);
    const struct boot_segment *room = plan_segment(&plan, "kernel work area", 0);
    ck_assert_uint_eq(room->gpa + room->mem_size, BZ_LOAD + BZ_INIT_SIZE);

    const struct cpu_state *cpu = &plan.cpu;
    ck_assert_uint_eq(cpu->rip, BZ_LOAD + 0x200);
    ck_assert_uint_eq(cpu->gpr[RSI], BOOT_ZEROPAGE);
    ck_assert_uint_eq(cpu->rflags, 2);
    ck_assert_uint_eq(cpu->cr0, 0x80000011);
    ck_assert_uint_eq(cpu->cr4, 0x20);
    ck_assert_uint_eq(cpu->efer, 0x500);
    ck_assert_uint_eq(cpu->cr3, BOOT_PAGE_TABLES);
    ck_assert_uint_eq(cpu->seg[SEG_CS].sel, 0x10);
    ck_assert(cpu->seg[SEG_CS].l && !cpu->seg[SEG_CS].db);
    ck_assert_uint_eq(cpu->seg[SEG_DS].sel, 0x18);
    ck_assert_uint_eq(cpu->seg[SEG_TR].type, 0xb);

    apply_to_ram(&plan, &gm, TEST_RAM);
    ck_assert_mem_eq(gmem_ptr(&gm, BZ_LOAD, BZ_PROT), img.data + BZ_SETUP, BZ_PROT);
    const uint64_t *gdt = (const uint64_t *)(const void *)gmem_ptr(&gm, BOOT_GDT, 48);
    ck_assert_uint_eq(gdt[2], 0x00af9b000000ffff);
    ck_assert_uint_eq(gdt[3], 0x00cf93000000ffff);
    gmem_fini(&gm);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(page_tables_map_four_gib_one_to_one)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    struct gmem gm;
    bzimage_build(&img);
    ck_assert_int_eq(plan_image(&img, &plan, &err), 0);
    apply_to_ram(&plan, &gm, TEST_RAM);
    for (uint64_t va = 0; va < GIB(4); va += MIB(2)) {
        uint64_t table = plan.cpu.cr3, entry = 0;
        for (unsigned shift = 39; shift >= 21; shift -= 9) {
            uint64_t index = va >> shift & 511;
            ck_assert_int_eq(gmem_read(&gm, table + index * 8, &entry, 8), 0);
            ck_assert_uint_eq(entry & 3, 3);
            table = entry & ~0xfffull;
        }
        ck_assert_uint_eq(entry, va | 0x83);
    }
    gmem_fini(&gm);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(zero_page_tells_command_line_initrd_memory_and_rsdp)
{
    struct image img, rd = {0};
    struct boot_plan plan;
    struct err err = {0};
    struct gmem gm;
    bzimage_build(&img);
    image_pattern(&rd, 0, 12345, 77);
    struct image_file kernel = image_open(&img), initrd = image_open(&rd);
    struct boot_request req = request_default(kernel.path);
    req.initrd = initrd.path;
    ck_assert_msg(boot_plan_make(&req, &plan, &err) == 0, "%s", err.msg);
    apply_to_ram(&plan, &gm, TEST_RAM);

    struct boot_params *bp = zero_page(&gm);
    ck_assert_uint_eq(bp->hdr.header, 0x53726448);
    ck_assert_uint_eq(bp->hdr.version, 0x20f);
    ck_assert_uint_eq(bp->hdr.type_of_loader, 0xff);
    ck_assert_uint_eq(bp->hdr.loadflags & LOADED_HIGH, LOADED_HIGH);
    ck_assert_uint_eq(bp->hdr.init_size, BZ_INIT_SIZE);
    ck_assert_uint_eq(bp->hdr.cmd_line_ptr, BOOT_CMDLINE);
    ck_assert_uint_eq(bp->acpi_rsdp_addr, ACPI_TABLES);
    ck_assert_uint_eq(bp->sentinel, 0);
    ck_assert_str_eq((char *)gmem_ptr(&gm, BOOT_CMDLINE, 64), "console=ttyS0");
    /* 12345 bytes take four pages, the last of RAM. */
    ck_assert_uint_eq(bp->hdr.ramdisk_image, TEST_RAM - 0x4000);
    ck_assert_uint_eq(bp->hdr.ramdisk_size, 12345);
    ck_assert_mem_eq(gmem_ptr(&gm, TEST_RAM - 0x4000, 12345), rd.data, 12345);

    ck_assert_uint_eq(bp->e820_entries, 4);
    const uint64_t want[][3] = {
        {0, 0x9fc00, 1},
        {0x9fc00, 0x60400, 2},
        {0x100000, TEST_RAM - 0x100000, 1},
        {ECAM_BASE, ECAM_SIZE, 2},
    };
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(bp->e820_table[i].addr, want[i][0]);
        ck_assert_uint_eq(bp->e820_table[i].size, want[i][1]);
        ck_assert_uint_eq(bp->e820_table[i].type, want[i][2]);
    }
    gmem_fini(&gm);
    boot_plan_free(&plan);
    close(kernel.fd);
    close(initrd.fd);
    image_free(&img);
    image_free(&rd);
}
END_TEST

START_TEST(ram_above_four_gib_is_in_the_memory_map)
{
    struct image img;
    struct boot_plan plan;
    struct err err = {0};
    bzimage_build(&img);
    struct image_file kernel = image_open(&img);
    struct boot_request req = request_default(kernel.path);
    req.ram_size = GIB(5);
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), 0);
    const struct boot_params *bp = plan_segment(&plan, "zero page", 0)->data;
    ck_assert_uint_eq(bp->e820_entries, 5);
    ck_assert_uint_eq(bp->e820_table[2].size, RAM_HOLE_START - HIGH_RAM_START);
    ck_assert_uint_eq(bp->e820_table[4].addr, RAM_HOLE_END);
    ck_assert_uint_eq(bp->e820_table[4].size, GIB(2));
    boot_plan_free(&plan);
    close(kernel.fd);
    image_free(&img);
}
END_TEST

/* Where an initrd of `size` bytes goes; 0 and a message when nowhere. */
static gpa_t initrd_at(const struct image *img, uint64_t size, uint64_t ram, struct err *err)
{
    struct image_file kernel = image_open(img);
    struct image_file initrd = {.fd = memfd_create("initrd", MFD_CLOEXEC)};
    snprintf(initrd.path, sizeof initrd.path, "/proc/self/fd/%d", initrd.fd);
    ck_assert_int_eq(ftruncate(initrd.fd, (off_t)size), 0);
    struct boot_request req = request_default(kernel.path);
    req.initrd = initrd.path;
    req.ram_size = ram;
    struct boot_plan plan;
    *err = (struct err){0};
    int ret = boot_plan_make(&req, &plan, err);
    gpa_t gpa = ret == 0 ? plan_segment(&plan, "initrd", 0)->gpa : 0;
    boot_plan_free(&plan);
    close(kernel.fd);
    close(initrd.fd);
    return gpa;
}

START_TEST(initrd_goes_below_the_limit_the_kernel_names)
{
    struct image img;
    struct err err;
    bzimage_build(&img);
    image_put(&img, BZ_XLOADFLAGS, 1, 2);
    image_put(&img, BZ_INITRD_MAX, MIB(40) - 1, 4);
    ck_assert_uint_eq(initrd_at(&img, 0x1001, TEST_RAM, &err), MIB(40) - 0x2000);
    image_put(&img, BZ_INITRD_MAX, 0x7fffffff, 4);
    ck_assert_uint_eq(initrd_at(&img, 0x1000, GIB(4), &err), GIB(2) - 0x1000);
    image_put(&img, BZ_XLOADFLAGS, 3, 2); /* a kernel that takes one anywhere below 4 GiB */
    ck_assert_uint_eq(initrd_at(&img, 0x1000, GIB(4), &err), RAM_HOLE_START - 0x1000);
    image_free(&img);
}
END_TEST

START_TEST(initrd_avoids_the_room_the_kernel_unpacks_in)
{
    struct image img;
    struct err err;
    bzimage_build(&img);
    /* 24 MiB of RAM: 4 MiB above the kernel's room at 16 to 20 MiB, 15 MiB below it. */
    ck_assert_uint_eq(initrd_at(&img, MIB(4), MIB(24), &err), MIB(20));
    ck_assert_uint_eq(initrd_at(&img, MIB(5), MIB(24), &err), MIB(11));
    ck_assert_uint_eq(initrd_at(&img, MIB(15), MIB(24), &err), MIB(1));
    ck_assert_uint_eq(initrd_at(&img, MIB(15) + 1, MIB(24), &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "15361 KiB"));
    ck_assert_ptr_nonnull(strstr(err.msg, "-m"));
    ck_assert_uint_eq(initrd_at(&img, GIB(900), MIB(24), &err), 0);
    image_put(&img, BZ_XLOADFLAGS, 1, 2);
    image_put(&img, BZ_INITRD_MAX, MIB(2) - 1, 4);
    ck_assert_uint_eq(initrd_at(&img, MIB(3), MIB(24), &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "0x200000"));
    image_free(&img);
}
END_TEST

START_TEST(command_line_is_limited_by_the_kernels_own_limit)
{
    struct image img;
    char line[2100];
    bzimage_build(&img);
    struct image_file kernel = image_open(&img);
    struct boot_request req = request_default(kernel.path);
    struct boot_plan plan;
    struct err err = {0};
    memset(line, 'x', sizeof line);
    line[2047] = '\0';
    req.cmdline = line;
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), 0);
    boot_plan_free(&plan);
    line[2047] = 'x';
    line[2048] = '\0';
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), -E2BIG);
    ck_assert_ptr_nonnull(strstr(err.msg, "2048 characters, this kernel takes at most 2047"));
    close(kernel.fd);
    image_free(&img);
}
END_TEST

START_TEST(zero_setup_sectors_mean_four)
{
    struct image img;
    struct boot_plan plan;
    struct err err;
    bzimage_build(&img);
    image_put(&img, BZ_SETUP_SECTS, 0, 1);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(plan_segment(&plan, "kernel", 0)->offset, BZ_SETUP);
    boot_plan_free(&plan);
    image_free(&img);
}
END_TEST

START_TEST(spoiled_bzimages_are_refused_with_a_reason)
{
    static const struct spoiled rows[] = {
        {"old protocol", 0, {{BZ_VERSION, 2, 0x20a}}, ENOTSUP, "boot protocol 2.10"},
        {"32-bit kernel", 0, {{BZ_XLOADFLAGS, 2, 0}}, ENOTSUP, "not a 64-bit bzImage"},
        {"zImage", 0, {{BZ_LOADFLAGS, 1, 0}}, ENOTSUP, "not a 64-bit bzImage"},
        {"short header", 0, {{0x201, 1, 0x30}}, EINVAL, "setup header ends"},
        {"long header", 0x210, {{0}}, EINVAL, "truncated bzImage: setup header"},
        {"setup beyond file", 0, {{BZ_SETUP_SECTS, 1, 255}}, EINVAL, "truncated bzImage"},
        {"syssize one too many", 0, {{BZ_SYSSIZE, 4, BZ_PROT / 16 + 1}}, EINVAL, "file has 32 KiB"},
        {"syssize huge", 0, {{BZ_SYSSIZE, 4, 0xffffffff}}, EINVAL, "header says 67108863 KiB"},
        {"syssize zero", 0, {{BZ_SYSSIZE, 4, 0}}, EINVAL, "has no 64-bit entry"},
        {"alignment zero", 0, {{BZ_ALIGNMENT, 4, 0}}, EINVAL, "not a power of two"},
        {"alignment odd", 0, {{BZ_ALIGNMENT, 4, 0x300000}}, EINVAL, "not a power of two"},
        {"misaligned", 0, {{BZ_PREF_ADDRESS, 8, BZ_LOAD + 0x1000}}, EINVAL, "not aligned"},
        {"low and fixed",
         0,
         {{BZ_PREF_ADDRESS, 8, 0x10000}, {BZ_RELOCATABLE, 1, 0}},
         EINVAL,
         "below 1 MiB"},
        {"load beyond RAM", 0, {{BZ_PREF_ADDRESS, 8, MIB(64)}}, ENOSPC, "needs 68 MiB of RAM"},
        {"load wraps", 0, {{BZ_PREF_ADDRESS, 8, 0xffffffffffe00000}}, EINVAL, "beyond the 3 GiB"},
        {"load above 4G", 0, {{BZ_PREF_ADDRESS, 8, GIB(5)}}, EINVAL, "beyond the 3 GiB"},
        {"init_size huge", 0, {{BZ_INIT, 4, 0xffffffff}}, EINVAL, "beyond the 3 GiB"},
        {"init_size beyond RAM",
         0,
         {{BZ_INIT, 4, MIB(49)}},
         ENOSPC,
         "needs 65 MiB of RAM to start"},
        {"payload beyond file",
         0,
         {{BZ_PAYLOAD_OFFSET, 4, 0xffffff00}, {BZ_PAYLOAD_LENGTH, 4, 0x1000}},
         EINVAL,
         "truncated bzImage: the payload"},
        {"payload too long",
         0,
         {{BZ_PAYLOAD_OFFSET, 4, 0}, {BZ_PAYLOAD_LENGTH, 4, 0xffffffff}},
         EINVAL,
         "truncated bzImage: the payload"},
        {"cut in setup", 1024, {{0}}, EINVAL, "truncated bzImage"},
        {"cut in code",
         BZ_SETUP + 12 * 1024,
         {{0}},
         EINVAL,
         "header says 32 KiB of protected-mode code, file has 12 KiB"},
    };
    struct image img;
    bzimage_build(&img);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        check_spoiled(&img, &rows[i]);
    check_truncations(&img, BZ_VERSION, img.len - 16); /* what is shorter is a boot sector */
    image_free(&img);
}
END_TEST

/* --- Unpacking by the host --- */

enum pack { PACK_GZIP, PACK_XZ, PACK_ZSTD, PACK_LZ4, PACKS };

static void pack_gzip(const struct image *in, struct image *out)
{
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    image_size(out, deflateBound(&z, in->len) + 32);
    z.next_in = in->data;
    z.avail_in = (uInt)in->len;
    z.next_out = out->data;
    z.avail_out = (uInt)out->len;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    image_size(out, z.total_out); /* the last four bytes are the size already */
    deflateEnd(&z);
}

static void pack_lz4(const struct image *in, struct image *out)
{
    image_put(out, 0, 0x184c2102, 4);
    for (size_t at = 0; at < in->len; at += MIB(8)) {
        int len = (int)(in->len - at < MIB(8) ? in->len - at : MIB(8));
        struct image block = {0};
        image_size(&block, (size_t)LZ4_compressBound(len));
        int n =
            LZ4_compress_default((char *)in->data + at, (char *)block.data, len, (int)block.len);
        ck_assert_int_gt(n, 0);
        image_put(out, out->len, (uint64_t)n, 4);
        image_copy(out, out->len, block.data, (size_t)n);
        image_free(&block);
    }
}

static void pack(enum pack how, const struct image *in, struct image *out)
{
    *out = (struct image){0};
    size_t n = 0;
    if (how == PACK_GZIP) {
        pack_gzip(in, out);
        return;
    }
    if (how == PACK_LZ4) {
        pack_lz4(in, out);
    } else if (how == PACK_ZSTD) {
        image_size(out, ZSTD_compressBound(in->len));
        ZSTD_CCtx *zstd = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1); /* as the zstd tool does */
        n = ZSTD_compress2(zstd, out->data, out->len, in->data, in->len);
        ZSTD_freeCCtx(zstd);
        image_size(out, n);
    } else {
        image_size(out, lzma_stream_buffer_bound(in->len));
        ck_assert_int_eq(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, in->data, in->len,
                                                 out->data, &n, out->len),
                         LZMA_OK);
        image_size(out, n);
    }
    image_put(out, out->len, in->len, 4);
}

static void check_elf_in_ram(struct gmem *gm, const struct image *elf)
{
    ck_assert_mem_eq(gmem_ptr(gm, ELF_TEXT, ELF_TEXT_SIZE), elf->data + ELF_TEXT_AT, ELF_TEXT_SIZE);
    ck_assert_mem_eq(gmem_ptr(gm, ELF_DATA, ELF_DATA_FILE), elf->data + ELF_DATA_AT, ELF_DATA_FILE);
    ck_assert(all_bytes(gmem_ptr(gm, ELF_DATA + ELF_DATA_FILE, ELF_DATA_MEM - ELF_DATA_FILE),
                        ELF_DATA_MEM - ELF_DATA_FILE, 0));
}

START_TEST(payload_is_unpacked_by_the_host_and_entered_by_pvh)
{
    for (unsigned how = 0; how < PACKS; how++) {
        struct image elf, packed, img;
        struct boot_plan plan;
        struct err err;
        struct gmem gm;
        elf64_build(&elf, true);
        pack(how, &elf, &packed);
        bzimage_build(&img);
        bzimage_set_payload(&img, packed.data, packed.len);
        ck_assert_msg(plan_image(&img, &plan, &err) == 0, "pack %u: %s", how, err.msg);
        ck_assert_str_eq(plan.format, "bzImage unpacked by the host, PVH entry");
        ck_assert_uint_eq(plan.cpu.rip, ELF_PVH_ENTRY);
        ck_assert_uint_eq(plan.cpu.gpr[RBX], BOOT_PVH_INFO);
        apply_to_ram(&plan, &gm, TEST_RAM);
        check_elf_in_ram(&gm, &elf);
        /* And again after a reset. */
        gmem_zero(&gm);
        ck_assert_int_eq(boot_apply(&plan, &gm, &err), 0);
        check_elf_in_ram(&gm, &elf);
        gmem_fini(&gm);
        boot_plan_free(&plan);
        image_free(&elf);
        image_free(&packed);
        image_free(&img);
    }
}
END_TEST

START_TEST(payload_without_pvh_note_is_entered_by_the_64_bit_protocol_with_its_own_header)
{
    struct image elf, packed, img;
    struct boot_plan plan;
    struct err err;
    struct gmem gm;
    elf64_build(&elf, false);
    pack(PACK_LZ4, &elf, &packed);
    bzimage_build(&img);
    bzimage_set_payload(&img, packed.data, packed.len);
    ck_assert_msg(plan_image(&img, &plan, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(plan.cpu.rip, ELF_TEXT + 0x40);
    ck_assert_uint_eq(plan.cpu.gpr[RSI], BOOT_ZEROPAGE);
    ck_assert_uint_eq(plan.cpu.efer, 0x500);
    apply_to_ram(&plan, &gm, TEST_RAM);
    check_elf_in_ram(&gm, &elf);
    ck_assert_uint_eq(zero_page(&gm)->hdr.init_size, BZ_INIT_SIZE);
    gmem_fini(&gm);
    boot_plan_free(&plan);
    image_free(&elf);
    image_free(&packed);
    image_free(&img);
}
END_TEST

START_TEST(payloads_larger_than_one_lz4_block_are_unpacked_whole)
{
    for (unsigned how = 0; how < PACKS; how++) {
        struct image elf, packed, img;
        struct boot_plan plan;
        struct err err;
        struct gmem gm;
        const size_t text = MIB(17) + 4321, at = 0x7000;
        elf64_build(&elf, true);
        image_pattern(&elf, at, text, 21);
        image_put(&elf, ELF64_PHDR(0, p_offset), at, 8);
        image_put(&elf, ELF64_PHDR(0, p_filesz), text, 8);
        image_put(&elf, ELF64_PHDR(0, p_memsz), text, 8);
        image_put(&elf, ELF64_PHDR(1, p_paddr), MIB(48), 8);
        /* The note behind it all: the loader must look past the first block. */
        size_t note = align_up(at + text, 4);
        elf_put_note(&elf, note, "Xen", 18, ELF_TEXT + 0x10);
        image_put(&elf, ELF64_PHDR(2, p_offset), note, 8);
        image_put(&elf, ELF64_PHDR(2, p_filesz), 20, 8);
        pack(how, &elf, &packed);
        bzimage_build(&img);
        bzimage_set_payload(&img, packed.data, packed.len);
        ck_assert_msg(plan_image(&img, &plan, &err) == 0, "pack %u: %s", how, err.msg);
        ck_assert_uint_eq(plan.cpu.rip, ELF_TEXT + 0x10);
        apply_to_ram(&plan, &gm, TEST_RAM);
        ck_assert_mem_eq(gmem_ptr(&gm, ELF_TEXT, text), elf.data + at, text);
        ck_assert_mem_eq(gmem_ptr(&gm, MIB(48), ELF_DATA_FILE), elf.data + ELF_DATA_AT,
                         ELF_DATA_FILE);
        gmem_fini(&gm);
        boot_plan_free(&plan);
        image_free(&elf);
        image_free(&packed);
        image_free(&img);
    }
}
END_TEST

/* Plan a bzImage with this payload under a policy. */
static int plan_payload(const void *payload, size_t len, enum kernel_unpack unpack,
                        struct boot_plan *plan, struct err *err)
{
    struct image img;
    bzimage_build(&img);
    bzimage_set_payload(&img, payload, len);
    struct image_file kernel = image_open(&img);
    struct boot_request req = request_default(kernel.path);
    req.unpack = unpack;
    *err = (struct err){0};
    int ret = boot_plan_make(&req, plan, err);
    close(kernel.fd);
    image_free(&img);
    return ret;
}

START_TEST(unsupported_compression_is_left_to_the_guest_unless_the_host_is_asked)
{
    static const struct {
        const char bytes[16];
        const char *says;
    } rows[] = {
        {"BZh91AY&SY", "bzip2"},
        {"\x5d\0\0\x80", "lzma"},
        {"\x89LZO", "lzo"},
        {"whatever", "unknown compression"},
    };
    struct boot_plan plan;
    struct err err;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_int_eq(plan_payload(rows[i].bytes, 16, KERNEL_UNPACK_AUTO, &plan, &err), 0);
        ck_assert_str_eq(plan.format, "bzImage");
        boot_plan_free(&plan);
        ck_assert_int_eq(plan_payload(rows[i].bytes, 16, KERNEL_UNPACK_HOST, &plan, &err),
                         -ENOTSUP);
        ck_assert_ptr_nonnull(strstr(err.msg, rows[i].says));
    }
}
END_TEST

START_TEST(policy_guest_never_unpacks_on_the_host)
{
    struct image elf, packed;
    struct boot_plan plan;
    struct err err;
    elf64_build(&elf, true);
    pack(PACK_ZSTD, &elf, &packed);
    ck_assert_int_eq(plan_payload(packed.data, packed.len, KERNEL_UNPACK_GUEST, &plan, &err), 0);
    ck_assert_str_eq(plan.format, "bzImage");
    ck_assert_ptr_null(plan.payload);
    boot_plan_free(&plan);
    image_free(&elf);
    image_free(&packed);
}
END_TEST

START_TEST(damaged_payloads_are_errors_and_not_left_to_the_guest)
{
    for (unsigned how = 0; how < PACKS; how++) {
        struct image elf, packed;
        struct boot_plan plan;
        struct err err;
        struct gmem gm;
        elf64_build(&elf, true);
        ck_assert_int_eq(gmem_init(&gm, TEST_RAM, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
        pack(how, &elf, &packed);
        /* Every way of damage must be found when planning or, at the latest, when unpacking. */
        for (size_t at = 10; at < packed.len; at += packed.len / 40 + 1) {
            struct image bad = {0};
            image_copy(&bad, 0, packed.data, packed.len);
            bad.data[at] ^= 0x5a;
            int ret = plan_payload(bad.data, bad.len, KERNEL_UNPACK_AUTO, &plan, &err);
            if (ret == 0 && plan.payload)
                ret = boot_apply(&plan, &gm, &err);
            if (how != PACK_LZ4) /* which has no checksum: damage to literals passes */
                ck_assert_msg(ret < 0 || !plan.payload, "pack %u byte %zu", how, at);
            ck_assert(ret == 0 || err.msg[0]);
            boot_plan_free(&plan);
            image_free(&bad);
        }
        gmem_fini(&gm);
        image_free(&elf);
        image_free(&packed);
    }
}
END_TEST

START_TEST(payload_size_field_must_be_true)
{
    static const uint32_t lies[] = {0, 1, 100, 0x6027, 0x7000, MIB(9), 0x7fffffff, 0xffffffff};
    for (unsigned how = PACK_XZ; how < PACKS; how++) {
        for (unsigned i = 0; i < ARRAY_LEN(lies); i++) {
            struct image elf, packed;
            struct boot_plan plan;
            struct err err;
            struct gmem gm;
            elf64_build(&elf, true);
            pack(how, &elf, &packed);
            image_put(&packed, packed.len - 4, lies[i], 4);
            int ret = plan_payload(packed.data, packed.len, KERNEL_UNPACK_HOST, &plan, &err);
            if (ret == 0) {
                ck_assert_int_eq(gmem_init(&gm, TEST_RAM, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
                ret = boot_apply(&plan, &gm, &err);
                gmem_fini(&gm);
                boot_plan_free(&plan);
            }
            ck_assert_msg(ret < 0 && err.msg[0], "pack %u size 0x%x taken", how, lies[i]);
            image_free(&elf);
            image_free(&packed);
        }
    }
}
END_TEST

START_TEST(payload_that_is_no_elf_or_does_not_fit_is_left_to_the_guest)
{
    struct image elf, packed;
    struct boot_plan plan;
    struct err err;
    elf64_build(&elf, true);
    image_put(&elf, 0, 0, 4);
    pack(PACK_GZIP, &elf, &packed);
    ck_assert_int_eq(plan_payload(packed.data, packed.len, KERNEL_UNPACK_AUTO, &plan, &err), 0);
    ck_assert_str_eq(plan.format, "bzImage");
    boot_plan_free(&plan);
    ck_assert_int_eq(plan_payload(packed.data, packed.len, KERNEL_UNPACK_HOST, &plan, &err),
                     -ENOEXEC);
    image_free(&elf);
    image_free(&packed);

    elf64_build(&elf, true);
    image_put(&elf, ELF64_PHDR(1, p_memsz), GIB(1), 8);
    pack(PACK_GZIP, &elf, &packed);
    ck_assert_int_eq(plan_payload(packed.data, packed.len, KERNEL_UNPACK_AUTO, &plan, &err), 0);
    ck_assert_ptr_null(plan.payload);
    ck_assert_ptr_nonnull(plan_segment(&plan, "kernel work area", 0));
    boot_plan_free(&plan);
    ck_assert_int_eq(plan_payload(packed.data, packed.len, KERNEL_UNPACK_HOST, &plan, &err),
                     -ENOSPC);
    image_free(&elf);
    image_free(&packed);
}
END_TEST

START_TEST(a_kernel_changed_after_planning_is_not_loaded)
{
    struct image img;
    struct boot_plan plan;
    struct err err = {0};
    struct gmem gm;
    bzimage_build(&img);
    struct image_file kernel = image_open(&img);
    struct boot_request req = request_default(kernel.path);
    ck_assert_int_eq(boot_plan_make(&req, &plan, &err), 0);
    ck_assert_int_eq(ftruncate(kernel.fd, 5000), 0);
    ck_assert_int_eq(gmem_init(&gm, TEST_RAM, RAM_HOLE_START, RAM_HOLE_END, &err), 0);
    ck_assert_int_eq(boot_apply(&plan, &gm, &err), -ESTALE);
    ck_assert_ptr_nonnull(strstr(err.msg, "was changed"));
    gmem_fini(&gm);
    boot_plan_free(&plan);
    close(kernel.fd);
    image_free(&img);
}
END_TEST

int main(void)
{
    const TTest *const list[] = {
        bzimage_is_placed_at_preferred_address_and_entered_in_long_mode,
        page_tables_map_four_gib_one_to_one,
        zero_page_tells_command_line_initrd_memory_and_rsdp,
        ram_above_four_gib_is_in_the_memory_map,
        initrd_goes_below_the_limit_the_kernel_names,
        initrd_avoids_the_room_the_kernel_unpacks_in,
        command_line_is_limited_by_the_kernels_own_limit,
        zero_setup_sectors_mean_four,
        spoiled_bzimages_are_refused_with_a_reason,
        payload_is_unpacked_by_the_host_and_entered_by_pvh,
        payload_without_pvh_note_is_entered_by_the_64_bit_protocol_with_its_own_header,
        payloads_larger_than_one_lz4_block_are_unpacked_whole,
        unsupported_compression_is_left_to_the_guest_unless_the_host_is_asked,
        policy_guest_never_unpacks_on_the_host,
        damaged_payloads_are_errors_and_not_left_to_the_guest,
        payload_size_field_must_be_true,
        payload_that_is_no_elf_or_does_not_fit_is_left_to_the_guest,
        a_kernel_changed_after_planning_is_not_loaded,
    };
    return suite_run_tests("loader_bzimage", NULL, NULL, list, ARRAY_LEN(list));
}
