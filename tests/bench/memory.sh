#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/memory.sh COMMAND... | --pid PID
#
# Starts a VMM and waits three seconds, or takes one that runs, and prints the private memory it uses beside the guest's RAM, in KiB:
# anonymous pages of all mappings but the largest, which is the guest's RAM. A VMM that is started must still run then.
set -euo pipefail

if [[ $1 == --pid ]]; then
    pid=$2
else
    "$@" >/dev/null 2>&1 </dev/null &
    pid=$!
    trap 'kill $pid 2>/dev/null' EXIT
    sleep 3
fi
awk '
    /^[0-9a-f]+-[0-9a-f]+ / { n++ }
    /^Size:/ { size[n] = $2; if ($2 > size[largest]) largest = n }
    /^Anonymous:/ { dirty[n] = $2 }
    END {
        for (i = 1; i <= n; i++)
            if (i != largest) total += dirty[i]
        print total " KiB of anonymous memory beside guest RAM (" size[largest] " KiB mapped for it)"
    }' "/proc/$pid/smaps"
