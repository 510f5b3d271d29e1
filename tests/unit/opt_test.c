// SPDX-License-Identifier: MIT
//
// The option parser on tables of its own: spelling, values, keyed values, numbers, suggestions,
// generated texts.
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opt.h"
#include "tests/lib/suite.h"
#include "util.h"

enum colour { RED, GREEN };

struct target {
    bool flag, key_flag;
    const char *text, *file, *first;
    unsigned number;
    enum colour colour;
    char called[64];
};

static int remember(void *target, const char *value, struct err *err)
{
    struct target *t = target;
    if (value && !strcmp(value, "bad"))
        return err_set(err, EINVAL, "bad it is");
    snprintf(t->called, sizeof t->called, "%s", value ? value : "no value");
    return 0;
}

#define FIELD(f) offsetof(struct target, f)

static const struct opt_choice colours[] = {{"red", "like fire"}, {"green", "like grass"}, {0}};
static const struct opt_row key_rows[] = {
    {.name = "first", .metavar = "PATH", .kind = OPT_FILE, .offset = FIELD(first), .help = "One."},
    {.name = "flag", .kind = OPT_FLAG, .offset = FIELD(key_flag), .help = "Two."},
    {.name = "text", .metavar = "TEXT", .kind = OPT_TEXT, .max = 4, .offset = FIELD(text),
     .help = "Three."},
    {.name = "colour", .kind = OPT_CHOICE, .choices = colours, .offset = FIELD(colour),
     .help = "Four."},
    {0},
};
static const struct opt_keys always = {
    .what = "-k", .rows = key_rows, .first = "first", .first_always = true};
static const struct opt_keys sometimes = {.what = "-k", .rows = key_rows, .first = "first"};
static const struct opt_keys never = {.what = "-k", .rows = key_rows};
static const struct opt_keys *const shown_keys[] = {&always, NULL};

static const char *const groups[] = {"Group | one", NULL};
static const struct opt_row rows[] = {
    {.name = "flag", .kind = OPT_FLAG, .offset = FIELD(flag), .help = "A flag."},
    {.name = "text", .metavar = "TEXT", .kind = OPT_TEXT, .offset = FIELD(text), .help = "A text."},
    {.name = "file", .metavar = "FILE", .kind = OPT_FILE, .offset = FIELD(file), .help = "A-file."},
    {.name = "number", .metavar = "N", .kind = OPT_NUMBER, .min = 2, .max = 9,
     .offset = FIELD(number), .help = "A number."},
    {.name = "colour", .kind = OPT_CHOICE, .choices = colours, .offset = FIELD(colour),
     .help = "A colour."},
    {.name = "call", .metavar = "X", .kind = OPT_CALL, .parse = remember, .help = "A call.",
     .keys = shown_keys},
    {.name = "bare-call", .kind = OPT_CALL, .parse = remember, .help = "A call without value."},
    {.name = "accepted", .kind = OPT_ACCEPTED, .help = "Does nothing."},
    {.name = "secret", .kind = OPT_FLAG, .offset = FIELD(key_flag)},
    {0},
};
static const struct opt_table table = {.groups = groups, .rows = rows};

static struct target target;
static struct err err;
static struct opt_pool pool;

static void fresh(void)
{
    memset(&target, 0, sizeof target);
    memset(&err, 0, sizeof err);
}

static void clean(void)
{
    opt_pool_free(&pool);
}

#define PARSE(...)                                                                                \
    parse_argv((char *[]){"prog", __VA_ARGS__, NULL})

static int parse_argv(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    fresh();
    return opt_parse(&table, &target, argc, argv, &err);
}

static int parse_keys(const struct opt_keys *keys, const char *text)
{
    fresh();
    return opt_parse_keys(keys, &target, text, &pool, &err);
}

START_TEST(one_dash_and_two_dashes_are_the_same)
{
    ck_assert_int_eq(PARSE("-flag", "--text", "x"), 0);
    ck_assert(target.flag);
    ck_assert_str_eq(target.text, "x");
}
END_TEST

START_TEST(three_dashes_are_unknown)
{
    ck_assert_int_eq(PARSE("---flag"), -EINVAL);
}
END_TEST

START_TEST(value_is_taken_even_if_it_looks_like_an_option)
{
    ck_assert_int_eq(PARSE("-text", "-flag"), 0);
    ck_assert_str_eq(target.text, "-flag");
    ck_assert(!target.flag);
}
END_TEST

START_TEST(last_value_wins)
{
    ck_assert_int_eq(PARSE("-number", "3", "-number", "4"), 0);
    ck_assert_uint_eq(target.number, 4);
}
END_TEST

