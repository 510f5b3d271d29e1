// SPDX-License-Identifier: MIT
//
// Names for guest addresses: from lines as in System.map, from ELF files that lie.
#include "src/exits/symbols.h"

#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

static struct symbols s;
static struct err err;
static char path[40];

static void setup(void)
{
    s = (struct symbols){0};
    err = (struct err){{0}};
    strcpy(path, "/tmp/exits_symbols.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    symbols_free(&s);
    unlink(path);
}

static int read_bytes(const void *bytes, size_t len)
{
    FILE *f = fopen(path, "w");
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    fclose(f);
    symbols_free(&s);
    err = (struct err){{0}};
    return symbols_read(&s, path, &err);
}

static int read_lines(const char *text)
{
    return read_bytes(text, strlen(text));
}

static void expect(uint64_t address, const char *name, uint64_t offset)
{
    uint64_t at = 99;
    const char *found = symbols_find(&s, address, &at);
    ck_assert_msg(found != NULL, "%#lx has no name", address);
    ck_assert_str_eq(found, name);
    ck_assert_uint_eq(at, offset);
}

static void expect_none(uint64_t address)
{
    uint64_t at;
    ck_assert_ptr_null(symbols_find(&s, address, &at));
}

START_TEST(symbols_are_found_from_their_first_byte_on)
{
    ck_assert_int_eq(read_lines("ffffffff81002000 T two\nffffffff81001000 t one\n"), 0);
    expect_none(0xffffffff81000fff);
    expect(0xffffffff81001000, "one", 0);
    expect(0xffffffff81001fff, "one", 0xfff);
    expect(0xffffffff81002000, "two", 0);
    expect(0xffffffff81002000 + MIB(1) - 1, "two", MIB(1) - 1);
    expect_none(0xffffffff81002000 + MIB(1));
    expect_none(0);
    expect_none(UINT64_MAX);
}
END_TEST

START_TEST(symbols_move_with_the_guest)
{
    ck_assert_int_eq(read_lines("ffffffff81001000 T one\n"), 0);
    s.slide = 0x12000000;
    expect(0xffffffff93001004, "one", 4);
    expect_none(0xffffffff81001004);
    s.slide = -0x1000000ull;
    expect(0xffffffff80001004, "one", 4);
}
END_TEST

START_TEST(symbols_of_one_address_have_the_first_name)
{
    ck_assert_int_eq(read_lines("1000 T zebra\n1000 T alias\n1000 W other\n2000 T end\n"), 0);
    expect(0x1000, "zebra", 0);
    ck_assert_uint_eq(s.n, 2);
}
END_TEST

START_TEST(symbols_of_text_are_code_only)
{
    ck_assert_int_eq(read_lines("0000000000000000 A fixed\n1000 D data\n2000 T code\n3000 b bss\n4000 w weak\t[module]\n"), 0);
    ck_assert_uint_eq(s.n, 2);
    expect(0x3000, "code", 0x1000);
    expect(0x4000, "weak", 0);
}
END_TEST

/* As an unprivileged reader of /proc/kallsyms sees it. */
START_TEST(symbols_without_addresses_are_none)
{
    ck_assert_int_lt(read_lines("0000000000000000 T one\n0000000000000000 T two\n"), 0);
    ck_assert_msg(strstr(err.msg, "names no functions") != NULL, "%s", err.msg);
}
END_TEST

START_TEST(symbols_address_is_where_the_file_says)
{
    uint64_t address;
    ck_assert_int_eq(read_lines("1000 T one\n2000 T two\n"), 0);
    ck_assert(symbols_address(&s, "two", &address));
    ck_assert_uint_eq(address, 0x2000);
    ck_assert(!symbols_address(&s, "three", &address));
}
END_TEST

START_TEST(symbols_of_garbage_are_an_error)
{
    uint8_t bytes[20000];
    uint32_t x = 7;
    ck_assert_int_lt(read_bytes("", 0), 0);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        int rc = read_bytes(bytes, sizeof bytes);
        ck_assert(rc < 0 || s.n > 0);
    }
    memset(bytes, 0, sizeof bytes);
    ck_assert_int_lt(read_bytes(bytes, sizeof bytes), 0);
    memset(bytes, 'T', sizeof bytes);
    ck_assert_int_lt(read_bytes(bytes, sizeof bytes), 0);
    ck_assert_ptr_null(strchr(err.msg, '\n'));
}
END_TEST

START_TEST(symbols_of_long_lines_are_cut_and_make_no_lines_of_their_own)
{
    static char text[9000];
    int n = snprintf(text, sizeof text, "1000 T ");
    memset(text + n, 'x', 5000);
    memcpy(text + n + 1017, "\x20" "5000 T inside ", 15);
    snprintf(text + n + 5000, sizeof text - 5000 - (size_t)n, "\n2000 T two\n");
    ck_assert_int_eq(read_lines(text), 0);
    ck_assert_uint_eq(s.n, 2);
    expect(0x2000, "two", 0);
    uint64_t offset;
    ck_assert_uint_eq(strlen(symbols_find(&s, 0x1000, &offset)), 511);
}
END_TEST

