// SPDX-License-Identifier: MIT
//
// What -result and -junit write: last lines, clean text, both forms, and files that are complete or
// not there.
#include "src/result/result.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/outfile.h"
#include "tests/lib/suite.h"
#include "util.h"

static char dir[64];
static struct tail tail;

static void setup(void)
{
    strcpy(dir, "/tmp/minivmm-result-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    memset(&tail, 0, sizeof tail);
}

static void teardown(void)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "chmod -R u+rwx %s; rm -rf %s", dir, dir);
    ck_assert_int_eq(system(cmd), 0);
}

static const char *in_dir(const char *name)
{
    static char path[2][256];
    static unsigned i;
    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", dir, name);
    return path[i];
}

static void put(const char *text)
{
    tail_put(&tail, (const uint8_t *)text, strlen(text));
}

/* --- last lines --- */

START_TEST(tail_splits_lines_however_they_come)
{
    static const char text[] = "one\r\ntwo\n\nthree\r\r\nfour";
    for (const char *p = text; *p; p++)
        tail_put(&tail, (const uint8_t *)p, 1);
    static const char *const want[] = {"one", "two", "", "three", "four"};
    ck_assert_uint_eq(tail_count(&tail), 5);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(tail_get(&tail, i)->len, strlen(want[i]));
        ck_assert_mem_eq(tail_get(&tail, i)->text, want[i], strlen(want[i]));
    }
}
END_TEST

START_TEST(tail_keeps_the_last_lines)
{
    char line[32];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(line, sizeof line, "line %u\n", i);
        put(line);
    }
    ck_assert_uint_eq(tail_count(&tail), TAIL_LINES);
    ck_assert_mem_eq(tail_get(&tail, 0)->text, "line 950", 8);
    ck_assert_mem_eq(tail_get(&tail, TAIL_LINES - 1)->text, "line 999", 8);
}
END_TEST

START_TEST(tail_cuts_a_line_without_end)
{
    for (unsigned i = 0; i < 5000; i++)
        put("0123456789");
    put("\nnext");
    ck_assert_uint_eq(tail_count(&tail), 2);
    ck_assert_uint_eq(tail_get(&tail, 0)->len, TAIL_LINE_BYTES);
    ck_assert_mem_eq(tail_get(&tail, 1)->text, "next", 4);
}
END_TEST

/* --- text --- */

#define R "\xef\xbf\xbd"

START_TEST(text_is_utf8_whatever_it_was)
{
    static const struct {
        const char *in, *out;
        size_t len;
    } rows[] = {
        {"plain", "plain", 5},
        {"a\0b", "a" R "b", 3},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"\xff\xfe", R R, 2},
        {"\xc0\x80", R R, 2},                     /* not the shortest form */
        {"\xe0\x80\x80", R R R, 3},
        {"\xed\xa0\x80", R R R, 3},               /* a surrogate */
        {"\xf4\x90\x80\x80", R R R R, 4},         /* beyond Unicode */
        {"\xf8\x88\x80\x80\x80", R R R R R, 5},
        {"\xe2\x82", R R, 2},                     /* cut off */
        {"\xe2\x28\xa1", R "(" R, 3},
        {"\x80", R, 1},
        {"\x1b[31m\x01\x7f", "\x1b[31m\x01\x7f", 7},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char *clean = text_clean(rows[i].in, rows[i].len, 0);
        ck_assert_str_eq(clean, rows[i].out);
        free(clean);
    }
}
END_TEST

START_TEST(text_for_xml_has_no_control_characters)
{
    char *clean = text_clean("\x1b[31m\x01\t\xef\xbf\xbf\xef\xbf\xbeok", 15, 1);
    ck_assert_str_eq(clean, R "[31m" R "\t" R R "ok");
    free(clean);
}
END_TEST

/* --- JSON --- */