START_TEST(number_outside_its_range_is_refused_with_the_range)
{
    ck_assert_int_eq(PARSE("-number", "2"), 0);
    ck_assert_int_eq(PARSE("-number", "9"), 0);
    ck_assert_int_eq(PARSE("-number", "1"), -EINVAL);
    ck_assert_int_eq(PARSE("-number", "10"), -EINVAL);
    ck_assert_str_eq(err.msg, "-number: '10' is not a whole number from 2 to 9");
    ck_assert_int_eq(PARSE("-number", "4294967300"), -EINVAL);
    ck_assert_int_eq(PARSE("-number", "18446744073709551620"), -EINVAL);
}
END_TEST

START_TEST(choice_stores_the_index_and_lists_what_it_knows)
{
    ck_assert_int_eq(PARSE("-colour", "green"), 0);
    ck_assert_int_eq(target.colour, GREEN);
    ck_assert_int_eq(PARSE("-colour", "greenish"), -EINVAL);
    ck_assert_str_eq(err.msg, "-colour: unknown value 'greenish' (known: red|green)");
}
END_TEST

START_TEST(help_as_a_choice_stops)
{
    ck_assert_int_eq(PARSE("-colour", "help", "-bogus"), OPT_STOP);
    ck_assert_int_eq(target.colour, RED);
}
END_TEST

START_TEST(empty_file_name_is_refused_but_empty_text_is_not)
{
    ck_assert_int_eq(PARSE("-text", ""), 0);
    ck_assert_str_eq(target.text, "");
    ck_assert_int_eq(PARSE("-file", ""), -EINVAL);
}
END_TEST

START_TEST(call_gets_its_value_and_its_error_is_kept)
{
    ck_assert_int_eq(PARSE("-call", "v"), 0);
    ck_assert_str_eq(target.called, "v");
    ck_assert_int_eq(PARSE("-bare-call"), 0);
    ck_assert_str_eq(target.called, "no value");
    ck_assert_int_eq(PARSE("-call", "bad", "-text"), -EINVAL);
    ck_assert_str_eq(err.msg, "bad it is");
}
END_TEST

START_TEST(missing_value_shows_what_belongs_there)
{
    ck_assert_int_eq(PARSE("-flag", "-colour"), -EINVAL);
    ck_assert_str_eq(err.msg, "-colour needs a value: -colour red|green");
}
END_TEST

START_TEST(no_arguments_change_nothing)
{
    struct target nothing = {0};
    char *argv[] = {"prog", NULL};
    ck_assert_int_eq(parse_argv(argv), 0);
    ck_assert_mem_eq(&target, &nothing, sizeof nothing);
    ck_assert_int_eq(opt_parse(&table, &target, 0, argv + 1, &err), 0);
}
END_TEST

START_TEST(value_after_an_equals_sign_is_explained)
{
    ck_assert_int_eq(PARSE("-text=x"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "-text x"));
}
END_TEST

START_TEST(nearest_option_is_suggested_for_small_errors_only)
{
    ck_assert_str_eq(opt_nearest(rows, "flg"), "flag");
    ck_assert_str_eq(opt_nearest(rows, "fiel"), "file");
    ck_assert_str_eq(opt_nearest(rows, "ttext"), "text");
    ck_assert_str_eq(opt_nearest(rows, "bare"), "bare-call");
    ck_assert_ptr_null(opt_nearest(rows, "zzzz"));
    ck_assert_ptr_null(opt_nearest(rows, ""));
    ck_assert_ptr_null(opt_nearest(rows, "x"));
}
END_TEST

START_TEST(hidden_option_is_never_suggested)
{
    ck_assert_ptr_null(opt_nearest(rows, "secre"));
}
END_TEST

START_TEST(very_long_word_is_no_trouble_for_suggestions)
{
    char word[1000];
    memset(word, 'f', sizeof word);
    word[sizeof word - 1] = '\0';
    ck_assert_ptr_null(opt_nearest(rows, word));
}
END_TEST

START_TEST(keys_set_their_fields)
{
    ck_assert_int_eq(parse_keys(&always, "a,flag,text=t,colour=green"), 0);
    ck_assert_str_eq(target.first, "a");
    ck_assert(target.key_flag);
    ck_assert_str_eq(target.text, "t");
    ck_assert_int_eq(target.colour, GREEN);
}
END_TEST

START_TEST(flag_key_takes_on_and_off)
{
    ck_assert_int_eq(parse_keys(&never, "flag=on"), 0);
    ck_assert(target.key_flag);
    ck_assert_int_eq(parse_keys(&never, "flag,flag=off"), 0);
    ck_assert(!target.key_flag);
    ck_assert_int_eq(parse_keys(&never, "flag=1"), -EINVAL);
    ck_assert_int_eq(parse_keys(&never, "flag="), -EINVAL);
}
END_TEST

