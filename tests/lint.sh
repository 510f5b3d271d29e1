#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Rules of the house that a compiler does not know. Each rule is one test.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
passed=0 failed=0 skipped=0
sources=$(git ls-files 'include/*.h' 'base/*.[ch]' 'src/*.[ch]' 'devices/*.[ch]' 'loader/*.[ch]' 2>/dev/null ||
    find include base src devices loader -name '*.[ch]')

# A rule holds when the command prints nothing.
rule() {
    local name=$1 found
    shift
    found=$("$@")
    if [[ -z $found ]]; then
        passed=$((passed + 1))
        echo "ok   lint/$name"
    else
        failed=$((failed + 1))
        printf 'FAIL lint/%s\n%s\n' "$name" "$found"
    fi
}

kvm_outside() {
    grep -l 'linux/kvm.h' $sources | grep -v '^src/accel/kvm/'
}

# exit() belongs to main; _exit to the handler of fatal signals.
exit_outside_main() {
    grep -nE '(^|[^_[:alnum:]])(exit|abort|_exit)\(' $sources | grep -v '^src/main.c:' | grep -v '^src/vm/fatal.c:' |
        grep -vE ':[0-9]+: *(//|\*|/\*)'
}

device_knows_machine() {
    grep -nE '#include "(src/|accel\.h|config\.h)' $(printf '%s\n' $sources | grep '^devices/')
}

loader_knows_devices() {
    grep -nE '#include "(src/|devices/|accel\.h|config\.h)' $(printf '%s\n' $sources | grep '^loader/')
}

base_looks_up() {
    grep -nE '#include "(src/|devices/|loader/|accel\.h|config\.h)' $(printf '%s\n' $sources | grep '^base/')
}

contract_looks_down() {
    grep -nE '#include "(src|devices|loader)/' $(printf '%s\n' $sources | grep '^include/')
}

without_licence() {
    grep -L 'SPDX-License-Identifier: MIT' $sources
}

long_files() {
    wc -l $sources | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}'
}

# But for a script inside a string, and a table of names.
long_lines() {
    awk 'length > 100 {print FILENAME ":" FNR ": " length " columns"}' $(printf '%s\n' $sources |
        grep -vE '^src/config/opt_complete|^devices/fs/host')
}

headers_alone() {
    local compiler header
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        for header in include/*.h; do
            "$compiler" -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Iinclude -I. -fsyntax-only -x c - \
                <<<"#include \"${header#include/}\"" 2>&1 | grep -E 'error|warning' | head -n 3
        done
    done
}

clang_warnings() {
    local file
    for file in $(printf '%s\n' $sources | grep '\.c$'); do
        clang -std=gnu17 -D_GNU_SOURCE -Iinclude -I. -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Wpointer-arith -Wcast-qual -Wundef -fsyntax-only "$file" 2>&1 |
            grep -E 'error|warning:' | head -n 3
    done
}

rule kvm-header-under-accel-kvm-only kvm_outside
rule exit-in-main-only exit_outside_main
rule devices-know-no-machine device_knows_machine
rule loaders-know-no-devices loader_knows_devices
rule base-stands-on-itself base_looks_up
rule contracts-include-contracts-only contract_looks_down
rule licence-line-everywhere without_licence
rule files-under-600-lines long_files
rule lines-under-100-columns long_lines
rule headers-compile-alone headers_alone
if command -v clang >/dev/null; then
    rule no-clang-warnings clang_warnings
else
    skipped=$((skipped + 1))
    echo "SKIP lint/no-clang-warnings: clang is not installed"
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