static json_t *parse(const struct result *r)
{
    json_error_t e;
    char *text = result_json(r);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    ck_assert_msg(o, "%s in %s", e.text, text);
    free(text);
    return o;
}

static const char *string_at(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

START_TEST(json_has_every_key_every_time)
{
    static const char *const keys[] = {
        "schema", "cause", "status", "guest_status", "signal", "message", "engine", "started",
        "ended", "wall_s", "guest_time_s", "cpu_s", "restarts", "panics", "watchdogs", "exits",
        "console"};
    for (unsigned cause = STOP_POWEROFF; cause < STOP_CAUSES; cause++) {
        struct result r = {.cause = cause, .code = 9};
        json_t *o = parse(&r);
        ck_assert_uint_eq(json_object_size(o), ARRAY_LEN(keys));
        for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
            ck_assert_ptr_nonnull(json_object_get(o, keys[i]));
        ck_assert_str_eq(string_at(o, "cause"), stop_name(cause));
        ck_assert_int_eq(json_is_null(json_object_get(o, "signal")), cause != STOP_SIGNAL);
        json_decref(o);
    }
}
END_TEST

START_TEST(json_tells_numbers_and_times)
{
    struct result r = {
        .cause = STOP_DEBUG_EXIT, .code = 16, .status = 33, .has_guest_status = true,
        .guest_status = 16, .engine = "interp", .message = "a \"line\"\n\xff", .wall_ns = 1500000000,
        .cpu_ns = 250000000, .guest_ns = NS_PER_S, .started_s = 0, .ended_s = 86400, .restarts = 2};
    r.exits[EXIT_PIO] = 5;
    r.exits[EXIT_MMIO] = 7;
    json_t *o = parse(&r);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "schema")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "guest_status")), 16);
    ck_assert_str_eq(string_at(o, "message"), "a \"line\"\n" R);
    ck_assert_str_eq(string_at(o, "started"), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(string_at(o, "ended"), "1970-01-02T00:00:00Z");
    ck_assert(json_real_value(json_object_get(o, "wall_s")) == 1.5);
    ck_assert(json_real_value(json_object_get(o, "cpu_s")) == 0.25);
    ck_assert(json_real_value(json_object_get(o, "guest_time_s")) == 1.0);
    json_t *exits = json_object_get(o, "exits");
    ck_assert_int_eq(json_integer_value(json_object_get(exits, "pio")), 5);
    ck_assert_int_eq(json_integer_value(json_object_get(exits, "total")), 12);
    json_decref(o);
}
END_TEST

START_TEST(json_and_xml_survive_any_console)
{
    srandom(7);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 3000; i++) {
            uint8_t byte = (uint8_t)random();
            tail_put(&tail, &byte, 1);
        }
        struct result r = {.cause = STOP_PANIC, .status = 240, .tail = &tail};
        struct config cfg = {.kernel = "k"};
        json_t *o = parse(&r);
        ck_assert_uint_eq(json_array_size(json_object_get(o, "console")), tail_count(&tail));
        json_decref(o);
        char *xml = result_junit(&r, &cfg);
        unsigned bad = 0;
        for (const char *p = xml; *p; p++)
            bad += (unsigned char)*p < 0x20 && *p != '\n';
        ck_assert_uint_eq(bad, 0);
        char *clean = text_clean(xml, strlen(xml), 1);
        ck_assert_str_eq(xml, clean); /* is UTF-8 */
        free(clean);
        free(xml);
    }
}
END_TEST

/* --- JUnit --- */