START_TEST(double_comma_is_a_comma)
{
    ck_assert_int_eq(parse_keys(&always, "a,,b,,,text=c,,d"), 0);
    ck_assert_str_eq(target.first, "a,b,");
    ck_assert_str_eq(target.text, "c,d");
    ck_assert_int_eq(parse_keys(&always, ",,"), 0);
    ck_assert_str_eq(target.first, ",");
    ck_assert_int_eq(parse_keys(&always, ",,,,"), 0);
    ck_assert_str_eq(target.first, ",,");
}
END_TEST

START_TEST(single_trailing_comma_is_an_error)
{
    ck_assert_int_eq(parse_keys(&always, "a,"), -EINVAL);
    ck_assert_int_eq(parse_keys(&always, "a,,,"), -EINVAL);
}
END_TEST

START_TEST(first_word_with_equals_is_a_key_unless_always_a_value)
{
    ck_assert_int_eq(parse_keys(&sometimes, "text=x"), 0);
    ck_assert_str_eq(target.text, "x");
    ck_assert_int_eq(parse_keys(&sometimes, "first=x"), 0);
    ck_assert_str_eq(target.first, "x");
    ck_assert_int_eq(parse_keys(&always, "text=x"), 0);
    ck_assert_str_eq(target.first, "text=x");
    ck_assert_ptr_null(target.text);
    ck_assert_int_eq(parse_keys(&never, "x"), -EINVAL);
}
END_TEST

START_TEST(only_the_first_word_stands_without_its_key)
{
    ck_assert_int_eq(parse_keys(&sometimes, "flag,x"), -EINVAL);
    ck_assert_int_eq(parse_keys(&always, "a,b"), -EINVAL);
    ck_assert_str_eq(err.msg, "-k: unknown key 'b' (known: flag, text, colour)");
}
END_TEST

START_TEST(word_that_is_always_first_has_no_name)
{
    ck_assert_int_eq(parse_keys(&always, "a,first=b"), -EINVAL);
}
END_TEST

START_TEST(empty_value_reaches_the_first_key_if_there_is_one)
{
    ck_assert_int_eq(parse_keys(&always, ""), -EINVAL);
    ck_assert_str_eq(err.msg, "-k: the file name is empty");
    ck_assert_int_eq(parse_keys(&never, ""), -EINVAL);
}
END_TEST

START_TEST(key_without_value_is_refused)
{
    ck_assert_int_eq(parse_keys(&always, "a,text"), -EINVAL);
    ck_assert_str_eq(err.msg, "-k text needs a value: text=TEXT");
}
END_TEST

START_TEST(value_may_hold_equals_signs)
{
    ck_assert_int_eq(parse_keys(&never, "text=a=b"), 0);
    ck_assert_str_eq(target.text, "a=b");
}
END_TEST

START_TEST(text_longer_than_its_limit_is_refused)
{
    ck_assert_int_eq(parse_keys(&never, "text=abcd"), 0);
    ck_assert_int_eq(parse_keys(&never, "text=abcde"), -EINVAL);
}
END_TEST

START_TEST(help_as_a_key_stops)
{
    ck_assert_int_eq(parse_keys(&always, "help"), OPT_STOP);
    ck_assert_int_eq(parse_keys(&always, "a,help"), OPT_STOP);
    ck_assert_int_eq(parse_keys(&never, "colour=help"), OPT_STOP);
}
END_TEST

START_TEST(numbers_are_decimal_or_hexadecimal_and_whole)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0}, {"007", 7}, {"0xF4", 0xf4}, {"0Xf4", 0xf4},
                {"18446744073709551615", UINT64_MAX}, {"0xffffffffffffffff", UINT64_MAX}};
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1.0", "0x", "x1", "1e3", "f4",
                                      "18446744073709551616", "0x10000000000000000"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t v = 1;
        ck_assert_msg(opt_number(good[i].text, &v), "%s", good[i].text);
        ck_assert_uint_eq(v, good[i].value);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t v;
        ck_assert_msg(!opt_number(bad[i], &v), "%s", bad[i]);
    }
}
END_TEST