/* They are shown on terminals, in JSON and in pages. */
START_TEST(symbols_are_printable)
{
    ck_assert_int_eq(read_lines("1000 T a\x1b[31m\xff\xc3z\n2000 T </script>&\"'\n"), 0);
    expect(0x1000, "a?[31m??z", 0);
    expect(0x2000, "</script>&\"'", 0);
}
END_TEST

START_TEST(symbols_of_what_cannot_be_read_are_an_error)
{
    ck_assert_int_lt(symbols_read(&s, "/nonexistent/vmlinux", &err), 0);
    ck_assert_str_eq(err.msg, "-symbols: open '/nonexistent/vmlinux': No such file or directory");
    err = (struct err){{0}};
    ck_assert_int_lt(symbols_read(&s, "/tmp", &err), 0);
    ck_assert_str_eq(err.msg, "-symbols: read '/tmp': Is a directory");
}
END_TEST

/* --- ELF --- */

static struct image {
    Elf64_Ehdr head;
    Elf64_Shdr sections[4]; /* null, code, symbols, names */
    Elf64_Sym symbols[5];
    char names[32];
} image;

static void make_image(void)
{
    image = (struct image){
        .head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                 .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_ehsize = sizeof image.head,
                 .e_shoff = offsetof(struct image, sections), .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 4},
        .sections = {[1] = {.sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = 0x1000, .sh_size = 0x2000},
                     [2] = {.sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct image, symbols), .sh_size = sizeof image.symbols,
                            .sh_entsize = sizeof(Elf64_Sym), .sh_link = 3},
                     [3] = {.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct image, names), .sh_size = sizeof image.names}},
        .symbols = {[1] = {.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1, .st_value = 0x1000},
                    [2] = {.st_name = 5, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), .st_shndx = 1, .st_value = 0x1800},
                    [3] = {.st_name = 10, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_shndx = 1, .st_value = 0x1900},
                    [4] = {.st_name = 15, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = SHN_UNDEF}},
        .names = "\0one\0asm_\0data\0undefined",
    };
}

START_TEST(symbols_of_elf_are_functions_and_labels_of_code)
{
    make_image();
    ck_assert_msg(read_bytes(&image, sizeof image) == 0, "%s", err.msg);
    ck_assert_uint_eq(s.n, 2);
    expect(0x17ff, "one", 0x7ff);
    expect(0x1900, "asm_", 0x100);
}
END_TEST

START_TEST(symbols_of_a_cut_elf_are_an_error_or_less)
{
    make_image();
    for (size_t len = 0; len < sizeof image; len++) {
        int rc = read_bytes(&image, len);
        ck_assert(rc < 0 ? !s.list && err.msg[0] : s.n <= 2);
    }
}
END_TEST

START_TEST(symbols_of_a_lying_elf_do_no_harm)
{
    static const uint64_t values[] = {0, 1, 3, 4, 0x7fffffff, 0xffffffff, 1ull << 63, UINT64_MAX, sizeof image};
    uint8_t bytes[sizeof image];
    for (size_t at = 0; at + 8 <= sizeof image; at += 2) {
        for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
            make_image();
            memcpy(bytes, &image, sizeof image);
            memcpy(bytes + at, &values[i], at % 8 ? 4 : 8);
            int rc = read_bytes(bytes, sizeof bytes);
            ck_assert(rc < 0 ? !s.list && err.msg[0] : s.n > 0);
        }
    }
}
END_TEST

START_TEST(symbols_of_a_stripped_elf_are_an_error_that_helps)
{
    make_image();
    image.sections[2].sh_type = SHT_NULL;
    ck_assert_int_lt(read_bytes(&image, sizeof image), 0);
    ck_assert_msg(strstr(err.msg, "not stripped") != NULL, "%s", err.msg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exits_symbols");
    TCase *t = tcase_create("exits_symbols");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, symbols_are_found_from_their_first_byte_on);
    tcase_add_test(t, symbols_move_with_the_guest);
    tcase_add_test(t, symbols_of_one_address_have_the_first_name);
    tcase_add_test(t, symbols_of_text_are_code_only);
    tcase_add_test(t, symbols_without_addresses_are_none);
    tcase_add_test(t, symbols_address_is_where_the_file_says);
    tcase_add_test(t, symbols_of_garbage_are_an_error);
    tcase_add_test(t, symbols_of_long_lines_are_cut_and_make_no_lines_of_their_own);
    tcase_add_test(t, symbols_are_printable);
    tcase_add_test(t, symbols_of_what_cannot_be_read_are_an_error);
    tcase_add_test(t, symbols_of_elf_are_functions_and_labels_of_code);
    tcase_add_test(t, symbols_of_a_cut_elf_are_an_error_or_less);
    tcase_add_test(t, symbols_of_a_lying_elf_do_no_harm);
    tcase_add_test(t, symbols_of_a_stripped_elf_are_an_error_that_helps);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
