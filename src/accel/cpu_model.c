// SPDX-License-Identifier: MIT
//
// The table of features, the models that are made of it, and -cpu's grammar: see cpu_model.h. What
// is not in the table is not offered by any model; host and max on kvm pass on what KVM has
// besides.
#include "cpu_model.h"

#include <errno.h>
#include <string.h>

#include "util.h"

const struct cpu_word_place cpu_word_places[CPU_WORDS] = {
    [CPU_1_ECX] = {1, 0, CPUID_ECX},
    [CPU_1_EDX] = {1, 0, CPUID_EDX},
    [CPU_6_EAX] = {6, 0, CPUID_EAX},
    [CPU_7_EBX] = {7, 0, CPUID_EBX},
    [CPU_7_ECX] = {7, 0, CPUID_ECX},
    [CPU_7_EDX] = {7, 0, CPUID_EDX},
    [CPU_D1_EAX] = {0xd, 1, CPUID_EAX},
    [CPU_E1_ECX] = {0x80000001, 0, CPUID_ECX},
    [CPU_E1_EDX] = {0x80000001, 0, CPUID_EDX},
    [CPU_E7_EDX] = {0x80000007, 0, CPUID_EDX},
    [CPU_E8_EBX] = {0x80000008, 0, CPUID_EBX},
    [CPU_E21_EAX] = {0x80000021, 0, CPUID_EAX},
    [CPU_E21_ECX] = {0x80000021, 0, CPUID_ECX},
    [CPU_H0_EAX] = {0x40000000, 0, CPUID_EAX},
    [CPU_H1_EAX] = {0x40000001, 0, CPUID_EAX},
};

/* The first model that has a feature; each has those of the one before. */
enum level { V1 = 1, V2, V3, MAX };

