#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# gdb itself against guests: a small one with four CPUs, and the stock kernel with its symbols. What gdb prints is looked at line by line.
# Usage: tests/gdb/run.sh [--engine NAME] MINIVMM [TOPIC]...        kvm: for hosts that have it
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
engine=interp
if [[ ${1-} == --engine ]]; then
    engine=$2
    shift 2
fi
bin=$(realpath "${1:?usage: tests/gdb/run.sh [--engine NAME] MINIVMM [TOPIC]...}")
shift
topics=("$@")
((${#topics[@]})) || topics=(start-stop watch threads detach lost-client garbage end tcp kernel)
image=$top/build/guest-images/smp_long.img
vmm=

# A guest that waits for gdb; its serial port is in $work/console.
launch() {
    rm -f "$work/socket" "$work/console"
    timeout 90 "$bin" -accel "$engine" -d none -nic none -serial "file:$work/console" -gdb "unix:$work/socket" "$@" >"$work/vmm" 2>&1 </dev/null &
    vmm=$!
    await 10 test -S "$work/socket" || cat "$work/vmm"
}

small() {
    launch -kernel "$image" -smp 4 -device isa-debug-exit,iobase=0xf4,iosize=0x04 "$@"
}

# Its exit status.
wait_vmm() {
    wait "$vmm"
    status=$?
    vmm=
}

# Commands from standard input, after those every session needs.
debug() {
    {
        printf 'set pagination off\nset confirm off\nset remotetimeout 30\nfile %s\ntarget remote %s\n' "${elf:-$image.elf}" "$work/socket"
        cat
    } >"$work/commands"
    timeout 60 gdb -nx -batch -x "$work/commands" >"$work/said" 2>&1 </dev/null
}

# Lines that match these patterns, in this order.
expect() {
    local pattern line=1 n
    for pattern in "$@"; do
        n=$(tail -n "+$line" "$work/said" | grep -nm1 -E -- "$pattern" | cut -d: -f1)
        if [[ -z $n ]]; then
            echo "not there, or not in order: $pattern"
            sed 's/^/| /' "$work/said"
            return
        fi
        line=$((line + n))
    done
}

ended_well() {
    wait_vmm
    ((status == 33)) || { echo "the guest ended with status $status, not 33"; cat "$work/vmm"; }
    grep -q 'woken all at once' "$work/console" || { echo "the guest did not do its work:"; cat "$work/console"; }
}

start-stop() {
    small -S
    debug <<'END'
info registers rip cs efer
hbreak guest_main
continue
backtrace 2
info registers cr0 efer k_gs_base fs_base mxcsr xmm0
stepi
stepi
set $rbx = 0x1234
print/x $rbx
x/2i guest_main
delete
break print
continue
finish
detach
END
    expect '^cs ' '^efer +0x0' 'hit Breakpoint 1, .*guest_main' '^#0 .*guest_main' '^#1 .*in_long' '^cr0 +0x8' '^efer +0x500' '^k_gs_base +0x0' \
        '^mxcsr +0x1f80' '^xmm0 ' '0x.*guest_main' '^\$1 = 0x1234' 'push ' 'hit Breakpoint 2, .*print' 'detached'
}

watch() {
    small -S
    debug <<'END'
hbreak guest_main
continue
watch *(unsigned *)&total
continue
continue
delete
rwatch *(unsigned char *)&spinning
continue
detach
END
    expect '^Hardware watchpoint 2' 'Thread 2 hit Hardware watchpoint' '^New value = 1' '^New value = 2' \
        'hit Hardware read watchpoint' '^Value = 0' 'detached'
    ended_well
}

threads() {
    small -S
    debug <<'END'
info threads
break ap
continue
info threads
stepi
thread 1
print $rip != 0
thread 2
delete
break ap
continue
detach
END
    expect '1 +Thread 1 \(CPU 0, running\)' '2 +Thread 2 \(CPU 1, not started\)' '4 +Thread 4 ' 'Thread 2 hit Breakpoint 1, .* in ap' \
        '^\* 2 +Thread 2 \(CPU 1, running\)' 'in ap' '^\$1 = 1' 'Thread 3 hit Breakpoint 2' 'detached'
    ended_well
}

detach() {
    small -S
    debug <<'END'
print $cr0 != 0
detach
END
    expect '^\$1 = 1' 'detached'
    ended_well
}

# Killed in the midst of thousands of stops that it goes on from by itself: nobody must stop there any more.
lost-client() {
    small -S
    { debug; } 2>/dev/null <<'END'
hbreak guest_main
continue
watch *(unsigned *)&total if 0
break print if 0
shell P=$PPID; (sleep 0.3; kill -KILL $P) &
continue
continue
continue
END
    expect 'hit Breakpoint 1' 'Hardware watchpoint 2'
    ended_well
}

# What is no packet, packets that are cut off, one that is too long; then a client that reads nothing; a second one at the same time.
garbage() {
    small -S
    python3 - "$work/socket" <<'END' || echo 'the client of this test failed'
import socket, sys
def client():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(sys.argv[1])
    return s
s = client()
s.sendall(bytes(range(256)) * 64 + b"$g#00$m0,ffffffffffffffff#" + b"$" + b"A" * 100000 + b"#00$?#3f")
second = client()
assert second.recv(10) == b"", "a second client was heard"
seen = b""
while b"$T05" not in seen:
    more = s.recv(65536)
    assert more, seen[-100:]
    seen += more
try: # never reads
    for _ in range(100000):
        s.sendall(b"$g#67")
except (TimeoutError, BrokenPipeError, ConnectionResetError):
    pass
s.close()
END
    ended_well
}

end() {
    small -S
    debug <<'END'
continue
END
    expect 'exited with code 041'
    ended_well
}

tcp() {
    local port
    for ((port = 20000 + $$ % 10000; ; port++)); do
        rm -f "$work/pid"
        timeout 60 "$bin" -accel "$engine" -d none -nic none -serial "file:$work/console" -kernel "$image" -smp 4 -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
            -gdb "tcp::$port" -S -pidfile "$work/pid" >"$work/vmm" 2>&1 </dev/null &
        vmm=$!
        for ((i = 0; i < 100; i++)); do
            [[ ! -e $work/pid ]] && kill -0 "$vmm" 2>/dev/null || break
            sleep 0.1
        done
        [[ ! -e $work/pid ]] || break
    done
    timeout 60 gdb -nx -batch -ex "target remote :$port" -ex 'maintenance packet Qqemu.PhyMemMode:1' -ex 'x/2bx 0x100000' -ex 'kill' >"$work/said" 2>&1 </dev/null
    expect 'received: "OK"' '0x100000:' 'killed'
    wait_vmm
    ((status == 0)) || echo "kill ended it with status $status"
}

kernel() {
    local elf=$work/vmlinux
    timeout 100 "$bin" run --accel "$engine" --kernel "$kernel_dir/vmlinuz" --modules "$kernel_dir/modules" --append nokaslr -- \
        cat /proc/kallsyms >"$work/kallsyms" 2>"$work/noise" || { echo 'no symbols'; cat "$work/noise"; return; }
    "$here/kernel-symbols" "$kernel_dir/vmlinux" "$work/kallsyms" "$elf"
    "$top/guest-images/linux/mkinitramfs" "$work/initrd.cpio" --init "$here/guest-init.sh"
    local jiffies
    jiffies=0x$(awk '$3 == "jiffies_64" {print $1}' "$work/kallsyms")
    launch -m 256 -smp 2 -kernel "$kernel_dir/vmlinux" -initrd "$work/initrd.cpio" -append 'console=ttyS0 nokaslr' -S
    debug <<END
hbreak kernel_init
continue
backtrace 2
info threads
delete
break do_sys_openat2
continue
backtrace 2
stepi
stepi
info registers rip
delete
watch *(unsigned long *)$jiffies
continue
backtrace 1
delete
shell P=\$PPID; (sleep 2; kill -INT \$P) &
continue
info threads
print \$cr3 != 0
detach
END
    expect 'hit Breakpoint 1, .*kernel_init' '^#1 .*ret_from_fork' 'CPU 0, running' 'CPU 1, not started' 'hit Breakpoint 2, .*do_sys_openat2' \
        '^#1 .*sys_open' '^rip .*<do_sys_openat2\+' 'hit Hardware watchpoint 3' '^#0 .* in .*tick' 'received signal SIGINT' \
        'Thread 1 \(CPU 0' 'Thread 2 \(CPU 1, (running|halted)' '^\$1 = 1' 'detached'
    kill -0 "$vmm" 2>/dev/null || echo 'the guest is gone'
    kill "$vmm" 2>/dev/null
    wait "$vmm"
    vmm=
}

why_not() {
    command -v gdb >/dev/null || { echo 'no gdb here'; return; }
    [[ -e $image.elf ]] || { echo 'the small guests are not built (make guests)'; return; }
    [[ $1 != garbage ]] || command -v python3 >/dev/null || echo 'no python3 here'
    if [[ $1 == kernel ]]; then
        find_kernel || echo "$no_kernel"
    fi
}

for topic in "${topics[@]}"; do
    why=$(why_not "$topic")
    if [[ $why ]]; then
        skip "$topic@$engine" "$why"
        continue
    fi
    kernel_dir=$("$top/guest-images/linux/fetch-kernel" 2>/dev/null)
    "$topic" >"$work/wrong" 2>&1
    if [[ -n $vmm ]]; then
        kill "$vmm" 2>/dev/null
        wait "$vmm" 2>/dev/null
        vmm=
    fi
    judge "$topic@$engine" "$(cat "$work/wrong")"
done
finish
