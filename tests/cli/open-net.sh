# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Networks that cannot be had. The kernel is an empty boot sector, and the engine the one without a CPU.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
boot=(-accel none -serial null -kernel kernel)
t "${boot[@]}" -nic socket,path=missing
: >plain
t "${boot[@]}" -nic socket,path=plain,id=lan
t "${boot[@]}" -nic "socket,path=$(printf 'x%.0s' {1..200})"
t "${boot[@]}" -nic user,pcap=no/such/folder.pcap
t "${boot[@]}" -netdev user,id=n,pcap=. -device virtio-net-pci,netdev=n

# A port that is in use: by the first of the two, which is up once its pidfile is there.
for ((port = 20000 + $$ % 10000; ; port++)); do
    rm -f pid
    timeout 20 "$BIN" "${boot[@]}" -nic "user,hostfwd=tcp:127.0.0.1:$port-:80" -pidfile pid >first 2>&1 </dev/null &
    first=$!
    for ((i = 0; i < 100; i++)); do
        [[ ! -e pid ]] && kill -0 "$first" 2>/dev/null || break
        sleep 0.1
    done
    [[ ! -e pid ]] || break
done
t "${boot[@]}" -nic "user,hostfwd=tcp:127.0.0.1:$port-:80" | sed "s/$port/PORT/g"
t "${boot[@]}" -nic "user,id=lan,hostfwd=udp:192.0.2.1:$port-:80" | sed "s/$port/PORT/g"
kill "$first"
wait "$first" 2>/dev/null
true
