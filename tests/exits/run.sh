#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The exit report (-exits) of guests whose exits are known, in its three forms; the page in headless Chromium; symbols, with a stock kernel that has moved
# itself; what cannot be written. Usage: tests/exits/run.sh MINIVMM [TOPIC]...
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
bin=$(realpath "${1:?usage: tests/exits/run.sh MINIVMM [TOPIC]...}")
shift
topics=("$@")
((${#topics[@]})) || topics=(text text-sampled json json-sampled counting-changes-nothing elf-symbols map-symbols bad-symbols smp reset icount monitor monitor-without bad-paths
    bad-options full vanished page-alone page page-hostile-names kvm kvm-smp kernel)
images=$top/build/guest-images
cd "$work" || exit 1
engine=interp

# NAME -DFLAG...: the boot sector guest.S, and its symbols
build() {
    local name=$1
    shift
    gcc -m32 -c "$@" -o "$name.o" "$here/guest.S" && ld -m elf_i386 -Ttext=0x7c00 -e _start -o "$name.elf" "$name.o" &&
        objcopy -O binary "$name.elf" "$name"
}
build few -DREADS=400 && build many -DREADS=200000 && build reset -DREADS=100 -DRESET && build loop -DREADS=300 -DLOOP && build off -DREADS=10 -DOFF || exit 1

# WANTED-STATUS GUEST OPTION...: what it said is in `said`
run() {
    local wanted=$1 guest=$2 status
    shift 2
    timeout $((60 * SLOW)) "$bin" -accel "$engine" -d none -m 16 -nic none -serial null -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$guest" "$@" \
        >said 2>&1 </dev/null
    status=$?
    ((status == wanted)) || { echo "$guest $*: status $status, not $wanted:"; tail -n 5 said; }
}

report() {
    python3 "$here/report.py" "$@"
}

# PATTERN... : lines that what was said must have
says() {
    local pattern
    for pattern; do
        grep -qE -- "$pattern" said || { echo "not there: $pattern"; sed 's/^/| /' said; }
    done
}

# An error before there is a guest: one line, with this text.
refused() {
    local wanted=$1 text=$2
    shift 2
    run "$wanted" few "$@"
    grep -qF -- "$text" said || { echo "$*: not said: $text"; cat said; }
    (($(wc -l <said) == 1)) || { echo "$*: more than one line:"; cat said; }
}

text() {
    run 33 few -exits
    says '^engine interp, 1 CPU: 40[12] exits in [0-9.]+ [mu]?s, of which minivmm worked on them ' '^pio +401 +[0-9.]+ [um]s$' \
        '^pio +0x61 port61 +400 +[0-9.]+ [um]s +400 +0$' '^pio +0xf4 [a-z-]+ +1 +[0-9.]+ [num]s +0 +1$' \
        '^ +400 +[0-9.]+ us +[0-9.]+ [num]s  read  port61 +0x7c06$' '^guest errors +0$'
    ! grep -q estimates said || echo 'all were looked at, but it speaks of estimates'
    awk '/^engine/ {all = $5} /^reason/ {inside = 1; next} /^$/ {inside = 0} inside {n += $2} END {if (n != all) print "reasons add up to " n ", not " all}' said
}

text-sampled() {
    run 33 many -exits
    says '1 CPU: 20000[12] exits' '^pio +200001 ' 'estimates from looks at [0-9]+ of them' '^pio +0x61 port61 +200000 .* 200000 +0$'
}

json() {
    run 33 few -exits=r.json
    report r.json 'r["exits"] == r["looks"]' 'r["engine"] == "interp"' 'r["vcpus"] == 1' \
        'reason("pio") == 401' 'r["exits"] - 401 == reason("intr")' 'device("port61")["reads"] == device("port61")["exits"] == 400' \
        'device("port61")["base"] == "0x61"' '[(a["rip"], a["exits"], a["write"]) for a in r["addresses"] if a["exits"] > 1] == [("0x7c06", 400, False)]' \
        '0 < r["ns"] < r["run_ns"]' 'r["counters"]["guest errors"] == 0'
    [[ ! -s said ]] || { echo 'it said something:'; cat said; }
    (($(find . -name 'r.json*' | wc -l) == 1)) || echo 'files were left beside it'
}

json-sampled() {
    run 33 many -exits=r.json
    report r.json 'reason("pio") == 200001' 'r["looks"] < 20000' 'device("port61")["reads"] == 200000' 'device("port61")["exits"] == 200000' \
        '[a["rip"] for a in r["addresses"] if a["exits"] > 1] == ["0x7c06"]'
}

# The guest must not notice, down to the instruction.
counting-changes-nothing() {
    run 33 many -icount 0 -d icount
    mv said without
    run 33 many -icount 0 -d icount -exits=r.json
    diff without said
    report r.json 'reason("pio") == 200001'
}

elf-symbols() {
    run 33 few -exits=r.json -symbols few.elf
    report r.json '"poll" in names' 'set(names) == {"poll", "end"}' '[a["offset"] for a in r["addresses"] if a["symbol"] == "poll"] == [0]'
    run 33 few -exits -symbols few.elf
    says 'read  port61 +poll\+0$'
}

map-symbols() {
    nm few.elf >map
    run 33 few -exits=r.json -symbols map
    report r.json '"poll" in names'
    printf '00007bff T before\r\n00007c08 t behind\n' >map
    run 33 few -exits=r.json -symbols map
    report r.json '"before" in names' 'any(a["symbol"] == "before" and a["offset"] == 7 for a in r["addresses"])'
}

bad-symbols() {
    cp few.elf stripped
    strip stripped
    head -c 3000 /dev/urandom | tr -d 'tTwW' >garbage
    : >empty
    refused 1 "-symbols: open 'missing': No such file" -exits -symbols missing
    refused 1 "-symbols: read '.': Is a directory" -exits -symbols .
    refused 1 "-symbols: 'stripped' names no functions" -exits -symbols stripped
    refused 1 "-symbols: 'garbage' names no functions" -exits -symbols garbage
    refused 1 "-symbols: 'empty' names no functions" -exits -symbols empty
    if ((EUID)); then
        chmod 0 empty
        refused 1 "-symbols: open 'empty': Permission denied" -exits -symbols empty
    fi
}

smp() {
    run 33 "$images/smp_long.img" -smp 4 -exits=r.json -symbols "$images/smp_long.img.elf"
    report r.json 'r["vcpus"] == 4' 'r["engine"] == "'"$engine"'"' 'device("com1")["writes"] > 50' '"com1" in {r["devices"][a["device"]]["name"] for a in r["addresses"]}' \
        'len(names) == len(r["addresses"]) > 0'
}

# What the guest did in all its lives.
reset() {
    run 33 reset -exits=r.json
    report r.json 'device("port61")["reads"] == device("port61")["exits"] == 200' 'device("rtc")["reads"] == 2' 'device("rtc")["writes"] == 4'
}

# Time that counts instructions is the guest's; the report's is the host's.
icount() {
    run 33 few -icount 4 -exits=r.json
    report r.json 'reason("pio") == 401' 'r["run_ns"] > 0'
}

monitor_says() { # COMMAND OPTION...
    local command=$1
    shift
    { sleep 1; printf '%s\nquit\n' "$command"; sleep 1; } |
        timeout $((60 * SLOW)) "$bin" -accel interp -d none -m 16 -nic none -serial null -kernel loop -monitor stdio "$@" >said 2>&1 ||
        { echo "status $?"; tail -n 5 said; }
}

monitor() {
    monitor_says 'info exits' -exits=r.json -symbols loop.elf
    says 'engine interp, 1 CPU: 30[0-9] exits in ' '^pio +300 ' 'port61 +300 ' 'read  port61 +poll\+0'
    report r.json 'device("port61")["exits"] == 300'
}

monitor-without() {
    monitor_says 'info exits'
    says 'engine interp, 1 CPU: 30[0-9] exits' '^pio +300' 'port61 +300 +0$' '^times and guest addresses: start with -exits'
    ! grep -q ' in .*of which' said || echo 'times without -exits'
}

bad-paths() {
    mkdir dir.json closed
    refused 1 "-exits: 'dir.json' is a directory" -exits=dir.json
    refused 1 "-exits: create a file beside 'no/such/r.html': No such file or directory" -exits=no/such/r.html
    if ((EUID)); then
        chmod 555 closed
        refused 1 'Permission denied' -exits=closed/r.json
    fi
    rmdir dir.json
}

bad-options() {
    refused 2 "-exits: 'foo' ends neither in .json nor in .html" -exits=foo
    refused 2 "-exits: '.json' ends neither" -exits=.json
    refused 2 "-exits: '' ends neither" -exits=
    refused 2 '-symbols without -exits' -symbols few.elf
    refused 2 '-symbols needs a value' -exits -symbols
}

# The guest had ended well; the report was not written: that is the status.
full() {
    ln -sf /dev/full full.json
    run 0 off -no-reboot
    run 1 off -no-reboot -exits=full.json
    says "-exits: write 'full.json': No space left on device"
    run 33 few -exits=full.json # the guest's own word goes before
    says 'No space left on device'
}

vanished() {
    mkdir gone
    { sleep 1; rm -r gone; printf 'quit\n'; sleep 1; } |
        timeout $((60 * SLOW)) "$bin" -accel interp -d none -m 16 -nic none -serial null -kernel loop -monitor stdio -exits=gone/r.html >said 2>&1
    (($? == 1)) || echo "status $?"
    says "-exits: write 'gone/r.html': No such file or directory"
}

# --- the page ---

page-alone() {
    run 33 few -exits=r.html
    report r.html 'reason("pio") == 401'
    ! grep -noiE '(https?:|//[a-z0-9]+\.[a-z]|@import|url\()[^"]{0,30}' r.html | grep -v 'http://www.w3.org/2000/svg' || echo 'the page names something elsewhere'
    ! grep -noiE '<(link|img|iframe|script[^>]* src|object|embed|base)[^>]*>|innerHTML|document\.write' r.html || echo 'the page takes something from elsewhere'
}

# FILE OPTION...: the page as Chromium has it when its scripts have run, without network where this host lets us
chromium_() {
    local page=$1 alone=()
    shift
    ! unshare -rn true 2>/dev/null || alone=(unshare -rn)
    rm -rf profile
    mkdir profile
    HOME=$work/profile timeout $((60 * SLOW)) "${alone[@]}" chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --disable-dev-shm-usage --hide-scrollbars --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir="$work/profile" --virtual-time-budget=3000 "$@" \
        "file://$work/$page" 2>noise
}

page() {
    run 33 "$images/hello_long.img" -exits=r.html
    local exits
    exits=$(python3 -c 'import sys, re, json; print(json.loads(re.search("id=\"report\">([^<]*)<", open("r.html").read())[1])["exits"])')
    chromium_ r.html --dump-dom >dom || { echo 'chromium failed:'; tail -n 3 noise; }
    grep -qF "<dt>Exits</dt><dd>$exits<small>" dom || echo "no total of $exits"
    grep -qE '<td class="name"><span class="swatch"[^>]*></span>com1</td><td class="code">pio</td><td class="number code">0x3f8</td>' dom || echo 'no row for com1'
    grep -qF '<svg viewBox' dom || echo 'no timeline'
    grep -qF 'Each exit was looked at' dom || echo 'no word about exactness'
    grep -qE '<p id="failed" hidden' dom || echo 'the page says that it failed'
    local size
    for size in 900x700 400x600; do
        chromium_ r.html --window-size="${size/x/,}" --screenshot="$work/shot.png" >noise2 || { echo 'chromium failed:'; tail -n 3 noise; }
        read -r width height colours < <(python3 "$here/png.py" shot.png)
        [[ $width == "${size%x*}" && $height == "${size#*x}" ]] || echo "the screenshot is $width x $height"
        ((colours > 20)) || echo "only $colours colours in $size"
    done
}

# Names come from a file that somebody may have made for this.
page-hostile-names() {
    printf '00007bf0 T </script><script>document.title="taken"</script>\n00007c08 T "\x27><img/src=x/onerror=document.title="taken">\xff\xfe\x1b[2J\n' >map
    run 33 few -exits=r.html -symbols map
    report r.html 'any(n.startswith("</script><script>") for n in names)' 'any("onerror" in n for n in names)'
    chromium_ r.html --dump-dom >dom || { echo 'chromium failed:'; tail -n 3 noise; }
    grep -q '<title>40[12] exits' dom || echo "the title is $(grep -o '<title>[^<]*' dom)"
    grep -qF '&lt;/script&gt;&lt;script&gt;document.title="taken"&lt;/script&gt;+0x16' dom || echo 'the name is not shown as it is'
    ! grep -q '<img' dom || echo 'a name has become markup'
    run 33 few -exits -symbols map
    ! grep -q $'\x1b' said || echo 'an escape sequence on the terminal'
}

# --- KVM, and a stock kernel ---

kvm() {
    engine=kvm,probe=off
    run 33 few -exits=r.json
    report r.json 'r["engine"] == "kvm"' 'reason("pio") == 401' 'device("port61")["reads"] == device("port61")["exits"] == 400' \
        'r["looks"] == r["exits"]' 'all(int(a["rip"], 16) in range(0x7c00, 0x7e00) for a in r["addresses"])'
    if grep -q '"kernel: ' r.json; then
        report r.json 'r["counters"]["kernel: exits"] >= 401'
    fi
}

kvm-smp() {
    engine=kvm
    smp
}

kernel() {
    local linux=$kernel_dir append='console=ttyS0 panic=-1'
    timeout $((200 * SLOW)) "$bin" run --accel interp --kernel "$linux/vmlinuz" --modules "$linux/modules" --append nokaslr -- cat /proc/kallsyms >kallsyms 2>noise ||
        { echo 'no symbols'; tail -n 3 noise; return; }
    local machine=(-accel interp -d none -nic none -serial null -no-reboot -timeout $((150 * SLOW)) -kernel "$linux/vmlinuz" -symbols kallsyms)
    local wanted=('"io_serial_out" in names' '"pci_conf1_read" in names' '"com1" in {r["devices"][a["device"]]["name"] for a in r["addresses"] if a["symbol"] == "io_serial_out"}'
        'device("com1")["writes"] > 1000')
    "$bin" "${machine[@]}" -kernel-unpack guest -append "$append nokaslr" -exits=still.json >said 2>&1 </dev/null || { echo "status $?"; cat said; }
    report still.json "${wanted[@]}" 'all(a["symbol"] for a in r["addresses"] if int(a["rip"], 16) >> 31 == 0x1ffffffff)'
    "$bin" "${machine[@]}" -kernel-unpack guest -append "$append" -exits=moved.json >said 2>&1 </dev/null || { echo "status $?"; cat said; }
    report moved.json "${wanted[@]}"
    python3 - still.json moved.json <<'END'
import json, sys
def where(path):
    return {a["symbol"]: int(a["rip"], 16) - a["offset"] for a in json.load(open(path))["addresses"]}
still, moved = where(sys.argv[1]), where(sys.argv[2])
slides = {moved[n] - still[n] for n in ("io_serial_out", "pci_conf1_read", "rtc_cmos_read")}
if len(slides) != 1 or slides.pop() % (1 << 21):
    print("one slide was expected:", slides)
END
}

why_not() {
    case $1 in
    smp | page | kvm-smp) [[ -e $images/smp_long.img.elf && -e $images/hello_long.img ]] || echo 'the small guests are not built (make guests)' ;;
    esac
    case $1 in
    page | page-hostile-names) command -v chromium >/dev/null || echo 'no chromium here' ;;
    kvm | kvm-smp)
        if ! { : <>/dev/kvm; } 2>/dev/null; then
            echo 'no /dev/kvm that can be opened'
        elif [[ $1 == kvm-smp ]] && ! grep -qwE 'svm|vmx' /proc/cpuinfo; then
            echo 'the host CPU has neither svm nor vmx'
        fi
        ;;
    kernel) find_kernel || echo "$no_kernel" ;;
    esac
}

command -v python3 >/dev/null || skip_all 'no python3 here' "${topics[@]}"
for topic in "${topics[@]}"; do
    why=$(why_not "$topic")
    if [[ $why ]]; then
        skip "$topic" "$why"
        continue
    fi
    engine=interp
    kernel_dir=$top/build/linux
    "$topic" >wrong 2>&1
    judge "$topic" "$(<wrong)"
done
finish