/* Names as in /proc/cpuinfo or QEMU. says: a statement that any engine can make on any host. */
static const struct feature {
    const char *name;
    enum cpu_word word;
    uint8_t bit;
    enum level level;
    bool says;
} features[] = {
    {"fpu", CPU_1_EDX, 0, V1, false},        {"vme", CPU_1_EDX, 1, MAX, false},
    {"de", CPU_1_EDX, 2, V1, false},         {"pse", CPU_1_EDX, 3, V1, false},
    {"tsc", CPU_1_EDX, 4, V1, false},        {"msr", CPU_1_EDX, 5, V1, false},
    {"pae", CPU_1_EDX, 6, V1, false},        {"mce", CPU_1_EDX, 7, V1, false},
    {"cx8", CPU_1_EDX, 8, V1, false},        {"apic", CPU_1_EDX, 9, V1, false},
    {"sep", CPU_1_EDX, 11, V1, false},       {"mtrr", CPU_1_EDX, 12, V1, false},
    {"pge", CPU_1_EDX, 13, V1, false},       {"mca", CPU_1_EDX, 14, V1, false},
    {"cmov", CPU_1_EDX, 15, V1, false},      {"pat", CPU_1_EDX, 16, V1, false},
    {"pse36", CPU_1_EDX, 17, V1, false},     {"clflush", CPU_1_EDX, 19, V1, false},
    {"mmx", CPU_1_EDX, 23, V1, false},       {"fxsr", CPU_1_EDX, 24, V1, false},
    {"sse", CPU_1_EDX, 25, V1, false},       {"sse2", CPU_1_EDX, 26, V1, false},
    {"sse3", CPU_1_ECX, 0, V2, false},       {"pclmulqdq", CPU_1_ECX, 1, MAX, false},
    {"ssse3", CPU_1_ECX, 9, V2, false},      {"fma", CPU_1_ECX, 12, V3, false},
    {"cx16", CPU_1_ECX, 13, V2, false},      {"pcid", CPU_1_ECX, 17, MAX, false},
    {"sse4.1", CPU_1_ECX, 19, V2, false},    {"sse4.2", CPU_1_ECX, 20, V2, false},
    {"x2apic", CPU_1_ECX, 21, V1, false},    {"movbe", CPU_1_ECX, 22, V3, false},
    {"popcnt", CPU_1_ECX, 23, V2, false},    {"tsc-deadline", CPU_1_ECX, 24, V1, false},
    {"aes", CPU_1_ECX, 25, MAX, false},      {"xsave", CPU_1_ECX, 26, V3, false},
    {"avx", CPU_1_ECX, 28, V3, false},       {"f16c", CPU_1_ECX, 29, V3, false},
    {"rdrand", CPU_1_ECX, 30, MAX, false},   {"hypervisor", CPU_1_ECX, 31, V1, true},
    {"arat", CPU_6_EAX, 2, V1, true},        {"fsgsbase", CPU_7_EBX, 0, V3, false},
    {"tsc-adjust", CPU_7_EBX, 1, V1, false}, {"bmi1", CPU_7_EBX, 3, V3, false},
    {"avx2", CPU_7_EBX, 5, V3, false},       {"smep", CPU_7_EBX, 7, V3, false},
    {"bmi2", CPU_7_EBX, 8, V3, false},       {"erms", CPU_7_EBX, 9, MAX, true},
    {"invpcid", CPU_7_EBX, 10, MAX, false},  {"rdseed", CPU_7_EBX, 18, MAX, false},
    {"adx", CPU_7_EBX, 19, MAX, false},      {"smap", CPU_7_EBX, 20, MAX, false},
    {"clflushopt", CPU_7_EBX, 23, MAX, false},
    {"clwb", CPU_7_EBX, 24, MAX, false},     {"sha-ni", CPU_7_EBX, 29, MAX, false},
    {"umip", CPU_7_ECX, 2, MAX, false},      {"rdpid", CPU_7_ECX, 22, MAX, false},
    {"fsrm", CPU_7_EDX, 4, MAX, true},       {"spec-ctrl", CPU_7_EDX, 26, MAX, false},
    {"arch-capabilities", CPU_7_EDX, 29, MAX, false},
    {"xsaveopt", CPU_D1_EAX, 0, V3, false},  {"xsavec", CPU_D1_EAX, 1, MAX, false},
    {"xgetbv1", CPU_D1_EAX, 2, MAX, false},  {"xsaves", CPU_D1_EAX, 3, MAX, false},
    {"lahf-lm", CPU_E1_ECX, 0, V2, false},   {"lzcnt", CPU_E1_ECX, 5, V3, false},
    {"3dnowprefetch", CPU_E1_ECX, 8, MAX, false},
    {"topoext", CPU_E1_ECX, 22, V1, true},   {"syscall", CPU_E1_EDX, 11, V1, false},
    {"nx", CPU_E1_EDX, 20, V1, false},       {"mmxext", CPU_E1_EDX, 22, MAX, false},
    {"pdpe1gb", CPU_E1_EDX, 26, MAX, false}, {"rdtscp", CPU_E1_EDX, 27, V2, false},
    {"lm", CPU_E1_EDX, 29, V1, false},       {"invtsc", CPU_E7_EDX, 8, MAX, false},
    {"xsaveerptr", CPU_E8_EBX, 2, MAX, false},
    {"ibpb", CPU_E8_EBX, 12, MAX, false},    {"ibrs", CPU_E8_EBX, 14, MAX, false},
    {"ssb-no", CPU_E8_EBX, 26, MAX, false},  {"btc-no", CPU_E8_EBX, 29, MAX, false},
    {"lfence-always-serializing", CPU_E21_EAX, 2, MAX, false},
    {"null-sel-clr-base", CPU_E21_EAX, 6, MAX, false},
    {"srso-no", CPU_E21_EAX, 29, MAX, false},
    {"tsa-sq-no", CPU_E21_ECX, 1, MAX, false},
    {"tsa-l1-no", CPU_E21_ECX, 2, MAX, false},
    {"kvm", CPU_H0_EAX, CPU_H0_KVM, V1, false},
    {"kvmclock", CPU_H1_EAX, CPU_H1_KVMCLOCK, V1, false},
    {"kvmclock-stable-bit", CPU_H1_EAX, 24, V1, false},
    {"kvm-nopiodelay", CPU_H1_EAX, 1, V1, false},
    {"vmware-cpuid-freq", CPU_H0_EAX, CPU_H0_TIMING, MAX, false},
};

/* A feature that is nothing without another one; in an order for going through once. */
static const struct {
    const char *name, *needs;
} dependencies[] = {
    {"avx", "xsave"},     {"xsaveopt", "xsave"}, {"xsavec", "xsave"}, {"xgetbv1", "xsave"},
    {"xsaves", "xsavec"}, {"avx2", "avx"},       {"fma", "avx"},      {"f16c", "avx"},
    {"kvmclock", "kvm"},  {"kvmclock-stable-bit", "kvmclock"},        {"kvm-nopiodelay", "kvm"},
};