START_TEST(junit_verdicts)
{
    static const struct {
        enum stop_cause cause;
        int status;
        unsigned pass;
        const char *says, *element;
    } rows[] = {
        {STOP_POWEROFF, 0, 0, "failures=\"0\" errors=\"0\" skipped=\"0\"", NULL},
        {STOP_RESET, 0, 0, "failures=\"0\" errors=\"0\" skipped=\"0\"", NULL},
        {STOP_DEBUG_EXIT, 33, 33, "failures=\"0\" errors=\"0\" skipped=\"0\"", NULL},
        {STOP_DEBUG_EXIT, 33, 0, "failures=\"1\"", "<failure type=\"debug-exit\""},
        {STOP_DEBUG_EXIT, 35, 33, "failures=\"1\"", "<failure type=\"debug-exit\""},
        {STOP_PANIC, 240, 33, "failures=\"1\"", "<failure type=\"panic\""},
        {STOP_TIMEOUT, 124, 0, "failures=\"1\"", "<failure type=\"timeout\""},
        {STOP_ERROR, 1, 0, "errors=\"1\"", "<error type=\"error\""},
        {STOP_ENGINE, 244, 0, "errors=\"1\"", "<error type=\"engine-failure\""},
        {STOP_QUIT, 0, 0, "skipped=\"1\"", "<skipped message="},
        {STOP_SIGNAL, 143, 0, "skipped=\"1\"", "<skipped message="},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct result r = {.cause = rows[i].cause, .status = rows[i].status};
        struct config cfg = {.kernel = "/boot/a<b>", .junit_pass = rows[i].pass};
        char *xml = result_junit(&r, &cfg);
        ck_assert_msg(strstr(xml, rows[i].says), "%s", xml);
        ck_assert(strstr(xml, "name=\"a&lt;b&gt;\""));
        if (rows[i].element)
            ck_assert_msg(strstr(xml, rows[i].element), "%s", xml);
        else
            ck_assert(!strstr(xml, "<failure") && !strstr(xml, "<error") && !strstr(xml, "<skipped"));
        free(xml);
    }
}
END_TEST

START_TEST(junit_escapes_what_the_guest_wrote)
{
    put("]]></system-out><evil a=\"&\">\n");
    struct result r = {.cause = STOP_PANIC, .status = 240, .tail = &tail,
                       .message = "a \"quoted\" <line>\nmore"};
    struct config cfg = {.name = "x & y"};
    char *xml = result_junit(&r, &cfg);
    ck_assert(strstr(xml, "]]&gt;&lt;/system-out&gt;&lt;evil a=&quot;&amp;&quot;&gt;\n"));
    ck_assert(strstr(xml, "message=\"a &quot;quoted&quot; &lt;line&gt;&#10;more\""));
    ck_assert(strstr(xml, "name=\"x &amp; y\""));
    free(xml);
}
END_TEST

/* --- files --- */

static void check_content(const char *path, const char *want)
{
    char buf[256];
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
    fclose(f);
    ck_assert_str_eq(buf, want);
}

