// SPDX-License-Identifier: MIT
//
// Between the files that read a directory of modules (module_dir.c) and follow dependencies through
// it (module_set.c).
#pragma once

#include "modules.h"

#define MODULE_PATH_TEXT 256

/* All of a regular file of at most `max` bytes, with a zero byte behind it. -errno. */
int module_file_read(int dir_fd, const char *name, size_t max, uint8_t **data, size_t *len);

/* As the kernel itself spells it: '-' made '_'; cut when too long. */
void module_name_normal(const char *from, char name[MODULE_NAME_TEXT]);

/* Where the file of a module is, relative to the directory. */
bool module_path(const struct module_dir *dir, const char *normal, char path[MODULE_PATH_TEXT]);

/* The module that modules.alias gives for exactly this word. */
bool module_alias(const struct module_dir *dir, const char *alias, char name[MODULE_NAME_TEXT]);
