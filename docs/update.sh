#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Puts the tables of a built minivmm, options and exit statuses, between the markers in docs/minivmm.1, docs/minivmm-run.1, README.md, docs/minivmm-qmp.7 (commands) and
# docs/exit-codes.md.
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

# FILE TABLE FORM [COMMAND]: the text between the lines that hold "TABLEs: begin" and "TABLEs: end" becomes the (command's) table in that form.
update() {
    local file=$1 name=$2s form=$3
    "$binary" ${4+"$4"} "-$2-table" "$form" >"$work/table"
    awk -v table="$work/table" -v first="$name: begin" -v last="$name: end" '
        index($0, first) { print; while ((getline line < table) > 0) print line; inside = 1; seen++ }
        index($0, last) { inside = 0; seen++ }
        !inside { print }
        END { exit seen != 2 }' "$top/$file" >"$work/new" || {
        echo "$file: no \"$name: begin\" and \"$name: end\" lines" >&2
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

# FILE SHELL: the whole file is made.
complete() {
    "$binary" -completion "$2" >"$work/new"
    if cmp -s "$work/new" "$top/$1"; then
        echo "$1: up to date"
    elif [[ $check ]]; then
        echo "$1: out of date, run docs/update.sh"
        status=1
    else
        mkdir -p "$(dirname "$top/$1")"
        cat "$work/new" >"$top/$1"
        echo "$1: updated"
    fi
}

update docs/minivmm.1 option man
update docs/minivmm.1 exit man
update docs/minivmm-run.1 option man run
update docs/minivmm-qmp.7 qmp man
update docs/exit-codes.md exit markdown
update README.md option markdown
complete docs/completions/minivmm.bash bash
complete docs/completions/_minivmm zsh
exit $status
