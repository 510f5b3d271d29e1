// SPDX-License-Identifier: MIT
//
// json FILE KEY: prints what KEY holds ("a.b" is b in a, "a.0" the first of a list): a string as it
// is, anything else as JSON. For shell scripts, which cannot read JSON themselves.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *step(json_t *at, const char *key)
{
    if (json_is_array(at))
        return json_array_get(at, strtoul(key, NULL, 10));
    return json_object_get(at, key);
}

int main(int argc, char **argv)
{
    json_error_t e;
    if (argc != 3)
        return 2;
    json_t *at = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &e);
    if (!at) {
        printf("json: %s\n", e.text);
        return 1;
    }
    for (char *key = strtok(argv[2], "."); key && at; key = strtok(NULL, "."))
        at = step(at, key);
    if (!at) {
        printf("json: no such key\n");
        return 1;
    }
    if (json_is_string(at))
        puts(json_string_value(at));
    else if (json_dumpf(at, stdout, JSON_ENCODE_ANY | JSON_COMPACT) == 0)
        putchar('\n');
    return 0;
}
