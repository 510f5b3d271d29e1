// SPDX-License-Identifier: MIT
#include "template.h"

#include <stddef.h>

extern const struct family family_int;
extern const struct family family_vec;

const struct family *const families[] = {&family_int, &family_vec, NULL};
