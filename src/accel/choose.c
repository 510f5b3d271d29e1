// SPDX-License-Identifier: MIT
//
// Verdicts on engines, and the choice among them: see choose.h.
#include "src/accel/choose.h"

#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VMX (1u << 5) /* CPUID 1, ECX */
#define SVM (1u << 2) /* CPUID 0x8000_0001, ECX */

static const char *hardware_name(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && c & VMX)
        return "VMX";
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) && c & SVM)
        return "SVM";
    return NULL;
}

bool choose_host_has_hardware(void)
{
    return hardware_name() != NULL;
}

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t len, const char *fmt, ...)
{
    size_t n = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, len - n, fmt, ap);
    va_end(ap);
}

void choose_judge(const struct accel_ops *ops, const struct probe_result *probe,
                  struct verdict *out)
{
    bool native = ops->caps & ACCEL_CAP_NATIVE;
    *out = (struct verdict){.usable = probe->opened};
    if (!probe->opened) {
        snprintf(out->reason, sizeof out->reason, "%.*s", (int)sizeof out->reason - 1,
                 accel_reason(ops, &probe->err));
        return;
    }
    if (probe->mips > 0)
        add(out->reason, sizeof out->reason, "%.*f MIPS in supervisor mode", probe->mips < 100,
            probe->mips);
    if (native && probe->mips < CHOOSE_MIN_MIPS)
        out->usable = false;
    bool all_right = true;
    for (unsigned i = 0; i < PROBE_CHECKS; i++) {
        if (probe->check[i].answer == PROBE_OK)
            continue;
        all_right = false;
        add(out->reason, sizeof out->reason, "%s%s %s", out->reason[0] ? ", " : "", probe_names[i],
            probe_answers[probe->check[i].answer]);
        if (native)
            out->usable = false;
    }
    if (all_right)
        add(out->reason, sizeof out->reason, ", all checks right");
}

void choose_rate(const struct accel_ops *ops, struct verdict *out)
{
    const char *hardware = hardware_name();
    struct probe_result probe;
    *out = (struct verdict){.usable = true};
    if (!(ops->caps & ACCEL_CAP_NATIVE)) {
        snprintf(out->reason, sizeof out->reason, "%s", ops->help);
    } else if (hardware) {
        snprintf(out->reason, sizeof out->reason, "hardware virtualization: %s", hardware);
    } else {
        probe_engine(ops, PROBE_BUDGET_MS, &probe);
        choose_judge(ops, &probe, out);
    }
}

int choose_engine(const struct accel_ops *const *list, const struct chooser *chooser, char *why,
                  size_t len, struct err *err)
{
    char passed[400] = ""; /* the better ones, and why not */
    int rc = -ENODEV;
    for (; *list; list++) {
        const struct accel_ops *ops = *list;
        struct verdict verdict;
        struct err refused = {0};
        if (!(ops->caps & ACCEL_CAP_CPU))
            continue;
        chooser->rate(ops, &verdict);
        rc = verdict.usable ? chooser->open(chooser->opaque, ops, &refused) : -ENOTSUP;
        if (!rc) {
            snprintf(why, len, "%s (%s)", ops->name, passed[0] ? passed : verdict.reason);
            return 0;
        }
        add(passed, sizeof passed, "%s%s: %s", passed[0] ? "; " : "", ops->name,
            verdict.usable ? accel_reason(ops, &refused) : verdict.reason);
    }
    return err_set(err, -rc, "-accel " CHOOSE_AUTO ": no engine works here (%s)", passed);
}
