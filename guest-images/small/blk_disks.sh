# SPDX-License-Identifier: MIT
# Disks of 64 sectors, each a line with its number; and what the guest must have made of the first.
# $2: the second queue wrote, too.
lines() {
    awk -v edited="$1" -v second="$2" 'BEGIN {
        for (s = 0; s < 64; s++) {
            line = sprintf("sector %d ", s)
            if (edited && s >= 8 && s < 16)
                for (line = ""; length(line) < 512; line = line letter("a", (s - 8) * 512)) ;
            else if (edited && s >= 24 && s < 28)
                for (line = ""; length(line) < 512; line = line "~") ;
            else if (second && s == 40)
                for (line = ""; length(line) < 512; line = line letter("A", 0)) ;
            else
                for (; length(line) < 511; line = line ".") ;
            printf "%s%s", line, length(line) < 512 ? "\n" : ""
        }
    }
    function letter(first, from,   base) {
        base = first == "a" ? "abcdefghijklmnopqrstuvwxyz" : "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return substr(base, (from + length(line)) % 26 + 1, 1)
    }'
}

case $1 in
setup)
    lines 0 0 >a
    lines 0 0 >b
    ;;
check)
    lines 1 "$2" | tr '~' '\000' >expected
    cmp expected a
    lines 0 0 | cmp - b
    ;;
esac
