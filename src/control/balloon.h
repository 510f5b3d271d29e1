// SPDX-License-Identifier: MIT
//
// The memory balloon for control clients: commands of QMP and of the monitor. Sizes that clients
// see are what is left to the guest, as in QEMU; the device counts what is in the balloon.
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "err.h"

struct vm;

/* For qmp_commands. */
int balloon_query(struct vm *vm, const json_t *args, json_t **ret, struct err *err);
int balloon_set(struct vm *vm, const json_t *args, json_t **ret, struct err *err);
int balloon_get_property(struct vm *vm, const json_t *args, json_t **ret, struct err *err);
int balloon_set_property(struct vm *vm, const json_t *args, json_t **ret, struct err *err);

/* For the monitor; `size` as typed, in MiB. */
void balloon_type(struct vm *vm, const char *size, FILE *out);
void balloon_print(struct vm *vm, FILE *out);
