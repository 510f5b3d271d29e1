// SPDX-License-Identifier: MIT
#pragma once

/* `minivmm ctl`: argv[0] is the verb. Returns the exit status. */
int ctl_command(int argc, char **argv);
