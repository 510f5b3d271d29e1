# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What the probe says depends on the host; that it says it, and in which shape, does not.
"$BIN" probe --json >json 2>&1 </dev/null
echo "[exit $?]"
grep -o '"[a-z]*":' json | sort -u | tr '\n' ' '
echo
"$BIN" probe </dev/null 2>&1 | sed -n 's/  *$//; s/^\(engine .*reason\|ranking: .*interp\).*/\1/p' | sed 's/kvm, //'
t probe --xml
t probe --json more
t -n probe

# The choice is one line; -d none is quiet.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
for option in "-accel auto" "-d none" "-d boot,none" "-accel none"; do
    # shellcheck disable=SC2086
    timeout 10 "$BIN" $option -serial null -timeout 1 -kernel kernel 2>&1 </dev/null |
        sed -n 's/engine \(kvm\|interp\) (.*)$/engine NAME (REASON)/; /engine\|timeout/p'
done
