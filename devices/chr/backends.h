// SPDX-License-Identifier: MIT
//
// The backends that chr_open chooses from. Each gets what follows "NAME:" (NULL without a colon).
#pragma once

#include "chr.h"

struct chr *chr_stdio_open(const char *arg, const struct chr_env *env, struct err *err);
struct chr *chr_file_open(const char *arg, const struct chr_env *env, struct err *err);
struct chr *chr_socket_open(const char *arg, const struct chr_env *env, struct err *err);
struct chr *chr_pty_open(const char *arg, const struct chr_env *env, struct err *err);
