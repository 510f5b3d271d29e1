# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# -h, -help and --help say the same, whatever follows; what comes before must be right.
for h in -help --help '-h -bogus'; do
    # shellcheck disable=SC2086
    cmp <("$BIN" -h) <("$BIN" $h) && echo "$h: same"
done
t -bogus -h
t -kernel k -n -version
