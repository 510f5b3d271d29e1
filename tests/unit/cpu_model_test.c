// SPDX-License-Identifier: MIT
//
// The processor models apart from any engine: -cpu's grammar, what is resolved from what an engine has, leaves that follow, registers that go with
// features.
#include <check.h>
#include <errno.h>
#include <string.h>

#include "cpu_model.h"
#include "tests/lib/suite.h"

#define SSE3 CPU_1_ECX, 0
#define XSAVE CPU_1_ECX, 26
#define AVX CPU_1_ECX, 28
#define AVX2 CPU_7_EBX, 5
#define SMAP CPU_7_EBX, 20
#define TOPOEXT CPU_E1_ECX, 22
#define MAX_TEXT 256

static int resolve(const char *text, const struct cpu_features *have, bool native, struct cpu_features *out, struct err *err)
{
    struct cpu_choice choice;
    int rc = cpu_choice_parse(&choice, text, err);
    return rc ? rc : cpu_model_resolve(&choice, have, "kvm", native, out, err);
}

static struct cpu_features everything(void)
{
    struct cpu_features f;
    cpu_features_all(&f);
    return f;
}

START_TEST(models_grow_by_level)
{
    struct cpu_features have = everything(), v1, v2, v3;
    struct err err = {0};
    ck_assert_int_eq(resolve("x86-64-v1", &have, false, &v1, &err), 0);
    ck_assert_int_eq(resolve("x86-64-v2", &have, false, &v2, &err), 0);
    ck_assert_int_eq(resolve("x86-64-v3", &have, false, &v3, &err), 0);
    for (unsigned w = 0; w < CPU_WORDS; w++) {
        ck_assert_uint_eq(v1.word[w] & ~v2.word[w], 0);
        ck_assert_uint_eq(v2.word[w] & ~v3.word[w], 0);
        ck_assert_uint_eq(v3.word[w] & ~have.word[w], 0);
    }
    ck_assert(!cpu_has(&v1, SSE3) && cpu_has(&v2, SSE3));
    ck_assert(!cpu_has(&v2, AVX2) && cpu_has(&v3, AVX2));
    ck_assert(!cpu_has(&v3, SMAP));
}
END_TEST

START_TEST(a_model_does_not_depend_on_what_the_engine_has_besides)
{
    struct cpu_features have = everything(), less, a, b;
    struct err err = {0};
    less = have;
    less.word[CPU_7_EBX] &= ~(1u << 20);
    ck_assert_int_eq(resolve("x86-64-v3", &have, true, &a, &err), 0);
    ck_assert_int_eq(resolve("x86-64-v3", &less, true, &b, &err), 0);
    ck_assert_mem_eq(&a, &b, sizeof a);
}
END_TEST

START_TEST(missing_features_are_named)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    have.word[CPU_7_EBX] &= ~(1u << 5);
    have.word[CPU_1_ECX] &= ~(1u << 12);
    ck_assert_int_eq(resolve("x86-64-v3", &have, true, &out, &err), -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(err.msg, "cannot offer fma, avx2 "));
    ck_assert_int_eq(resolve("x86-64-v3,-avx2,fma=off", &have, true, &out, &err), 0);
    ck_assert(!cpu_has(&out, AVX2) && cpu_has(&out, AVX));
    /* max takes what there is */
    ck_assert_int_eq(resolve("max", &have, true, &out, &err), 0);
    ck_assert(!cpu_has(&out, AVX2));
    ck_assert_int_eq(resolve("max,+avx2", &have, true, &out, &err), -ENOTSUP);
}
END_TEST

START_TEST(statements_need_nothing_of_the_host)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    have.word[CPU_E1_ECX] &= ~(1u << 22);
    ck_assert_int_eq(resolve("x86-64-v3", &have, true, &out, &err), 0);
    ck_assert(cpu_has(&out, TOPOEXT));
}
END_TEST

START_TEST(narrowing_takes_what_the_other_lacks_but_no_statements)
{
    struct cpu_features f = everything(), other = everything();
    other.word[CPU_7_EBX] &= ~(1u << 20);
    other.word[CPU_E1_ECX] &= ~(1u << 22);
    cpu_features_narrow(&f, &other);
    ck_assert(!cpu_has(&f, SMAP) && cpu_has(&f, AVX2) && cpu_has(&f, TOPOEXT));
    cpu_features_narrow(&other, &f);
    ck_assert(!cpu_has(&other, TOPOEXT));
}
END_TEST