/* Registers that are there when a feature is (any of several rows). */
static const struct {
    uint32_t msr;
    const char *feature;
} feature_msrs[] = {
    {0x3b, "tsc-adjust"},    {0x48, "spec-ctrl"}, {0x48, "ibrs"},
    {0x49, "spec-ctrl"},     {0x49, "ibpb"},      {0x10a, "arch-capabilities"},
    {0x6e0, "tsc-deadline"}, {0xda0, "xsaves"},   {0xc0000103, "rdtscp"},
    {0xc0000103, "rdpid"},   {0x4b564d00, "kvmclock"}, {0x4b564d01, "kvmclock"},
};

struct cpu_model {
    const char *name, *help;
    enum level level; /* 0: the engine's own */
    bool host;
};
static const struct cpu_model models[] = {
    {"max", "all that the engine can offer here (default)", 0, false},
    {"host", "the same, and only with an engine that runs on the host's CPU", 0, true},
    {"x86-64-v1", "the same on every engine: SSE2 and what 64-bit kernels have always had", V1,
     false},
    {"x86-64-v2", "the same on every engine: SSE4.2, POPCNT, CMPXCHG16B", V2, false},
    {"x86-64-v3", "the same on every engine: AVX2, BMI, FMA, MOVBE, XSAVE besides", V3, false},
};

static void add(struct cpu_features *f, const struct feature *row)
{
    f->word[row->word] |= 1u << row->bit;
}

static void up_to(struct cpu_features *f, enum level level)
{
    *f = (struct cpu_features){0};
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        if (features[i].level <= level)
            add(f, &features[i]);
    }
}

void cpu_features_all(struct cpu_features *out)
{
    up_to(out, MAX);
}

void cpu_features_narrow(struct cpu_features *f, const struct cpu_features *other)
{
    struct cpu_features keep = *other;
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        if (features[i].says)
            add(&keep, &features[i]);
    }
    for (unsigned w = 0; w < CPU_WORDS; w++)
        f->word[w] &= keep.word[w];
}

static const struct feature *find_feature(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        if (strlen(features[i].name) == len && !memcmp(features[i].name, name, len))
            return &features[i];
    }
    return NULL;
}

bool cpu_msr_offered(const struct cpu_features *f, uint32_t msr)
{
    bool bound = false;
    for (unsigned i = 0; i < ARRAY_LEN(feature_msrs); i++) {
        if (feature_msrs[i].msr != msr)
            continue;
        const struct feature *row =
            find_feature(feature_msrs[i].feature, strlen(feature_msrs[i].feature));
        if (cpu_has(f, row->word, row->bit))
            return true;
        bound = true;
    }
    return !bound;
}

/* --- -cpu's grammar --- */

static int parse_model(struct cpu_choice *out, const char *word, size_t len, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        if (strlen(models[i].name) == len && !memcmp(models[i].name, word, len)) {
            out->model = &models[i];
            return 0;
        }
    }
    return err_set(err, EINVAL,
                   "-cpu: unknown model '%.*s' (max, host, x86-64-v1, x86-64-v2 or x86-64-v3; -cpu "
                   "help tells more)",
                   (int)len, word);
}

/* +F, -F, F=on, F=off. */
static int parse_feature(struct cpu_choice *out, const char *word, size_t len, struct err *err)
{
    const char *name = word;
    size_t name_len = len;
    bool on = true;
    if (len && (*word == '+' || *word == '-')) {
        on = *word == '+';
        name++;
        name_len--;
    } else {
        const char *equals = memchr(word, '=', len);
        size_t value_len = equals ? (size_t)(word + len - equals) - 1 : 0;
        on = equals && value_len == 2 && !memcmp(equals + 1, "on", 2);
        if (!on && !(equals && value_len == 3 && !memcmp(equals + 1, "off", 3)))
            return err_set(err, EINVAL,
                           "-cpu: '%.*s' is not +FEATURE, -FEATURE, FEATURE=on or FEATURE=off",
                           (int)len, word);
        name_len = (size_t)(equals - word);
    }
    const struct feature *f = find_feature(name, name_len);
    if (!f)
        return err_set(err, EINVAL, "-cpu: unknown feature '%.*s' (-cpu help lists them)",
                       (int)name_len, name);
    uint32_t bit = 1u << f->bit;
    struct cpu_features *set = on ? &out->plus : &out->minus,
                        *other = on ? &out->minus : &out->plus;
    set->word[f->word] |= bit; /* of contradictory words the last one counts */
    other->word[f->word] &= ~bit;
    return 0;
}

