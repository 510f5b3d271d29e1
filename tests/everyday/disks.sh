# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Disk images for tests/everyday/run.sh, made with mke2fs and a few bytes: whole-disk ext4, MBR and GPT tables around such file systems.

# ROOT-DIRECTORY: a root of busybox whose init reports what it sees and powers off.
make_root() {
    local root=$1 applet
    mkdir -p "$root"/{bin,dev,proc,sys,sbin,tmp,etc}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in sh cat grep sed poweroff; do ln -sf busybox "$root/bin/$applet"; done
    cat >"$root/sbin/init" <<'INIT'
#!/bin/sh
echo "TEST init $$ $*"
echo "TEST root $(sed -n 's,^\([^ ]*\) / \([^ ]*\) \(r[ow]\).*,\1 \2 \3,p' /proc/mounts)"
echo "TEST label $(cat /etc/label)"
[ -c /dev/null ] && echo "TEST dev"
poweroff -f
INIT
    chmod +x "$root/sbin/init"
}

# FILE ROOT-DIRECTORY MIB LABEL [UUID]: an ext4 file system; its label stands in /etc/label too.
make_ext4() {
    echo "$4" >"$2/etc/label"
    rm -f "$1"
    truncate -s "$3M" "$1"
    mke2fs -q -F -t ext4 -E root_owner=0:0 -L "$4" ${5:+-U "$5"} -d "$2" "$1"
}

# FILE OFFSET HEX: bytes into a file.
put() {
    printf '%b' "$(tr -d ' \n' <<<"$3" | sed 's/../\\x&/g')" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# NUMBER BYTES: as little-endian hex.
le() {
    local n=$1 i
    for ((i = 0; i < $2; i++)); do
        printf '%02x' $((n & 255))
        n=$((n >> 8))
    done
}

# FILE OFFSET LENGTH: the CRC-32 of a piece of a file as little-endian hex (gzip has it in its trailer).
crc32() {
    dd if="$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" bs=64K status=none | gzip -c | tail -c 8 | head -c 4 | od -A n -t x1 | tr -d ' \n'
}

# FILE FS1 FS2: an MBR with partitions 1 and 5 (a logical one), which hold the two file systems.
make_mbr() {
    local size1=$(($(stat -c %s "$2") / 512)) size2=$(($(stat -c %s "$3") / 512)) second
    second=$((2048 + size1))
    rm -f "$1"
    truncate -s $(((second + 2048 + size2 + 2048) * 512)) "$1"
    put "$1" 440 "78563412 0000"
    put "$1" 446 "80000000 83000000 $(le 2048 4) $(le $size1 4)"
    put "$1" 462 "00000000 05000000 $(le $second 4) $(le $((2048 + size2)) 4)"
    put "$1" 510 55aa
    put "$1" $((second * 512 + 446)) "00000000 83000000 $(le 2048 4) $(le $size2 4)"
    put "$1" $((second * 512 + 510)) 55aa
    dd if="$2" of="$1" bs=1M oflag=seek_bytes seek=$((2048 * 512)) conv=notrunc,sparse status=none
    dd if="$3" of="$1" bs=1M oflag=seek_bytes seek=$(((second + 2048) * 512)) conv=notrunc,sparse status=none
}

linux_data=af3dc60f838472478e793d69d8477de4
linux_root=e3bc684fcde8b14d96e7fbcaf984b709

# FILE INDEX FIRST-SECTOR SECTORS TYPE UUID-BYTE NAME: one entry of a GPT. Its UUID is that byte, sixteen times.
put_gpt_entry() {
    local name i uuid=''
    for ((i = 0; i < 16; i++)); do uuid+=$6; done
    name=$(printf '%s' "$7" | od -A n -t x1 | tr -d '\n' | sed 's/ \(..\)/\100/g')
    put "$1" $((1024 + 128 * $2)) "$5 $uuid $(le "$3" 8) $(le $(($3 + $4 - 1)) 8) 0000000000000000 $name"
}

# FILE SECTOR OTHER-HEADER ENTRIES LAST-USABLE: a GPT's header, when its entries are there.
put_gpt_header() {
    put "$1" $(($2 * 512)) "4546492050415254 00000100 5c000000 00000000 00000000 $(le "$2" 8) $(le "$3" 8) 2200000000000000 $(le "$5" 8)
33333333333333333333333333333333 $(le "$4" 8) 80000000 80000000 $(crc32 "$1" $(($4 * 512)) 16384)"
    put "$1" $(($2 * 512 + 16)) "$(crc32 "$1" $(($2 * 512)) 92)"
}

# FILE FS1 FS2: a GPT and its copy at the end: 1 is bigger and of the type Linux data, 2 of the type Linux root.
make_gpt() {
    local size1=$(($(stat -c %s "$2") / 512)) size2=$(($(stat -c %s "$3") / 512)) second sectors
    second=$((2048 + size1))
    sectors=$((second + size2 + 2048))
    rm -f "$1"
    truncate -s $((sectors * 512)) "$1"
    put "$1" 446 "00000000 ee000000 01000000 $(le $((sectors - 1)) 4)"
    put "$1" 510 55aa
    put_gpt_entry "$1" 0 2048 "$size1" $linux_data 11 data
    put_gpt_entry "$1" 1 "$second" "$size2" $linux_root 22 "the-root"
    put_gpt_header "$1" 1 $((sectors - 1)) 2 $((sectors - 34))
    dd if="$1" of="$1" bs=512 skip=2 seek=$((sectors - 33)) count=32 conv=notrunc,sparse status=none
    put_gpt_header "$1" $((sectors - 1)) 1 $((sectors - 33)) $((sectors - 34))
    dd if="$2" of="$1" bs=1M oflag=seek_bytes seek=$((2048 * 512)) conv=notrunc,sparse status=none
    dd if="$3" of="$1" bs=1M oflag=seek_bytes seek=$((second * 512)) conv=notrunc,sparse status=none
}
