// SPDX-License-Identifier: MIT
//
// See cmdline.h.
#include "cmdline.h"

#include <string.h>

#define PARAM_MAX 1024

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

bool cmdline_next(const char **at, char *param, size_t room)
{
    const char *p = *at;
    size_t n = 0;
    while (is_blank(*p))
        p++;
    const char *begin = p;
    for (bool quoted = false; *p && (quoted || !is_blank(*p)); p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (n < room - 1)
            param[n++] = *p;
    }
    param[n] = '\0';
    *at = p;
    return p != begin && strcmp(param, "--");
}

bool cmdline_get(const char *cmdline, const char *key, char *value, size_t room)
{
    char param[PARAM_MAX];
    size_t len = strlen(key);
    bool found = false;
    while (cmdline_next(&cmdline, param, sizeof param)) {
        size_t all = strlen(param);
        if (all <= len || memcmp(param, key, len) || param[len] != '=')
            continue;
        size_t n = all - len - 1 < room - 1 ? all - len - 1 : room - 1;
        memcpy(value, param + len + 1, n);
        value[n] = '\0';
        found = true;
    }
    return found;
}

bool cmdline_has(const char *cmdline, const char *word)
{
    char param[PARAM_MAX];
    while (cmdline_next(&cmdline, param, sizeof param)) {
        if (!strcmp(param, word))
            return true;
    }
    return false;
}
