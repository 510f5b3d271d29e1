#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Golden tests of the command line. Usage: tests/cli/run.sh [--update] BINARY [TOPIC]...
#
# A topic is one of
#   <topic>.args   one command line per line, in shell words, without the program's name; '#' lines are comments
#   <topic>.sh     a bash script that runs "$BIN" itself; its output is what counts. It may use the functions
#                  `t ARGS...` (run "$BIN" and show the command line, the output and the status) and
#                  `skip REASON` (end the topic as skipped)
# together with <topic>.want, the expected transcript. A line of an .args file that starts with -n shows only what differs
# from the defaults, except in `defaults`. Every topic runs in an empty directory of its own, with standard input from
# /dev/null; the names of that directory, of the binary and of the source tree appear as TMP, BIN and TREE.
# --update writes the .want files anew: read the difference before you believe it.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE=$(cd "$here/../.." && pwd)
export TREE
update=
if [[ ${1-} == --update ]]; then
    update=1
    shift
fi
if [[ $# -lt 1 || ! -x $1 ]]; then
    echo "usage: tests/cli/run.sh [--update] BINARY [TOPIC]..." >&2
    exit 2
fi
BIN=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
export BIN
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
"$BIN" -n -kernel k >"$work/defaults" </dev/null

# One command line: shown, run, its two outputs together, its status.
t() {
    local word
    printf '$ minivmm'
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_.,:=/-]+$ ]] && printf ' %s' "$word" || printf ' %q' "$word"
    done
    printf '\n'
    timeout "${T_SECONDS:-10}" "$BIN" "$@" 2>&1 </dev/null
    printf '[exit %d]\n' $?
}

skip() {
    printf '%s\n' "$*" >"$SKIP_FILE"
    exit 77
}
export -f t skip

run_args() {
    local line
    while IFS= read -r line || [[ -n $line ]]; do
        [[ -z $line || $line == '#'* ]] && continue
        printf '$ minivmm %s\n' "$line"
        (eval "set -- $line"; timeout 10 "$BIN" "$@" 2>&1 </dev/null) >"$work/one"
        local status=$?
        if [[ $line == -n* && $1 != */defaults.args ]]; then
            grep -vxFf "$work/defaults" "$work/one"
        else
            cat "$work/one"
        fi
        printf '[exit %d]\n' "$status"
    done <"$1"
}

# The transcript of a topic, paths made the same everywhere, in $work/got. 0, or 77 for a skip.
transcript() {
    local topic=$1 status=0
    mkdir "$work/tmp"
    export SKIP_FILE=$work/skip
    : >"$SKIP_FILE"
    cd "$work/tmp" || exit 1
    if [[ -f $here/$topic.sh ]]; then
        bash "$here/$topic.sh" >"$work/raw" 2>&1 </dev/null
        status=$?
    else
        run_args "$here/$topic.args" >"$work/raw" 2>&1
    fi
    cd "$here" || exit 1
    sed -e "s|$work/tmp|TMP|g" -e "s|$BIN|BIN|g" -e "s|$TREE|TREE|g" "$work/raw" >"$work/got"
    chmod -R u+rwx "$work/tmp"
    rm -rf "$work/tmp"
    return $((status == 77 ? 77 : 0))
}

passed=0 failed=0 skipped=0
report() {
    printf '%-4s cli/%s%s\n' "$1" "$2" "${3:+: $3}"
}

topics=("$@")
if ((!$#)); then
    for f in "$here"/*.args "$here"/*.sh; do
        name=$(basename "${f%.*}")
        [[ -e $f && $name != run ]] && topics+=("$name")
    done
fi
for topic in "${topics[@]}"; do
    if [[ ! -f $here/$topic.args && ! -f $here/$topic.sh ]]; then
        failed=$((failed + 1))
        report FAIL "$topic" "there is no such topic"
        continue
    fi
    transcript "$topic"
    if (($? == 77)); then
        skipped=$((skipped + 1))
        report SKIP "$topic" "$(cat "$SKIP_FILE")"
    elif [[ $update ]]; then
        cp "$work/got" "$here/$topic.want"
        passed=$((passed + 1))
        report NEW "$topic"
    elif diff -u --label "$topic.want" --label got "$here/$topic.want" "$work/got" >"$work/diff" 2>&1; then
        passed=$((passed + 1))
        report PASS "$topic"
    else
        failed=$((failed + 1))
        report FAIL "$topic"
        sed 's/^/    /' "$work/diff"
    fi
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
