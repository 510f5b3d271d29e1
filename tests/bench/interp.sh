#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/interp.sh [ROUNDS [ROW...]]
#
# The interpreter beside QEMU's translator (-accel tcg) and Bochs, in turns within one run: CPU time of the whole VMM process, medians of
# ROUNDS (default 5). All boot the stock cloud kernel; `boot` is the time to the first line of a guest's init, with Bochs from the
# entry of the kernel on. The other rows are those of
# tests/bench/interp-guest.c, which says on the serial port when each begins and ends; the time is read then. `native` is the same program
# on this host. At the end the table:
#
#   instr      instructions a unit, each round of a repeated string instruction counted, from a run of QEMU with -icount (boot: all of it,
#              firmware included); MIPS is that by the interpreter's time
#   interp, tcg, bochs, native      microseconds a unit
#   /bochs, /tcg, /native           interpreter's time by the other's
#
# then geometric means without boot, rep-* and rewrite. A row whose checksums differ says so, and then the status is 1.
# Bochs is Debian's (bochs, bochsbios, vgabios), which has its debugger built in. The CPU models differ, so mitigations are off in all.
# KERNEL=FILE and VMM=FILE replace build/linux/vmlinuz and ./minivmm; ENGINES="interp tcg" takes only those.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rounds=${1:-5}
rows=${*:2}
bios=/usr/share/bochs/BIOS-bochs-latest
vga=/usr/share/bochs/VGABIOS-lgpl-latest
append="console=ttyS0 quiet mitigations=off${rows:+ -- $rows}"

gcc -O2 -fno-tree-vectorize -static -Wall -Wextra -o "$out/interp-guest" tests/bench/interp-guest.c -lm
guest-images/linux/mkinitramfs "$out/interp.cpio" --modules none --init "$out/interp-guest"

engines=()
use() { # ENGINE NEEDED-FILE-OR-COMMAND...: or say why not
    local engine=$1 need
    [[ " ${ENGINES:-$engine} " == *" $engine "* ]] || return 0
    shift
    for need in "$@"; do
        if ! command -v "$need" >/dev/null && [[ ! -e $need ]]; then
            echo "$engine: skipped, $need is not here"
            return 0
        fi
    done
    engines+=("$engine")
}
use interp
use tcg qemu-system-x86_64
use bochs bochs-bin "$bios" "$vga"
use native

# A disk that tests/bench/bochs-boot.S boots from.
sectors() {
    echo $((($(stat -c %s "$1") + 511) / 512))
}

make_bochs_disk() {
    local setup kernel_sectors initrd_sectors
    setup=$(($(od -An -j 497 -N 1 -t u1 "$kernel") + 1))
    kernel_sectors=$(sectors "$kernel")
    initrd_sectors=$(sectors "$out/interp.cpio")
    gcc -m32 -c -o "$work/boot.o" -DSETUP_SECTORS=$setup -DKERNEL_SECTORS="$kernel_sectors" \
        -DINITRD_SECTORS="$initrd_sectors" -DINITRD_BYTES="$(stat -c %s "$out/interp.cpio")" \
        -DCOMMAND_LINE="\"$append\"" tests/bench/bochs-boot.S
    ld -m elf_i386 -Ttext=0x7c00 --oformat=binary -e _start -o "$work/disk" "$work/boot.o"
    dd if="$kernel" of="$work/disk" bs=512 seek=1 conv=notrunc status=none
    dd if="$out/interp.cpio" of="$work/disk" bs=512 seek=$((1 + kernel_sectors)) conv=notrunc status=none
    local cylinder=$((16 * 63)) all=$((1 + kernel_sectors + initrd_sectors))
    truncate -s $(((all + cylinder - 1) / cylinder * cylinder * 512)) "$work/disk"
    cat >"$work/bochsrc" <<END
megs: 512
romimage: file=$bios
vgaromimage: file=$vga
cpu: model=bx_generic, ips=50000000
clock: sync=none
display_library: rfb, options="timeout=0"
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=$work/disk, mode=flat, cylinders=0
boot: disk
com1: enabled=1, mode=file, dev=$work/pipe
speaker: enabled=1, mode=none
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
plugin_ctrl: speaker=0
mouse: enabled=0
log: $work/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
END
    echo c >"$work/bochs.go"
}
[[ " ${engines[*]} " != *" bochs "* ]] || make_bochs_disk

