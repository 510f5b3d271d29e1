#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/memory.sh COMMAND...
#
# Starts a VMM, waits three seconds, and prints the private memory it uses beside the guest's RAM, in KiB: anonymous pages of all
# mappings but the largest, which is the guest's RAM. Needs a VMM that is still running then.
set -euo pipefail

"$@" >/dev/null 2>&1 </dev/null &
pid=$!
trap 'kill $pid 2>/dev/null' EXIT
sleep 3
awk '
    /^[0-9a-f]+-[0-9a-f]+ / { n++; name[n] = $6 }
    /^Size:/ { size[n] = $2; if ($2 > size[largest]) largest = n }
    /^Anonymous:/ { dirty[n] = $2 }
    END {
        for (i = 1; i <= n; i++)
            if (i != largest) total += dirty[i]
        print total " KiB of anonymous memory beside guest RAM (" size[largest] " KiB mapped for it)"
    }' "/proc/$pid/smaps"
