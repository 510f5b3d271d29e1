// SPDX-License-Identifier: MIT
//
// The parts of minivmm's init. What it should do stands in /minivmm/words of its initramfs: words
// "key=value", each closed by a zero byte. Keys of all modes: mode (root, run), module (a path; as
// often as there are modules, in order). The others are told where they are used.
#pragma once

#include "loader/cmdline.h"
#include "sys.h"

/* The value of the word at or after *at with this key, *at behind it; NULL: no more. Begin with
 * *at NULL. */
const char *word_next(const char *key, const char **at);

/* The value of the first word with this key, or NULL. */
const char *word_get(const char *key);

/* The kernel's command line. */
extern char cmdline[];

/* root.c: mount the root that the command line names, make it /, run the init in it. */
_Noreturn void run_root(char **argv, char **envp);

/* run.c: one command on the host's own files. */
_Noreturn void run_command(void);

/* net.c: the loopback interface; the one to the outside (0 or -errno); /etc/resolv.conf, at `path`. */
void net_start_loopback(void);
long net_start(void);
void net_name_server(const char *path);