START_TEST(what_rests_on_a_missing_feature_goes_with_it)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    have.word[CPU_7_EBX] |= 1u << 16; /* AVX512F, which is in no table */
    ck_assert_int_eq(resolve("max,-xsave", &have, true, &out, &err), 0);
    ck_assert(!cpu_has(&out, XSAVE) && !cpu_has(&out, AVX) && !cpu_has(&out, AVX2));
    ck_assert(!cpu_has(&out, CPU_7_EBX, 16));
    ck_assert_uint_eq(out.word[CPU_D1_EAX], 0);
    ck_assert_uint_eq(cpu_xcr0(&out), 1);
}
END_TEST

START_TEST(without_kvm_there_is_no_clock_of_its_kind)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    have.word[CPU_H1_EAX] |= 0xf1u; /* KVM's own: the old clock, and what is in no table */
    ck_assert_int_eq(resolve("max", &have, true, &out, &err), 0);
    ck_assert(cpu_has(&out, CPU_H1_EAX, 3) && cpu_has(&out, CPU_H1_EAX, 24));
    ck_assert_int_eq(resolve("max,-kvmclock", &have, true, &out, &err), 0);
    ck_assert(cpu_has(&out, CPU_H0_EAX, CPU_H0_KVM));
    ck_assert_uint_eq(out.word[CPU_H1_EAX], 0xf2);
    ck_assert(!cpu_msr_offered(&out, 0x4b564d00) && !cpu_msr_offered(&out, 0x4b564d01));
    ck_assert_int_eq(resolve("max,kvm=off", &have, true, &out, &err), 0);
    ck_assert(!cpu_has(&out, CPU_H0_EAX, CPU_H0_KVM) && !cpu_has(&out, CPU_H1_EAX, 3));
}
END_TEST

START_TEST(models_show_the_same_of_kvm_whatever_it_has)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    const struct cpu_place place = {.cpus = 1, .phys_bits = 40, .xcr0 = 1};
    uint32_t r[4];
    have.word[CPU_H0_EAX] = 0x40000001;
    have.word[CPU_H1_EAX] |= 0xffu;
    ck_assert_int_eq(resolve("x86-64-v1", &have, true, &out, &err), 0);
    cpu_leaf(&out, &place, 0x40000000, 0, r);
    ck_assert_uint_eq(r[CPUID_EAX], 0x40000001);
    ck_assert_int_eq(memcmp(&r[CPUID_EBX], "KVMK", 4), 0);
    cpu_leaf(&out, &place, 0x40000001, 0, r);
    ck_assert_uint_eq(r[CPUID_EAX], 1u << 1 | 1u << 3 | 1u << 24);
    ck_assert_int_eq(resolve("x86-64-v1,kvm=off", &have, true, &out, &err), 0);
    cpu_leaf(&out, &place, 0x40000000, 0, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
}
END_TEST

START_TEST(the_last_word_about_a_feature_counts)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    ck_assert_int_eq(resolve("x86-64-v3,-avx2,+avx2", &have, true, &out, &err), 0);
    ck_assert(cpu_has(&out, AVX2));
    ck_assert_int_eq(resolve("x86-64-v3,avx2=on,-avx2", &have, true, &out, &err), 0);
    ck_assert(!cpu_has(&out, AVX2));
}
END_TEST

START_TEST(host_needs_the_hosts_cpu)
{
    struct cpu_features have = everything(), out;
    struct err err = {0};
    ck_assert_int_eq(resolve("host", &have, true, &out, &err), 0);
    ck_assert_mem_eq(&out, &have, sizeof out);
    ck_assert_int_eq(resolve("host", &have, false, &out, &err), -EINVAL);
}
END_TEST

START_TEST(bad_words_are_refused)
{
    static const char *const bad[] = {"", "x86-64", "x86-64-v3,", "max,avx", "max,+", "max,-nothing", "max,avx=maybe", "max,avx=", "max,,", ",+avx",
                                      "maxx", "ma", "max,+avx2x", "max,=on"};
    struct cpu_choice choice;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        ck_assert_msg(cpu_choice_parse(&choice, bad[i], &err) == -EINVAL, "'%s' was taken", bad[i]);
        ck_assert_int_eq(strncmp(err.msg, "-cpu: ", 6), 0);
    }
}
END_TEST

