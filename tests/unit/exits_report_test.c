// SPDX-License-Identifier: MIT
//
// The report that is made of several vCPUs' profiles, and its three forms. The machine is a made-up one with two vCPUs that share code.
#include "src/exits/report.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "src/exits/exits.h"
#include "src/vm/vm.h"
#include "util.h"

static unsigned count_something(struct vcpu *v, struct accel_counter *out, unsigned most)
{
    ck_assert_uint_ge(most, 2);
    out[0] = (struct accel_counter){"of both", 5};
    out[1] = (struct accel_counter){"of one", 1};
    return v->id ? 1 : 2;
}

static const struct accel_ops ops = {.name = "made-up", .counters = count_something};
static struct vm vm;
static struct exits exits;
static struct profile profiles[2];
static struct vcpu vcpus[2];
static struct region com1 = {.name = "com1", .base = 0x3f8, .len = 8, .reads = 20, .writes = 300};
static struct region moved = {.name = "moved bar", .base = 0xc0000000, .len = 4096, .writes = 7};
static struct exit_report r;

static void look(unsigned vcpu, enum exit_kind kind, const struct region *region, uint64_t rip, bool write, uint64_t at, uint64_t ns)
{
    struct vm_exit exit = {.kind = kind};
    struct profile_look look = {.kind = kind, .pace = profile_pace(&exit), .region = region, .rip = rip, .write = write,
                                .begin_ns = exits.start_ns + at, .end_ns = exits.start_ns + at + ns};
    vcpus[vcpu].exits[kind]++;
    profiles[vcpu].paces[look.pace].weight = 1; /* it stands for itself */
    profile_add(&profiles[vcpu], &look);
}

static void setup(void)
{
    struct err err = {0};
    vm = (struct vm){.accel = {.ops = &ops, .nvcpus = 2}, .vcpus = vcpus, .exits = &exits};
    pthread_mutex_init(&vm.lock, NULL);
    bus_init(&vm.pio, "pio", 65536);
    bus_init(&vm.mmio, "mmio", 0);
    ck_assert_int_eq(bus_add(&vm.pio, &com1, &err), 0);
    exits = (struct exits){.profiles = profiles, .nprofiles = 2, .start_ns = exits_now_ns() - NS_PER_S};
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i] = (struct vcpu){.id = i, .accel = &vm.accel};
        ck_assert_int_eq(profile_init(&profiles[i], exits.start_ns, &err), 0);
    }
}

static void teardown(void)
{
    exit_report_free(&r);
    for (unsigned i = 0; i < 2; i++)
        profile_fini(&profiles[i]);
}

static void make(const struct symbols *symbols)
{
    ck_assert_int_eq(exit_report_make(&r, &vm, symbols), 0);
}

static void some_looks(void)
{
    look(0, EXIT_PIO, &com1, 0x1000, true, 0, 100);
    look(0, EXIT_PIO, &com1, 0x1000, true, 1000, 200);
    look(1, EXIT_PIO, &com1, 0x1000, true, NS_PER_S / 2, 700);
    look(1, EXIT_PIO, &com1, 0x1000, false, 3000, 50);
    look(1, EXIT_PIO, NULL, 0x2000, false, 4000, 10);
    look(0, EXIT_MMIO, &moved, 0x2000, true, 5000, 30);
    look(0, EXIT_INTR, NULL, 0, false, 6000, 1);
}

static const struct exit_device *device(const char *name)
{
    for (unsigned i = 0; i < r.ndevices; i++) {
        if (!strcmp(r.devices[i].name, name))
            return &r.devices[i];
    }
    ck_abort_msg("no row %s", name);
}

START_TEST(report_adds_vcpus_up)
{
    some_looks();
    make(NULL);
    ck_assert_uint_eq(r.exits, 7);
    ck_assert_uint_eq(r.looks, 7);
    ck_assert_uint_eq(r.ns, 1091);
    ck_assert_uint_eq(r.reasons[EXIT_PIO].exits, 5);
    ck_assert_uint_eq(r.reasons[EXIT_PIO].ns, 1060);
    ck_assert_uint_eq(device("com1")->exits, 4);
    ck_assert_uint_eq(device("com1")->writes, 300);
    ck_assert_uint_eq(device("nobody there")->exits, 1);
}
END_TEST

START_TEST(report_merges_addresses_of_vcpus_longest_time_first)
{
    some_looks();
    make(NULL);
    ck_assert_uint_eq(r.nsites, 4);
    ck_assert_uint_eq(r.sites[0].rip, 0x1000);
    ck_assert(r.sites[0].write);
    ck_assert_uint_eq(r.sites[0].exits, 3);
    ck_assert_uint_eq(r.sites[0].ns, 1000);
    ck_assert_uint_eq(r.sites[0].longest_ns, 700);
    ck_assert(!r.sites[1].write);
    ck_assert_uint_eq(r.sites[1].ns, 50);
    ck_assert_str_eq(r.sites[2].device->name, "moved bar");
    ck_assert_str_eq(r.sites[3].device->name, "nobody there");
}
END_TEST

START_TEST(report_has_a_row_for_a_region_that_has_left_its_bus)
{
    some_looks();
    make(NULL);
    ck_assert_uint_eq(device("moved bar")->base, 0xc0000000);
    ck_assert_uint_eq(device("moved bar")->writes, 7);
    ck_assert_uint_eq(device("moved bar")->exits, 1);
}
END_TEST

