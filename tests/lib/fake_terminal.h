// SPDX-License-Identifier: MIT
//
// Standard input is a terminal, whatever it is: instead of the C library's isatty, for all of a program. Include it in the program's one file, as a
// library would bring it into programs that did not ask for it.
#pragma once

#include <unistd.h>

int isatty(int fd)
{
    return fd == STDIN_FILENO;
}