int cpu_choice_parse(struct cpu_choice *out, const char *text, struct err *err)
{
    *out = (struct cpu_choice){0};
    size_t len = strcspn(text, ",");
    int rc = parse_model(out, text, len, err);
    while (!rc && text[len]) {
        text += len + 1;
        len = strcspn(text, ",");
        rc = parse_feature(out, text, len, err);
    }
    return rc;
}

void cpu_choice_print(const struct cpu_choice *choice, FILE *out)
{
    fprintf(out, "%s", choice->model ? choice->model->name : models[0].name);
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        if (cpu_has(&choice->plus, features[i].word, features[i].bit))
            fprintf(out, ",+%s", features[i].name);
        if (cpu_has(&choice->minus, features[i].word, features[i].bit))
            fprintf(out, ",-%s", features[i].name);
    }
}

void cpu_print_help(FILE *out)
{
    fprintf(out,
            "-cpu takes a model, then features to add (+F or F=on) or leave out (-F or F=off):\n");
    for (unsigned i = 0; i < ARRAY_LEN(models); i++)
        fprintf(out, "  %-10s %s\n", models[i].name, models[i].help);
    unsigned column = 100;
    fprintf(out, "Features:");
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        unsigned len = (unsigned)strlen(features[i].name) + 1;
        if (column + len > 90) {
            fprintf(out, "\n ");
            column = 1;
        }
        fprintf(out, " %s", features[i].name);
        column += len;
    }
    fprintf(out, "\n");
}

/* --- what the guest gets --- */

bool cpu_choice_is_own(const struct cpu_choice *choice)
{
    return !choice || !choice->model || !choice->model->level;
}

/* AVX-512 and its like, which kvm may pass on but the table does not name: bits of leaf 7. */
#define WIDE_7_EBX 0xdc230000u
#define WIDE_7_ECX 0x00005e42u
#define WIDE_7_EDX 0x0080010cu

static void drop_dependents(struct cpu_features *f)
{
    for (unsigned i = 0; i < ARRAY_LEN(dependencies); i++) {
        const struct feature *what =
            find_feature(dependencies[i].name, strlen(dependencies[i].name));
        const struct feature *needs =
            find_feature(dependencies[i].needs, strlen(dependencies[i].needs));
        if (!cpu_has(f, needs->word, needs->bit))
            f->word[what->word] &= ~(1u << what->bit);
    }
    if (!(cpu_xcr0(f) & CPU_XSAVE_AVX)) {
        f->word[CPU_7_EBX] &= ~WIDE_7_EBX;
        f->word[CPU_7_ECX] &= ~WIDE_7_ECX;
        f->word[CPU_7_EDX] &= ~WIDE_7_EDX;
    }
    if (!cpu_has(f, CPU_H1_EAX, CPU_H1_KVMCLOCK))
        f->word[CPU_H1_EAX] &= ~(1u << CPU_H1_OLD_KVMCLOCK); /* the same clock by other MSRs */
}

/* "avx2, fma" of what `f` has and `have` has not; false when that is nothing. */
static bool list_missing(const struct cpu_features *f, const struct cpu_features *have, char *text,
                         size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        const struct feature *row = &features[i];
        if (row->says || !cpu_has(f, row->word, row->bit) || cpu_has(have, row->word, row->bit))
            continue;
        int n = snprintf(text + used, room - used, "%s%s", used ? ", " : "", row->name);
        if (n < 0 || (size_t)n >= room - used)
            break;
        used += (size_t)n;
    }
    return used != 0;
}

int cpu_model_resolve(const struct cpu_choice *choice, const struct cpu_features *have,
                      const char *engine, bool native, struct cpu_features *out, struct err *err)
{
    const struct cpu_model *model = choice && choice->model ? choice->model : &models[0];
    char missing[160];
    if (model->host && !native)
        return err_set(err, EINVAL,
                       "-cpu host: -accel %s does not run on the host's CPU; use -cpu max", engine);
    if (model->level)
        up_to(out, model->level);
    else
        *out = *have;
    for (unsigned w = 0; choice && w < CPU_WORDS; w++)
        out->word[w] = (out->word[w] | choice->plus.word[w]) & ~choice->minus.word[w];
    drop_dependents(out);
    if (list_missing(out, have, missing, sizeof missing))
        return err_set(err, ENOTSUP,
                       "-cpu %s: -accel %s cannot offer %s on this host; take another model, or "
                       "leave it out with -FEATURE",
                       model->name, engine, missing);
    return 0;
}
