// SPDX-License-Identifier: MIT
//
// The initramfs writer against a reader of its own, and what goes into minivmm's initramfs.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/initramfs.h"
#include "tests/lib/suite.h"
#include "util.h"

struct entry {
    const char *name;
    unsigned mode;
    const uint8_t *data;
    size_t len;
};

static unsigned field(const uint8_t *header, unsigned i)
{
    char text[9] = {0};
    memcpy(text, header + 6 + 8 * i, 8);
    return (unsigned)strtoul(text, NULL, 16);
}

/* The entry at *at; false at the trailer. */
static bool next_entry(const struct cpio *cpio, size_t *at, struct entry *entry)
{
    const uint8_t *header = cpio->data + *at;
    ck_assert(range_fits(*at, 110, cpio->len));
    ck_assert_mem_eq(header, "070701", 6);
    size_t name_len = field(header, 11), data_at = align_up(*at + 110 + name_len, 4);
    *entry = (struct entry){
        .name = (const char *)header + 110,
        .mode = field(header, 1),
        .data = cpio->data + data_at,
        .len = field(header, 6),
    };
    ck_assert(range_fits(data_at, entry->len, cpio->len));
    ck_assert_uint_eq(strlen(entry->name) + 1, name_len);
    *at = align_up(data_at + entry->len, 4);
    return strcmp(entry->name, "TRAILER!!!");
}

START_TEST(files_come_back_as_they_went_in)
{
    struct cpio cpio = {0};
    struct err err = {0};
    struct entry entry;
    static const char *const texts[] = {"", "1", "22", "333", "4444", "55555"};
    cpio_add_dir(&cpio, "d", 0755);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        char name[16];
        snprintf(name, sizeof name, "d/%.*s", (int)i + 1, "abcdefgh");
        cpio_add_file(&cpio, name, 0640, texts[i], strlen(texts[i]));
    }
    ck_assert_int_eq(cpio_finish(&cpio, &err), 0);
    size_t at = 0;
    ck_assert(next_entry(&cpio, &at, &entry));
    ck_assert_uint_eq(entry.mode, S_IFDIR | 0755);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        ck_assert(next_entry(&cpio, &at, &entry));
        ck_assert_uint_eq(strlen(entry.name), 3 + i);
        ck_assert_uint_eq(entry.mode, S_IFREG | 0640);
        ck_assert_uint_eq(entry.len, strlen(texts[i]));
        ck_assert_mem_eq(entry.data, texts[i], entry.len);
    }
    ck_assert(!next_entry(&cpio, &at, &entry));
    ck_assert_uint_eq(at, cpio.len);
    free(cpio.data);
}
END_TEST

START_TEST(name_that_is_too_long_is_one_error_at_the_end)
{
    struct cpio cpio = {0};
    struct err err = {0};
    char *name = malloc(10000);
    memset(name, 'n', 9999);
    name[9999] = '\0';
    cpio_add_file(&cpio, name, 0644, "", 0);
    cpio_add_file(&cpio, "ok", 0644, "", 0);
    ck_assert_int_lt(cpio_finish(&cpio, &err), 0);
    ck_assert_str_ne(err.msg, "");
    free(name);
    free(cpio.data);
}
END_TEST

START_TEST(initramfs_has_init_modules_in_order_and_words)
{
    struct cpio cpio = {0};
    struct err err = {0};
    struct init_words words = {0};
    static uint8_t one[] = "first", two[] = "second";
    struct module_set *set = calloc(1, sizeof *set);
    set->count = 2;
    set->image[0] = (struct module_image){.name = "b", .data = one, .len = sizeof one};
    set->image[1] = (struct module_image){.name = "a", .data = two, .len = sizeof two};
    init_words_add(&words, "mode", "root");
    init_words_add(&words, "arg", "with\nnewline");
    ck_assert_int_eq(initramfs_make(&cpio, set, &words, &err), 0);
    struct entry entry;
    bool init = false, told = false;
    for (size_t at = 0; next_entry(&cpio, &at, &entry);) {
        if (!strcmp(entry.name, "init")) {
            init = true;
            ck_assert_uint_eq(entry.mode, S_IFREG | 0755);
            ck_assert_mem_eq(entry.data, "\177ELF", 4);
        } else if (!strcmp(entry.name, "minivmm/words")) {
            static const char want[] =
                "module=/minivmm/b.ko\0module=/minivmm/a.ko\0mode=root\0arg=with\nnewline";
            told = true;
            ck_assert_uint_eq(entry.len, sizeof want);
            ck_assert_mem_eq(entry.data, want, sizeof want);
        } else if (!strcmp(entry.name, "minivmm/a.ko")) {
            ck_assert_mem_eq(entry.data, two, sizeof two);
        }
    }
    ck_assert(init && told);
    init_words_free(&words);
    free(set);
    free(cpio.data);
}
END_TEST

START_TEST(init_is_small)
{
    ck_assert_int_lt(init_image_end - init_image, 40 << 10);
}
END_TEST

START_TEST(words_beyond_what_init_takes_are_refused)
{
    struct cpio cpio = {0};
    struct err err = {0};
    struct init_words words = {0};
    char *value = malloc(INIT_WORDS_MAX);
    memset(value, 'v', INIT_WORDS_MAX - 1);
    value[INIT_WORDS_MAX - 1] = '\0';
    init_words_add(&words, "arg", value);
    ck_assert_int_lt(initramfs_make(&cpio, NULL, &words, &err), 0);
    init_words_free(&words);
    free(value);
    free(cpio.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpio");
    TCase *tc = tcase_create("initramfs");
    tcase_add_test(tc, files_come_back_as_they_went_in);
    tcase_add_test(tc, name_that_is_too_long_is_one_error_at_the_end);
    tcase_add_test(tc, initramfs_has_init_modules_in_order_and_words);
    tcase_add_test(tc, init_is_small);
    tcase_add_test(tc, words_beyond_what_init_takes_are_refused);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