START_TEST(sizes_take_suffixes_and_never_wrap)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1", MIB(1)}, {"3K", KIB(3)}, {"3k", KIB(3)}, {"2m", MIB(2)}, {"5G", GIB(5)},
                {"1T", GIB(1024)}, {"0", 0}, {"16777215T", 16777215ull << 40},
                {"17592186044415", MIB(17592186044415ull)}};
    static const char *const bad[] = {"", "K", "1KB", "1P", "1.5G", "-1", "16777216T",
                                      "17592186044416", "99999999999999999999K", "1 K"};
    uint64_t bytes;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        fresh();
        ck_assert_msg(!opt_size("x", good[i].text, MIB(1), &bytes, &err), "%s", good[i].text);
        ck_assert_uint_eq(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fresh();
        ck_assert_msg(opt_size("x", bad[i], MIB(1), &bytes, &err) == -EINVAL, "%s", bad[i]);
    }
}
END_TEST

START_TEST(quoted_text_is_one_line_and_short)
{
    char text[200];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert_str_eq(OPT_QUOTE("a\nb\tc\177"), "a?b?c?");
    ck_assert_str_eq(OPT_QUOTE("\xc3\xa9"), "\xc3\xa9");
    const char *q = OPT_QUOTE(text);
    ck_assert_uint_lt(strlen(q), sizeof(struct opt_quoted));
    ck_assert_str_eq(q + strlen(q) - 4, "a...");
    text[80] = '\0';
    ck_assert_str_eq(OPT_QUOTE(text), text);
}
END_TEST

START_TEST(cut_does_not_fall_inside_a_character)
{
    char text[200];
    memset(text, 'a', sizeof text);
    memcpy(text + 79, "\xc3\xa9xxxx", 7);
    const char *q = OPT_QUOTE(text);
    ck_assert_str_eq(q + 78, "a...");
}
END_TEST

/* What a print function writes. */
static char *printed(void (*print)(const struct opt_table *, FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(f);
    print(&table, f);
    fclose(f);
    return text;
}

START_TEST(every_visible_row_is_in_every_text_and_no_hidden_one)
{
    void (*const prints[])(const struct opt_table *, FILE *) = {opt_print_help, opt_print_man,
                                                                opt_print_markdown};
    for (size_t i = 0; i < ARRAY_LEN(prints); i++) {
        char *text = printed(prints[i]);
        for (const struct opt_row *row = rows; row->name; row++) {
            /* the manual page has its dashes escaped */
            const char *found = strstr(text, !strcmp(row->name, "bare-call") ? "bare" : row->name);
            ck_assert_msg(!found == !row->help, "%s in text %zu", row->name, i);
        }
        free(text);
    }
}
END_TEST

START_TEST(help_fits_a_terminal)
{
    char *text = printed(opt_print_help);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_uint_le(strlen(line), 80);
    free(text);
}
END_TEST

START_TEST(man_text_escapes_dashes_and_markdown_escapes_bars)
{
    char *man = printed(opt_print_man), *md = printed(opt_print_markdown);
    ck_assert_ptr_nonnull(strstr(man, "A\\-file."));
    ck_assert_ptr_nonnull(strstr(md, "red\\|green"));
    free(man);
    free(md);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        one_dash_and_two_dashes_are_the_same,
        three_dashes_are_unknown,
        value_is_taken_even_if_it_looks_like_an_option,
        last_value_wins,
        number_outside_its_range_is_refused_with_the_range,
        choice_stores_the_index_and_lists_what_it_knows,
        help_as_a_choice_stops,
        empty_file_name_is_refused_but_empty_text_is_not,
        call_gets_its_value_and_its_error_is_kept,
        missing_value_shows_what_belongs_there,
        no_arguments_change_nothing,
        value_after_an_equals_sign_is_explained,
        nearest_option_is_suggested_for_small_errors_only,
        hidden_option_is_never_suggested,
        very_long_word_is_no_trouble_for_suggestions,
        keys_set_their_fields,
        flag_key_takes_on_and_off,
        double_comma_is_a_comma,
        single_trailing_comma_is_an_error,
        first_word_with_equals_is_a_key_unless_always_a_value,
        only_the_first_word_stands_without_its_key,
        word_that_is_always_first_has_no_name,
        empty_value_reaches_the_first_key_if_there_is_one,
        key_without_value_is_refused,
        value_may_hold_equals_signs,
        text_longer_than_its_limit_is_refused,
        help_as_a_key_stops,
        numbers_are_decimal_or_hexadecimal_and_whole,
        sizes_take_suffixes_and_never_wrap,
        quoted_text_is_one_line_and_short,
        cut_does_not_fall_inside_a_character,
        every_visible_row_is_in_every_text_and_no_hidden_one,
        help_fits_a_terminal,
        man_text_escapes_dashes_and_markdown_escapes_bars,
    };
    return suite_run_tests("opt", fresh, clean, tests, ARRAY_LEN(tests));
}
