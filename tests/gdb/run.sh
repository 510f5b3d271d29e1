#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# gdb itself against guests: a small one with four CPUs, and the stock kernel with its symbols. What gdb prints is looked at line by line.
# Topics: those below, as functions.
# Usage: tests/gdb/run.sh [--testbed] [--engine NAME] MINIVMM [TOPIC]...        kvm: for hosts that have it
# --testbed: KVM inside one session of tests/testbed, gdb beside it. Its emulated processor tells a hypervisor of neither INT3 nor the breakpoint
# registers of a guest, so by default only the topics without breakpoints are tried there.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
engine=interp testbed=
if [[ ${1-} == --testbed ]]; then
    engine=kvm testbed=1
    shift
fi
if [[ ${1-} == --engine ]]; then
    engine=$2
    shift 2
fi
bin=$(realpath "${1:?usage: tests/gdb/run.sh [--testbed] [--engine NAME] MINIVMM [TOPIC]...}")
shift
topics=("$@")
((${#topics[@]})) || topics=(start-stop step watch threads detach lost-client garbage end tcp control attach kernel)
((${#topics[@]} - $#)) && [[ $testbed ]] && topics=(step detach end clocks attach)
clock_test=$top/build/tests/unit/kvm_time_test
image=$top/build/guest-images/smp_long.img
kernel=$top/build/gdb-kernel # in the testbed, where it cannot be made
[[ -d $kernel ]] || kernel=$work/kernel
vmm=

# A guest that waits for gdb; its serial port is in $work/console.
launch() {
    rm -f "$work/socket" "$work/console"
    timeout $((90 * SLOW)) "$bin" -accel "$engine" -d none -nic none -serial "file:$work/console" -gdb "unix:$work/socket" "$@" >"$work/vmm" 2>&1 </dev/null &
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
        printf 'set pagination off\nset confirm off\nset remotetimeout %d\nfile %s\ntarget remote %s\n' $((30 * SLOW)) "${elf:-$image.elf}" "$work/socket"
        cat
    } >"$work/commands"
    timeout $((60 * SLOW)) gdb -nx -batch -x "$work/commands" >"$work/said" 2>&1 </dev/null
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

# No breakpoint but one of the guest's own making: it goes in circles until Ctrl-C.
step() {
    small -S
    debug <<'END'
info registers rip cs efer mxcsr
stepi
print $rip != &_start
stepi
x/i $rip
set $rbx = 0x1234
print/x $rbx
set $was = *(unsigned short *)&guest_main
set *(unsigned short *)&guest_main = 0xfeeb
x/i &guest_main
shell P=$PPID; (sleep 3; kill -INT $P) &
continue
print $rip == &guest_main
info registers cr0 efer
stepi
print $rip == &guest_main
info threads
maintenance packet Qqemu.PhyMemMode:1
x/2bx &guest_main
maintenance packet Qqemu.PhyMemMode:0
set *(unsigned short *)&guest_main = $was
stepi 20
print $rip != &guest_main
detach
END
    expect '^rip .*<_start>' '^cs ' '^efer +0x0' '^mxcsr +0x1f80' '^\$1 = 1' '=> 0x.* <_start\+' '^\$2 = 0x1234' 'guest_main>.*jmp ' \
        'received signal SIGINT' '^\$3 = 1' '^cr0 +0x8' '^efer +0x500' '^\$4 = 1' 'CPU 0, running' 'CPU 3, not started' 'received: "OK"' \
        '<guest_main>:.0xeb.0xfe' '^\$5 = 1' 'detached'
    ended_well
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
import os, socket, sys
def client():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10 * int(os.environ["SLOW"]))
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
        timeout $((60 * SLOW)) "$bin" -accel "$engine" -d none -nic none -serial "file:$work/console" -kernel "$image" -smp 4 -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
            -gdb "tcp::$port" -S -pidfile "$work/pid" >"$work/vmm" 2>&1 </dev/null &
        vmm=$!
        for ((i = 0; i < 100; i++)); do
            [[ ! -e $work/pid ]] && kill -0 "$vmm" 2>/dev/null || break
            sleep 0.1
        done
        [[ ! -e $work/pid ]] || break
    done
    timeout $((60 * SLOW)) gdb -nx -batch -ex "target remote 127.0.0.1:$port" -ex 'maintenance packet Qqemu.PhyMemMode:1' -ex 'x/2bx 0x100000' -ex 'kill' >"$work/said" 2>&1 </dev/null
    expect 'received: "OK"' '0x100000:' 'killed'
    wait_vmm
    ((status == 0)) || echo "kill ended it with status $status"
}

# gdb and a control socket, each with a hand on the machine: it runs when neither holds it.
control() {
    local ctl="$bin ctl $work/qmp"
    status_is() {
        $ctl query-status | grep -q "\"$1\"" || { echo "not $1:"; $ctl query-status; }
    }
    small -S -qmp "unix:$work/qmp"
    status_is prelaunch
    $ctl cont >/dev/null
    ended_well
    small -S -qmp "unix:$work/qmp"
    debug <<END
hbreak guest_main
shell $ctl query-status
continue
shell $ctl query-status
shell $ctl cont
shell $ctl query-status
print \$rip == &guest_main
shell $ctl stop
shell $ctl query-status
hbreak print
shell (sleep 1; $ctl query-status; $ctl cont) &
continue
delete
shell $ctl stop
detach
END
    expect 'prelaunch' 'hit Breakpoint 1, .*guest_main' '"debug"' '"debug"' '^\$1 = 1' '"paused"' 'paused by its monitor or QMP' '"paused"' \
        'hit Breakpoint 2, .*print' 'detached'
    status_is paused
    [[ ! -s $work/console ]] || { echo 'it ran on:'; cat "$work/console"; }
    $ctl cont >/dev/null
    ended_well
}

# What a guest's clocks show when it was held.
clocks() {
    "$clock_test" >"$work/said" 2>&1
    expect '^100%: Checks: [1-9]'
}

# What the topics with a stock kernel want: its symbols are those that it tells itself.
prepare_kernel() {
    mkdir "$1"
    timeout $((100 * SLOW)) "$bin" run --accel interp --kernel "$kernel_dir/vmlinuz" --modules "$kernel_dir/modules" --append nokaslr -- \
        cat /proc/kallsyms >"$work/kallsyms" 2>"$work/noise" || { echo 'no symbols'; cat "$work/noise"; return; }
    "$here/kernel-symbols" "$kernel_dir/vmlinux" "$work/kallsyms" "$1/vmlinux"
    "$top/guest-images/linux/mkinitramfs" "$1/initrd.cpio" --init "$here/guest-init.sh"
    awk '$3 == "jiffies_64" {print "0x" $1}' "$work/kallsyms" >"$1/jiffies"
}

launch_kernel() {
    [[ -d $kernel ]] || prepare_kernel "$kernel"
    launch -m 256 -smp 2 -kernel "$kernel/vmlinux" -initrd "$kernel/initrd.cpio" -append 'console=ttyS0 nokaslr' "$@"
}

lines() {
    wc -l <"$work/console"
}

# It runs, and not only in a circle.
lives_on() {
    local before i
    before=$(lines)
    for ((i = 0; i < 100; i++)); do
        (($(lines) <= before + 1)) || return 0
        sleep 0.2
    done
    echo 'the guest does not go on:'
    tail -n 3 "$work/console"
}

# A stock kernel in the midst of its work, without breakpoints.
attach() {
    local elf=$kernel/vmlinux i
    launch_kernel
    for ((i = 0; i < 300; i++)); do
        ! grep -q '^alive' "$work/console" 2>/dev/null || break
        sleep 0.2
    done
    debug <<END
info threads
stepi
stepi
stepi
print \$cr3 != 0
shell P=\$PPID; (sleep 2; kill -INT \$P) &
continue
thread apply all stepi
x/2i \$rip
info registers gs_base efer
detach
END
    expect 'Thread 1 \(CPU 0' 'Thread 2 \(CPU 1' '^\$1 = 1' 'received signal SIGINT' 'Thread 2' 'Thread 1' '=> 0x' '^efer +0x' 'detached'
    lives_on
    kill "$vmm" 2>/dev/null
    wait "$vmm"
    vmm=
}

kernel() {
    local elf=$kernel/vmlinux jiffies
    launch_kernel -S
    jiffies=$(<"$kernel/jiffies")
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
    lives_on
    kill "$vmm" 2>/dev/null
    wait "$vmm"
    vmm=
}

# The same script in there, with gdb and what its Python cannot start without.
in_testbed() {
    local python data log=$work/testbed status
    python=$(gdb -nx -batch -ex 'python import os; print(os.path.dirname(os.__file__))' 2>/dev/null)
    local files=(--file /bin/bash --file "$(command -v gdb)" --file "$bin" --file "$image" --file "$image.elf" --file "$here" --file "$top/tests/lib/suite.sh" --file "$clock_test")
    data=$(gdb -nx -batch -ex 'show data-directory' | cut -d'"' -f2)
    [[ ! -d $data ]] || files+=(--file "$data")
    if [[ -d $python ]]; then
        mkdir "$work/python"
        cp -r "$python"/*.py "$python"/{encodings,collections,importlib,re,json} "$work/python"
        files+=(--file "$work/python:$python")
    fi
    if [[ " $* " == *' attach '* ]]; then
        kernel_dir=$("$top/guest-images/linux/fetch-kernel") && prepare_kernel "$kernel" && files+=(--file "$kernel:$top/build/gdb-kernel")
    fi
    "$top/tests/testbed/testbed" --timeout $((600 * SLOW)) "${files[@]}" -- /bin/bash "$here/run.sh" --engine "$engine" "$bin" "$@" 2>"$log"
    status=$?
    cat "$log" >&2
    ((status == 125)) || return "$status"
    for topic; do echo "SKIP gdb/$topic@testbed: $(tail -n 1 "$log")"; done
    echo "0 passed, 0 failed, $# skipped"
}

why_not() {
    command -v gdb >/dev/null || { echo 'no gdb here'; return; }
    [[ -e $image.elf ]] || { echo 'the small guests are not built (make guests)'; return; }
    if [[ $engine == kvm && ! $testbed && ! -w /dev/kvm ]]; then
        echo 'no /dev/kvm for us here'
    elif [[ $engine == kvm && ! $testbed && $1 == @(watch|attach|clocks|kernel) ]] && ! grep -qwE 'svm|vmx' /proc/cpuinfo; then
        echo 'no hardware is behind the KVM of this host'
    fi
    [[ $1 != garbage ]] || command -v python3 >/dev/null || echo 'no python3 here'
    if [[ $1 == @(attach|kernel) && ! -d $kernel ]]; then
        find_kernel || echo "$no_kernel"
    fi
}

if [[ $testbed ]] && ! why_not "${topics[0]}" | grep -q .; then
    in_testbed "${topics[@]}"
    exit
fi
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