START_TEST(choices_print_as_they_are_written)
{
    struct cpu_choice choice;
    struct err err = {0};
    char text[MAX_TEXT] = "";
    ck_assert_int_eq(cpu_choice_parse(&choice, "x86-64-v2,+aes,-cx16", &err), 0);
    FILE *out = fmemopen(text, sizeof text, "w");
    cpu_choice_print(&choice, out);
    fclose(out);
    ck_assert_str_eq(text, "x86-64-v2,-cx16,+aes");
}
END_TEST

START_TEST(leaves_say_where_a_cpu_is)
{
    struct cpu_features f = everything();
    const struct cpu_place place = {.id = 5, .cpus = 6, .phys_bits = 40, .osxsave = true, .xcr0 = 7};
    uint32_t r[4];
    cpu_leaf(&f, &place, 1, 0, r);
    ck_assert_uint_eq(r[CPUID_EBX] >> 24, 5);
    ck_assert_uint_eq(r[CPUID_EBX] >> 16 & 0xff, 6);
    ck_assert(r[CPUID_ECX] & 1u << 27 && r[CPUID_EDX] & 1u << 28);
    cpu_leaf(&f, &place, 0xb, 1, r);
    ck_assert_uint_eq(r[CPUID_EAX], 3);
    ck_assert_uint_eq(r[CPUID_EDX], 5);
    cpu_leaf(&f, &place, 0xd, 0, r);
    ck_assert_uint_eq(r[CPUID_EAX], 7);
    ck_assert_uint_eq(r[CPUID_EBX], 832);
    cpu_leaf(&f, &place, 0xd, 9, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
}
END_TEST

/* What the list of leaves leaves out must be empty: an engine that is given the list shows the same as one that is asked leaf by leaf. */
START_TEST(the_list_of_leaves_is_complete)
{
    struct cpu_features f = everything();
    const struct cpu_place place = {.id = 1, .cpus = 4, .phys_bits = 40, .xcr0 = 1};
    static const uint32_t ranges[] = {0, 0x40000000, 0x80000000};
    for (unsigned i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (uint32_t leaf = ranges[i]; leaf < ranges[i] + 0x60; leaf++) {
            for (uint32_t sub = 0; sub < 8; sub++) {
                const struct cpu_leaf_name *n = cpu_leaf_names;
                uint32_t r[4];
                bool listed = false;
                do
                    listed = listed || (n->leaf == leaf && (!n->indexed || n->subleaf == sub));
                while ((++n)->leaf);
                cpu_leaf(&f, &place, leaf, sub, r);
                if (leaf == 0xb) /* beyond the last level: the level's number and the id */
                    continue;
                ck_assert_msg(listed || !(r[0] | r[1] | r[2] | r[3]), "leaf %#x.%u", leaf, sub);
            }
        }
    }
}
END_TEST

START_TEST(registers_come_with_their_features)
{
    struct cpu_features all = everything(), have = everything(), v1;
    struct err err = {0};
    ck_assert_int_eq(resolve("x86-64-v1", &have, true, &v1, &err), 0);
    static const uint32_t bound[] = {0x48, 0x49, 0x10a, 0xda0, 0xc0000103};
    for (unsigned i = 0; i < sizeof bound / sizeof bound[0]; i++)
        ck_assert(cpu_msr_offered(&all, bound[i]) && !cpu_msr_offered(&v1, bound[i]));
    ck_assert(cpu_msr_offered(&v1, 0x3b) && cpu_msr_offered(&v1, 0x10) && cpu_msr_offered(&v1, 0xc0000080));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_model");
    TCase *tc = tcase_create("models");
    tcase_add_test(tc, models_grow_by_level);
    tcase_add_test(tc, a_model_does_not_depend_on_what_the_engine_has_besides);
    tcase_add_test(tc, missing_features_are_named);
    tcase_add_test(tc, statements_need_nothing_of_the_host);
    tcase_add_test(tc, narrowing_takes_what_the_other_lacks_but_no_statements);
    tcase_add_test(tc, what_rests_on_a_missing_feature_goes_with_it);
    tcase_add_test(tc, without_kvm_there_is_no_clock_of_its_kind);
    tcase_add_test(tc, models_show_the_same_of_kvm_whatever_it_has);
    tcase_add_test(tc, the_last_word_about_a_feature_counts);
    tcase_add_test(tc, host_needs_the_hosts_cpu);
    tcase_add_test(tc, bad_words_are_refused);
    tcase_add_test(tc, choices_print_as_they_are_written);
    tcase_add_test(tc, leaves_say_where_a_cpu_is);
    tcase_add_test(tc, the_list_of_leaves_is_complete);
    tcase_add_test(tc, registers_come_with_their_features);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
