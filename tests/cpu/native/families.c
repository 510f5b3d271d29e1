// SPDX-License-Identifier: MIT
#include "template.h"

#include <stddef.h>

extern const struct family family_int;
extern const struct family family_vec;
extern const struct family family_x87;
extern const struct family family_mmx;

const struct family *const families[] = {&family_int, &family_vec, &family_x87, &family_mmx, NULL};
