// SPDX-License-Identifier: MIT
#pragma once

/* `minivmm probe [--json]`; argv[0] is "probe". The exit status. */
int probe_command(int argc, char **argv);