start_vmm() { # ENGINE: in the background, with its output in the pipe
    local machine=(-m 512 -kernel "$kernel" -initrd "$out/interp.cpio" -append "$append"
        -device isa-debug-exit,iobase=0xf4,iosize=4)
    local qemu=(qemu-system-x86_64 -accel tcg -M pc -nodefaults -display none -serial stdio -no-reboot)
    case $1 in
    interp) "$vmm" -accel interp "${machine[@]}" >"$work/pipe" 2>"$work/err" </dev/null & ;;
    tcg) "${qemu[@]}" "${machine[@]}" >"$work/pipe" 2>"$work/err" </dev/null & ;;
    count) "${qemu[@]}" -icount shift=0,sleep=off "${machine[@]}" >"$work/pipe" 2>"$work/err" </dev/null & ;;
    bochs)
        # Bochs holds a pipe of its own open for ever: it is ended behind the last line.
        rm -f "$work/disk.lock"
        bochs-bin -q -f "$work/bochsrc" -rc "$work/bochs.go" >"$work/err" 2>&1 </dev/null &
        ;;
    native) "$out/interp-guest" ${rows:+$rows} >"$work/pipe" 2>"$work/err" </dev/null & ;;
    esac
    pid=$!
}

cpu_ns() { # of all threads of $pid, and of what it waited for, into $now
    local file ns stat
    now=0
    for file in /proc/"$pid"/task/*/schedstat; do
        { read -r ns _ <"$file"; } 2>/dev/null || continue
        now=$((now + ns))
    done
    { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 0
    set -- ${stat##*) }
    now=$((now + (${14} + ${15}) * 10000000))
}

run_rows() { # ENGINE: into $work/data: engine, row, ns, units, checksum, ticks, unit
    local word name units check ticks unit began=0
    start_vmm "$1"
    exec 3<"$work/pipe"
    while read -t 600 -u 3 -r word name units check ticks unit; do
        unit=${unit%$'\r'} ticks=${ticks%$'\r'} name=${name%$'\r'}
        case $word in
        kernel*) cpu_ns; began=$now ;;
        *up) cpu_ns; echo "$1 boot $((now - began)) 1 - ${units%$'\r'} to init" >>"$work/data" ;;
        begin) cpu_ns; began=$now ;;
        end) cpu_ns; echo "$1 $name $((now - began)) $units $check $ticks $unit" >>"$work/data" ;;
        done*) break ;;
        esac
    done
    if [[ ${word:-} != done* ]]; then
        echo "interp.sh: $1 ended too soon:" >&2
        tail -n 20 "$work/err" >&2
    fi
    [[ $1 != bochs ]] || kill -KILL "$pid"
    exec 3<&-
    wait "$pid" 2>/dev/null || true
}

: >"$work/data"
for ((round = 1; round <= rounds; round++)); do
    for engine in "${engines[@]}"; do run_rows "$engine"; done
done
[[ " ${engines[*]} " != *" tcg "* ]] || run_rows count

awk -v engines="${engines[*]}" "$awk_median"'
function ratio(row, other) {
    return us[row, other] > 0 && !(row == "boot" && other == "native") ? us[row, "interp"] / us[row, other] : 0
}
{
    if (!($2 in seen)) { seen[$2] = 1; order[++rows] = $2 }
    if ($1 == "count") { instr[$2] = $6 / $4; if ($2 == "boot") next }
    else all[$2, $1] = all[$2, $1] " " $3 / $4 / 1000
    unit[$2] = $7
    for (n = 8; n <= NF; n++) unit[$2] = unit[$2] " " $n
    if (!(($2, $5) in sum)) { sum[$2, $5] = 1; sums[$2]++ }
}
END {
    count = split(engines, engine, " ")
    printf "%-10s %11s %6s", "row", "instr", "MIPS"
    for (e = 1; e <= count; e++) printf " %10s", engine[e]
    printf " %7s %7s %7s  unit\n", "/bochs", "/tcg", "/native"
    split("bochs tcg native", others, " ")
    for (r = 1; r <= rows; r++) {
        row = order[r]
        for (e = 1; e <= count; e++) us[row, engine[e]] = median(all[row, engine[e]])
        mine = us[row, "interp"]
        printf "%-10s %11s %6s", row, instr[row] ? sprintf("%.0f", instr[row]) : "-",
            instr[row] && mine ? sprintf("%.0f", instr[row] / mine) : "-"
        for (e = 1; e <= count; e++) printf " %10.2f", us[row, engine[e]]
        for (o = 1; o <= 3; o++) printf " %7s", ratio(row, others[o]) ? sprintf("%.3f", ratio(row, others[o])) : "-"
        printf "  %s%s\n", unit[row], (sums[row] > 1 ? " (checksums differ)" : "")
        if (sums[row] > 1) bad = 1
        if (row ~ /^(boot|rep-.*|rewrite)$/) continue
        for (o = 1; o <= 3; o++)
            if (ratio(row, others[o])) { logs[o] += log(ratio(row, others[o])); n_logs[o]++ }
    }
    for (o = 1; o <= 3; o++)
        if (n_logs[o])
            printf "geometric mean of interp / %s: %.3f (%.2f times as fast), %d rows\n", others[o],
                exp(logs[o] / n_logs[o]), exp(-logs[o] / n_logs[o]), n_logs[o]
    exit bad
}' "$work/data"