/* One profile's slices are longer than the other's, as its vCPU had exits later. */
START_TEST(report_timelines_have_the_sum_of_their_device)
{
    some_looks();
    ck_assert_uint_ne(profiles[0].slice_ns, profiles[1].slice_ns);
    make(NULL);
    ck_assert_uint_gt(r.nslices, PROFILE_SLICES / 2);
    ck_assert_uint_le(r.nslices, PROFILE_SLICES);
    for (unsigned i = 0; i < r.ndevices; i++) {
        uint64_t sum = 0;
        for (unsigned k = 0; k < r.nslices; k++)
            sum += r.devices[i].slices[k];
        ck_assert_uint_eq(sum, r.devices[i].exits);
    }
    ck_assert_uint_eq(device("com1")->slices[0], 3);
    ck_assert_uint_eq(device("com1")->slices[NS_PER_S / 2 / r.slice_ns], 1);
}
END_TEST

START_TEST(report_counts_of_all_addresses_and_devices_agree)
{
    struct region many[PROFILE_TRACKS_MOST + 5];
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = (struct region){.name = "one of many", .base = 16 * i};
        look(0, EXIT_PIO, &many[i], 0x1000 + i, false, 1000 + i, 5);
    }
    for (unsigned i = 0; i < PROFILE_SITES_MOST + 100; i++)
        look(1, EXIT_PIO, &com1, i, false, 2000 + i, 5);
    make(NULL);
    uint64_t devices = 0, sites = r.elsewhere.exits;
    for (unsigned i = 0; i < r.ndevices; i++)
        devices += r.devices[i].exits;
    for (unsigned i = 0; i < r.nsites; i++)
        sites += r.sites[i].exits;
    ck_assert_uint_eq(devices, r.looks);
    ck_assert_uint_eq(sites, r.looks);
    ck_assert_uint_ge(r.elsewhere.exits, 100);
    ck_assert_uint_eq(device("all others")->exits, 6);
}
END_TEST

START_TEST(report_sums_the_engines_counters)
{
    make(NULL);
    ck_assert_uint_eq(r.ncounters, 2);
    ck_assert_str_eq(r.counters[0].name, "of both");
    ck_assert_uint_eq(r.counters[0].value, 10);
    ck_assert_uint_eq(r.counters[1].value, 1);
}
END_TEST

START_TEST(report_without_profiles_has_what_is_always_counted)
{
    vm.exits = NULL;
    vcpus[1].exits[EXIT_PIO] = 320;
    make(NULL);
    ck_assert(!r.profiled);
    ck_assert_uint_eq(r.exits, 320);
    ck_assert_uint_eq(device("com1")->reads, 20);
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    exit_report_text(&r, 20, f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "start with -exits"));
    ck_assert_ptr_null(strstr(text, "guest address "));
    free(text);
}
END_TEST

START_TEST(report_as_text_names_functions)
{
    struct symbol list[] = {{0x0f00, "serial_out"}};
    struct symbols symbols = {.list = list, .n = 1};
    some_looks();
    make(&symbols);
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    exit_report_text(&r, 2, f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "write com1              serial_out+0x100\n"));
    ck_assert_ptr_nonnull(strstr(text, "... and 2 addresses more"));
    ck_assert_ptr_null(strstr(text, "write moved bar"));
    ck_assert_ptr_null(strstr(text, "estimates"));
    free(text);
}
END_TEST

START_TEST(report_as_json_can_be_read_back)
{
    some_looks();
    make(NULL);
    char *text = exit_report_json(&r);
    json_t *o = json_loads(text, 0, NULL), *address, *devices;
    free(text);
    ck_assert_ptr_nonnull(o);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "exits")), 7);
    devices = json_object_get(o, "devices");
    ck_assert_uint_eq(json_array_size(devices), r.ndevices);
    address = json_array_get(json_object_get(o, "addresses"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(address, "rip")), "0x1000");
    ck_assert(json_is_null(json_object_get(address, "symbol")));
    json_t *com = json_array_get(devices, (size_t)json_integer_value(json_object_get(address, "device")));
    ck_assert_str_eq(json_string_value(json_object_get(com, "name")), "com1");
    ck_assert_uint_eq(json_array_size(json_object_get(com, "timeline")), r.nslices);
    json_decref(o);
}
END_TEST

START_TEST(report_as_a_page_keeps_markup_out_of_it)
{
    struct symbol list[] = {{0x0f00, "</script><script>alert(1)</script><!--"}};
    struct symbols symbols = {.list = list, .n = 1};
    some_looks();
    make(&symbols);
    char *page = exit_report_html(&r);
    char *data = strstr(page, "id=\"report\">");
    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_null(strstr(page, "@REPORT@"));
    ck_assert_ptr_null(strstr(page, "alert(1)</script"));
    data = strchr(data, '>') + 1;
    *strchr(data, '<') = '\0';
    json_t *o = json_loads(data, 0, NULL);
    ck_assert_ptr_nonnull(o);
    json_t *address = json_array_get(json_object_get(o, "addresses"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(address, "symbol")), list[0].name);
    json_decref(o);
    free(page);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exits_report");
    TCase *t = tcase_create("exits_report");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, report_adds_vcpus_up);
    tcase_add_test(t, report_merges_addresses_of_vcpus_longest_time_first);
    tcase_add_test(t, report_has_a_row_for_a_region_that_has_left_its_bus);
    tcase_add_test(t, report_timelines_have_the_sum_of_their_device);
    tcase_add_test(t, report_counts_of_all_addresses_and_devices_agree);
    tcase_add_test(t, report_sums_the_engines_counters);
    tcase_add_test(t, report_without_profiles_has_what_is_always_counted);
    tcase_add_test(t, report_as_text_names_functions);
    tcase_add_test(t, report_as_json_can_be_read_back);
    tcase_add_test(t, report_as_a_page_keeps_markup_out_of_it);
    suite_add_tcase(s, t);
    SRunner *r1 = srunner_create(s);
    srunner_run_all(r1, CK_ENV);
    int failed = srunner_ntests_failed(r1);
    srunner_free(r1);
    return failed != 0;
}
