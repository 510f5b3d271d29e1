#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/net/run.sh MINIVMM [TOPIC...]
#
# Networks from end to end: the stock Debian cloud kernel, on the interp engine, so that this runs anywhere.
#   user      DHCP, a name (with root: a name server of our own), 64 MiB from the host through the gateway's address, and the same back
#             through a forwarded port, where their sum is compared; a capture file
#   restrict  the guest gets an address, reaches nothing, and is reached through its forwarded port
#   socket    two guests on a hub of UNIX stream sockets, started at once; one fetches from the other
#   tap       several queues on a tap interface; needs root and a network namespace of its own
# With root, `user` runs in a network namespace of its own too; else it uses a port of 127.0.0.1 that is free.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")
shift
background=()
topics=(user restrict socket tap)
((!$#)) || topics=("$@")

command -v busybox >/dev/null && busybox --list | grep -qx httpd || skip_all 'no busybox with httpd' "${topics[@]}"
find_kernel || skip_all "$no_kernel" "${topics[@]}"
[[ -e $work/initrd.cpio ]] || gcc -O1 -Wall -Wextra -o "$work/peer" "$here/peer.c" || exit 1
[[ -e $work/initrd.cpio ]] ||
    "$top/guest-images/linux/mkinitramfs" "$work/initrd.cpio" --modules virtio_pci,virtio_net --init "$here/guest-init.sh" || exit 1

# A network namespace (and mounts) of its own, where we may: then ports are free and the name server can be ours.
apart=''
if unshare -mn true 2>/dev/null && ((EUID == 0)); then apart=1; fi

boot=(-accel interp -m 256 -kernel "$kernel_dir/vmlinuz" -initrd "$work/initrd.cpio" -timeout $((170 * SLOW)))

# vm NAME KERNEL-WORDS OPTION... : its console in $work/NAME
vm() {
    local name=$1 words=$2
    shift 2
    "$minivmm" "${boot[@]}" -append "console=ttyS0 quiet $words" "$@" >"$work/$name.raw" 2>&1 </dev/null
    echo $? >"$work/$name.status"
    tr -d '\r' <"$work/$name.raw" >"$work/$name"
}

problem=''
expect() {
    tr -d '\r' <"$work/$1.raw" | grep -qE "$2" || problem+="no line '$2' from $1; "
}

# Wait until a line is there, while the machine lives.
said_or_over() {
    grep -q "$2" "$work/$1.raw" || [[ -e $work/$1.status ]]
}

says() {
    await 160 said_or_over "$@" && grep -q "$2" "$work/$1.raw" && return
    problem+="never '$2' from $1; "
    return 1
}

ends_well() {
    [[ $(cat "$work/$1.status" 2>/dev/null) == 0 ]] || problem+="exit status of $1: $(cat "$work/$1.status" 2>/dev/null); "
    expect "$1" '^TEST done$'
    ! grep -q '^TEST fail' "$work/$1" || problem+=$(grep '^TEST fail' "$work/$1" | head -n 3)
}

# A web server of the host's on 127.0.0.1; sets $port.
serve_www() {
    for ((port = 20000 + RANDOM % 20000; ; port++)); do
        busybox httpd -f -p "127.0.0.1:$port" -h "$work/www" 2>/dev/null &
        background+=($!)
        sleep 0.2
        ! kill -0 $! 2>/dev/null || break
    done
}

sha() {
    sha256sum | cut -d ' ' -f 1
}

test_user() {
    local sum forward words='test.addr=dhcp test.ping=10.0.2.2 test.serve=1'
    head -c 64M /dev/urandom >"$work/www/file"
    sum=$(sha <"$work/www/file")
    serve_www
    forward=$((port + 1))
    if [[ $apart ]]; then
        echo 'nameserver 127.0.0.1' >"$work/resolv.conf"
        mount --bind "$work/resolv.conf" "$(realpath /etc/resolv.conf)" && words+=' test.name=some.host.example'
        "$work/peer" dns 127.0.0.1 192.0.2.7 &
        background+=($!)
    fi
    vm guest "$words test.get=http://10.0.2.2:$port/file" -nic "user,hostfwd=tcp:127.0.0.1:$forward-:80,pcap=$work/pcap" &
    if says guest '^TEST serving'; then
        [[ $(busybox wget -q -O - "http://127.0.0.1:$forward/data" | sha) == "$sum" ]] || problem+='what came back is not what was sent; '
        busybox wget -q -O /dev/null "http://127.0.0.1:$forward/cgi-bin/done"
    fi
    wait $!
    ends_well guest
    expect guest '^TEST address 10.0.2.15 10.0.2.2 10.0.2.3$'
    expect guest '^TEST ping 10.0.2.2 ok$'
    expect guest "^TEST get $((64 << 20))\$"
    [[ $words != *test.name* ]] || expect guest '^TEST name some.host.example 192.0.2.7'
    (($(stat -c %s "$work/pcap") > 128 << 20)) || problem+='the capture is too short; '
    head -c 24 "$work/pcap" | od -A n -t x1 | tr -d ' \n' | grep -q '^4d3cb2a10200040000000000000000001100010001000000$' ||
        problem+="the capture's header is not pcap's; "
}

test_restrict() {
    serve_www
    local forward=$((port + 1))
    vm guest "test.addr=dhcp test.ping=10.0.2.2 test.serve=1 test.put=1048576" \
        -nic "user,restrict=on,hostfwd=tcp:127.0.0.1:$forward-:80" &
    if says guest '^TEST serving'; then
        [[ $(busybox wget -q -O - "http://127.0.0.1:$forward/zeros" | sha) == "$(head -c 1M /dev/zero | sha)" ]] || problem+='wrong zeros; '
        busybox wget -q -O /dev/null "http://127.0.0.1:$forward/cgi-bin/done"
    fi
    wait $!
    ends_well guest
    expect guest '^TEST address 10.0.2.15 none none$'
}

test_socket() {
    "$work/peer" hub "$work/hub" &
    background+=($!)
    sleep 0.2
    vm one "test.addr=10.1.1.1 test.serve=1 test.put=4194304" -nic "socket,path=$work/hub" &
    local one=$!
    vm two "test.addr=10.1.1.2 test.ping=10.1.1.1 test.tries=60 test.get=http://10.1.1.1/zeros test.sum=1 test.done=http://10.1.1.1/cgi-bin/done" \
        -netdev "stream,id=n,addr.type=unix,addr.path=$work/hub" -device virtio-net-pci,netdev=n,mac=52:54:00:12:34:99
    wait "$one"
    ends_well one
    ends_well two
    expect two "^TEST sum $(head -c 4M /dev/zero | sha)\$"
    expect two '^TEST ping 10.1.1.1 ok$'
}

test_tap() {
    local sum
    head -c 16M /dev/urandom >"$work/www/file"
    sum=$(sha <"$work/www/file")
    vm guest "test.addr=192.168.77.2 test.ping=192.168.77.1 test.queues=2 test.get=http://192.168.77.1:8000/file test.serve=1" \
        -nic tap,ifname=t0,script=no,queues=2 -smp 2 &
    local guest=$!
    await 5 busybox ip addr add 192.168.77.1/24 dev t0
    busybox ip link set t0 up
    busybox httpd -f -p 192.168.77.1:8000 -h "$work/www" &
    background+=($!)
    if says guest '^TEST serving'; then
        [[ $(busybox wget -q -O - http://192.168.77.2/data | sha) == "$sum" ]] || problem+='what came back is not what was sent; '
        busybox wget -q -O /dev/null http://192.168.77.2/cgi-bin/done
    fi
    wait "$guest"
    ends_well guest
    expect guest '^TEST ping 192.168.77.1 ok$'
    expect guest '^TEST queues 2$'
    expect guest "^TEST get $((16 << 20))\$"
}

# In a shell of its own, and apart where that is possible; what was wrong, in $work/problem.
run_topic() {
    busybox ip link set lo up 2>/dev/null
    rm -rf "$work"/{www,guest*,one*,two*,hub}
    mkdir "$work/www"
    "test_$topic"
    kill "${background[@]}" 2>/dev/null
    wait 2>/dev/null
    echo -n "$problem" >"$work/problem"
}

if [[ ${NET_TOPIC-} ]]; then
    topic=$NET_TOPIC
    run_topic
    exit
fi

for topic in "${topics[@]}"; do
    if [[ $topic == tap && ! -c /dev/net/tun ]]; then
        skip tap 'no /dev/net/tun'
        continue
    elif [[ $topic == tap && ! $apart ]]; then
        skip tap 'no right to make a network namespace'
        continue
    fi
    start=$SECONDS
    echo 'did not end' >"$work/problem"
    if [[ $apart ]]; then
        NET_TOPIC=$topic SUITE_WORK=$work unshare -mn "$BASH" "${BASH_SOURCE[0]}" "$minivmm"
    else
        (run_topic)
    fi
    judge "$topic ($((SECONDS - start)) s)" "$(cat "$work/problem")" "$work"/{guest,one,two}.raw
done
finish
