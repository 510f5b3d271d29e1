#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Puts the option tables of a built minivmm between the markers in docs/minivmm.1, docs/minivmm-run.1 and README.md.
# Usage: docs/update.sh [--check] BINARY       (--check changes nothing and fails when a file is out of date)
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
check=
if [[ ${1-} == --check ]]; then
    check=1
    shift
fi
binary=${1:?usage: docs/update.sh [--check] BINARY}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# FILE FORM [COMMAND]: the text between the lines that hold "options: begin" and "options: end" becomes the (command's) table in that form.
update() {
    local file=$1 form=$2
    "$binary" ${3+"$3"} -option-table "$form" >"$work/table"
    awk -v table="$work/table" '
        /options: begin/ { print; while ((getline line < table) > 0) print line; inside = 1; seen++ }
        /options: end/ { inside = 0; seen++ }
        !inside { print }
        END { exit seen != 2 }' "$top/$file" >"$work/new" || {
        echo "$file: no \"options: begin\" and \"options: end\" lines" >&2
        exit 1
    }
    if cmp -s "$work/new" "$top/$file"; then
        echo "$file: up to date"
    elif [[ $check ]]; then
        echo "$file: out of date, run docs/update.sh"
        status=1
    else
        cat "$work/new" >"$top/$file"
        echo "$file: updated"
    fi
}

update docs/minivmm.1 man
update docs/minivmm-run.1 man run
update README.md markdown
exit $status
