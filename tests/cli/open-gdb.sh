# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Where the gdb server cannot listen, and engines that cannot be debugged.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
boot=(-accel interp -serial null -kernel kernel)
t "${boot[@]}" -gdb unix:missing/socket
: >plain
t "${boot[@]}" -gdb unix:plain
t "${boot[@]}" -gdb "unix:$(printf '%0108d' 0)"
mkdir -m 500 locked # also for root, without the right to write anywhere
limited=()
((EUID)) || limited=(setpriv --bounding-set=-dac_override)
printf '#!/bin/sh\nexec %s "$@"\n' "${limited[*]@Q} ${BIN@Q}" >limited
chmod +x limited
BIN=./limited t "${boot[@]}" -gdb unix:locked/socket
t -accel none -serial null -kernel kernel -gdb unix:socket

# A port and a name that are in use: by the first of the two, which is up once its pidfile is there.
for ((port = 20000 + $$ % 10000; ; port++)); do
    rm -f pid
    timeout 20 "$BIN" "${boot[@]}" -gdb "tcp::$port" -S -pidfile pid >first 2>&1 </dev/null &
    first=$!
    for ((i = 0; i < 100; i++)); do
        [[ ! -e pid ]] && kill -0 "$first" 2>/dev/null || break
        sleep 0.1
    done
    [[ ! -e pid ]] || break
done
t "${boot[@]}" -gdb "tcp::$port" | sed "s/$port/PORT/g"
kill "$first"
wait "$first" 2>/dev/null
start_first() {
    rm -f pid
    timeout 20 "$BIN" "${boot[@]}" -gdb unix:socket -S -pidfile pid >first 2>&1 </dev/null &
    first=$!
    for ((i = 0; i < 100; i++)); do
        [[ ! -e pid ]] || break
        sleep 0.1
    done
}
start_first
stat -c 'mode %a' socket
t "${boot[@]}" -gdb unix:socket
# One that died without a word leaves the name behind; the next takes it over.
exec 3>&2 2>/dev/null # where bash may tell of it
kill -KILL "$(<pid)"
wait "$first"
exec 2>&3
[[ -S socket ]] && echo 'left behind'
start_first
t "${boot[@]}" -gdb unix:socket
kill "$first"
wait "$first" 2>/dev/null
[[ ! -e socket ]] && echo 'the name is gone with its owner'
true
