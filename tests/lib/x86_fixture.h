// SPDX-License-Identifier: MIT
//
// The rig as a fixture of Check: a new one for each test, in one of three modes.
#pragma once

#include "tests/lib/x86_rig.h"

static struct x86_rig *r;
static struct x86_cpu *cpu;

static void setup(void)
{
    r = x86_rig_new();
    cpu = &r->cpu;
}

static void setup_protected(void)
{
    setup();
    x86_rig_protected(r);
}

static void setup_long(void)
{
    setup();
    x86_rig_long(r);
}

static void teardown(void)
{
    x86_rig_free(r);
}
