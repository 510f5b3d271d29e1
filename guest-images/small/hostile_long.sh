# SPDX-License-Identifier: MIT
# Victims a and c, whose contents may be anything afterwards but not of another size; b, in which
# the first sectors hold the alphabet, moved on by one in each, and the others are as they were.
case $1 in
setup)
    for disk in a b c; do head -c 32768 /dev/zero >$disk; done
    ;;
check)
    [ "$(wc -c <a)" -eq 32768 ] && [ "$(wc -c <c)" -eq 32768 ] || echo "a victim changed its size"
    awk 'BEGIN {
        for (s = 0; s < 64; s++) {
            for (line = ""; length(line) < 512; )
                line = line substr("abcdefghijklmnopqrstuvwxyz", (s + length(line)) % 26 + 1, 1)
            printf "%s", line
        }
    }' >alphabet
    touched=$(tr -d '\000' <b | wc -c)
    [ "$touched" -gt 0 ] || echo "the good disk was not written"
    head -c "$touched" alphabet >expected
    head -c $((32768 - touched)) /dev/zero >>expected
    cmp expected b
    ;;
esac