static unsigned count_files(void)
{
    char cmd[256];
    unsigned n = 0;
    snprintf(cmd, sizeof cmd, "ls -A %s | wc -l", dir);
    FILE *p = popen(cmd, "r");
    ck_assert_int_eq(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

START_TEST(outfile_is_the_old_one_until_it_is_the_new_one)
{
    struct outfile f;
    struct err err = {{0}};
    FILE *old = fopen(in_dir("r"), "w");
    fputs("old", old);
    fclose(old);
    ck_assert_int_eq(outfile_open(&f, "-result", in_dir("r"), &err), 0);
    check_content(in_dir("r"), "old");
    ck_assert_int_eq(outfile_commit(&f, "new", 3), 0);
    check_content(in_dir("r"), "new");
    ck_assert_uint_eq(count_files(), 1);
    umask(027);
    ck_assert_int_eq(outfile_open(&f, "-result", in_dir("r2"), &err), 0);
    outfile_commit(&f, "x", 1);
    struct stat st;
    ck_assert_int_eq(stat(in_dir("r2"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(outfile_abandoned_leaves_no_trace)
{
    struct outfile f;
    struct err err = {{0}};
    ck_assert_int_eq(outfile_open(&f, "-result", in_dir("r"), &err), 0);
    outfile_abandon(&f);
    outfile_abandon(&f);
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

START_TEST(outfile_of_a_process_that_was_killed_leaves_no_trace)
{
    struct outfile f;
    struct err err = {{0}};
    int fd = open(dir, O_TMPFILE | O_WRONLY, 0600);
    if (fd < 0)
        return; /* no files without a name on this file system */
    close(fd);
    pid_t pid = fork();
    if (!pid)
        _exit(outfile_open(&f, "-result", in_dir("r"), &err) != 0);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

START_TEST(outfile_without_unnamed_files_is_written_all_the_same)
{
    struct outfile f;
    struct err err = {{0}};
    char taken[300];
    snprintf(taken, sizeof taken, "%s.%d", in_dir("r"), getpid()); /* the name that it would get */
    ck_assert_int_eq(close(open(taken, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    ck_assert_int_eq(outfile_open(&f, "-result", in_dir("r"), &err), 0);
    ck_assert_uint_eq(count_files(), 2);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), 0);
    check_content(in_dir("r"), "x");
    ck_assert_uint_eq(count_files(), 2);
}
END_TEST

START_TEST(outfile_errors_come_early)
{
    struct outfile f;
    struct err err = {{0}};
    char name[PATH_MAX + 10];
    ck_assert_int_eq(outfile_open(&f, "-result", in_dir("no/such"), &err), -ENOENT);
    ck_assert_msg(strstr(err.msg, "-result: create a file beside"), "%s", err.msg);
    err.msg[0] = 0;
    ck_assert_int_eq(outfile_open(&f, "-result", dir, &err), -EISDIR);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    ck_assert_int_lt(outfile_open(&f, "-result", name, &err), 0);
}
END_TEST

START_TEST(outfile_keeps_symbolic_links_and_devices)
{
    struct outfile f;
    struct err err = {{0}};
    struct stat st;
    ck_assert_int_eq(symlink("target", in_dir("link")), 0);
    FILE *old = fopen(in_dir("target"), "w");
    fclose(old);
    ck_assert_int_eq(outfile_open(&f, "-result", in_dir("link"), &err), 0);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), 0);
    ck_assert_int_eq(lstat(in_dir("link"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    check_content(in_dir("target"), "x");
    ck_assert_int_eq(outfile_open(&f, "-result", "/dev/null", &err), 0);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), 0);
    ck_assert_int_eq(stat("/dev/null", &st), 0);
    ck_assert(S_ISCHR(st.st_mode));
    ck_assert_int_eq(outfile_open(&f, "-result", "/dev/full", &err), 0);
    ck_assert_int_eq(outfile_commit(&f, "x", 1), -ENOSPC);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("result");
    TCase *tc = tcase_create("result");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tail_splits_lines_however_they_come);
    tcase_add_test(tc, tail_keeps_the_last_lines);
    tcase_add_test(tc, tail_cuts_a_line_without_end);
    tcase_add_test(tc, text_is_utf8_whatever_it_was);
    tcase_add_test(tc, text_for_xml_has_no_control_characters);
    tcase_add_test(tc, json_has_every_key_every_time);
    tcase_add_test(tc, json_tells_numbers_and_times);
    tcase_add_test(tc, json_and_xml_survive_any_console);
    tcase_add_test(tc, junit_verdicts);
    tcase_add_test(tc, junit_escapes_what_the_guest_wrote);
    tcase_add_test(tc, outfile_is_the_old_one_until_it_is_the_new_one);
    tcase_add_test(tc, outfile_abandoned_leaves_no_trace);
    tcase_add_test(tc, outfile_of_a_process_that_was_killed_leaves_no_trace);
    tcase_add_test(tc, outfile_without_unnamed_files_is_written_all_the_same);
    tcase_add_test(tc, outfile_errors_come_early);
    tcase_add_test(tc, outfile_keeps_symbolic_links_and_devices);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
