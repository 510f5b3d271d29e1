// SPDX-License-Identifier: MIT
//
// Partition tables and superblocks: see disk_probe.h.
#include "disk_probe.h"

#include <string.h>

#include "util.h"

#define SECTOR 512u
#define GPT_ENTRY_MAX 128u /* entries that are looked at; the usual number of them */
#define MBR_EXTENDED_MAX 60

static bool read_at(const struct disk_source *disk, uint64_t offset, void *buf, size_t len)
{
    return range_fits(offset, len, disk->size) && disk->read(disk->opaque, offset, buf, len);
}

/* --- text --- */

static void put_hex(char **to, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    *(*to)++ = digits[byte >> 4];
    *(*to)++ = digits[byte & 15];
}

/* 16 bytes in the order given, with the dashes of a UUID. */
static void put_uuid(char *to, const uint8_t *id, const uint8_t order[16])
{
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        put_hex(&to, id[order[i]]);
    }
    *to = '\0';
}

static const uint8_t in_order[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t as_guid[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

/* A label of at most `len` bytes; what is not printable ends up as '?'. */
static void put_label(char *to, const uint8_t *from, size_t len)
{
    size_t n = 0;
    for (; n < len && n < DISK_LABEL_TEXT - 1 && from[n]; n++)
        to[n] = from[n] < 0x20 || from[n] == 0x7f ? '?' : (char)from[n];
    to[n] = '\0';
}

/* The same from UTF-16; other letters than ASCII become '?'. */
static void put_label16(char *to, const uint8_t *from, size_t units)
{
    size_t n = 0;
    for (; n < units && n < DISK_LABEL_TEXT - 1; n++) {
        uint16_t c = load_le16(from + 2 * n);
        if (!c)
            break;
        to[n] = c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    to[n] = '\0';
}

/* --- partitions --- */

static struct disk_part *add_part(struct disk_parts *parts, uint64_t disk_size, unsigned number,
                                  uint64_t first, uint64_t sectors)
{
    uint64_t offset, size;
    if (parts->count == DISK_MAX_PARTS || !sectors ||
        __builtin_mul_overflow(first, (uint64_t)SECTOR, &offset) ||
        __builtin_mul_overflow(sectors, (uint64_t)SECTOR, &size) ||
        !range_fits(offset, size, disk_size) || !offset)
        return NULL;
    struct disk_part *part = &parts->part[parts->count++];
    memset(part, 0, sizeof *part);
    part->number = number;
    part->offset = offset;
    part->size = size;
    return part;
}

static uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return crc;
}

static bool gpt_header_holds(const uint8_t *header)
{
    uint8_t copy[SECTOR];
    uint32_t len = load_le32(header + 12);
    if (memcmp(header, "EFI PART", 8) || len < 92 || len > SECTOR || load_le64(header + 24) != 1)
        return false;
    memcpy(copy, header, sizeof copy);
    store_le32(copy + 16, 0);
    return ~crc32_add(~0u, copy, len) == load_le32(header + 16);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static void read_gpt(const struct disk_source *disk, struct disk_parts *parts)
{
    uint8_t header[SECTOR], entry[SECTOR];
    if (!read_at(disk, SECTOR, header, sizeof header) || !gpt_header_holds(header))
        return;
    uint64_t at;
    uint32_t count = load_le32(header + 80), size = load_le32(header + 84);
    if (size < 128 || size > SECTOR || !is_power_of_two(size) ||
        __builtin_mul_overflow(load_le64(header + 72), (uint64_t)SECTOR, &at))
        return;
    parts->table = DISK_TABLE_GPT;
    for (uint32_t i = 0; i < count && i < GPT_ENTRY_MAX; i++) {
        uint64_t where;
        if (__builtin_add_overflow(at, (uint64_t)i * size, &where) ||
            !read_at(disk, where, entry, size))
            return;
        uint64_t first = load_le64(entry + 32), last = load_le64(entry + 40);
        if (is_zero(entry, 16) || last < first || last == UINT64_MAX)
            continue;
        struct disk_part *part = add_part(parts, disk->size, i + 1, first, last - first + 1);
        if (!part)
            continue;
        memcpy(part->type, entry, 16);
        put_uuid(part->uuid, entry + 16, as_guid);
        put_label16(part->label, entry + 56, 36);
    }
}

static bool is_extended(uint8_t type)
{
    return type == 0x05 || type == 0x0f || type == 0x85;
}

static void add_mbr_part(const struct disk_source *disk, struct disk_parts *parts,
                         const uint8_t *entry, uint64_t base, unsigned number, uint32_t disk_id)
{
    if (!entry[4])
        return;
    struct disk_part *part = add_part(parts, disk->size, number, base + load_le32(entry + 8),
                                      load_le32(entry + 12));
    if (!part)
        return;
    part->type[0] = entry[4];
    char *to = part->uuid;
    for (int shift = 24; shift >= 0; shift -= 8)
        put_hex(&to, (uint8_t)(disk_id >> shift));
    *to++ = '-';
    put_hex(&to, (uint8_t)number);
    *to = '\0';
}

/* The chain in an extended partition: each sector holds one partition and the way to the next. */
static void read_logical(const struct disk_source *disk, struct disk_parts *parts, uint64_t start,
                         uint32_t disk_id)
{
    uint64_t at = start;
    for (unsigned number = 5; number < 5 + MBR_EXTENDED_MAX; number++) {
        uint8_t sector[SECTOR];
        if (!read_at(disk, at * SECTOR, sector, sizeof sector) ||
            load_le16(sector + 510) != 0xaa55)
            return;
        const uint8_t *entry = sector + 446, *next = sector + 462;
        if (!is_extended(entry[4]))
            add_mbr_part(disk, parts, entry, at, number, disk_id);
        if (!is_extended(next[4]) || !load_le32(next + 8))
            return;
        at = start + load_le32(next + 8);
    }
}

/* An entry as a boot sector may have it; a disk without partitions may hold anything there. */
static bool mbr_entry_holds(const uint8_t *entry)
{
    return !(entry[0] & 0x7f) && (!entry[4] || load_le32(entry + 12));
}

void disk_read_parts(const struct disk_source *disk, struct disk_parts *parts)
{
    uint8_t mbr[SECTOR];
    parts->table = DISK_TABLE_NONE;
    parts->count = 0;
    if (!read_at(disk, 0, mbr, sizeof mbr) || load_le16(mbr + 510) != 0xaa55)
        return;
    bool used = false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *entry = mbr + 446 + 16 * i;
        if (!mbr_entry_holds(entry))
            return;
        used |= entry[4];
        if (entry[4] == 0xee) {
            read_gpt(disk, parts);
            return;
        }
    }
    if (!used)
        return;
    parts->table = DISK_TABLE_MBR;
    uint32_t disk_id = load_le32(mbr + 440);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *entry = mbr + 446 + 16 * i;
        if (is_extended(entry[4]))
            read_logical(disk, parts, load_le32(entry + 8), disk_id);
        else
            add_mbr_part(disk, parts, entry, 0, i + 1, disk_id);
    }
}

/* --- file systems --- */

/* Where a kind keeps its magic, UUID and label, in bytes from its start; uuid or label 0: none. */
static const struct fs_kind {
    const char *type;
    bool mountable;
    uint32_t magic_at;
    uint8_t magic_len;
    char magic[9];
    uint32_t uuid_at, label_at;
    uint8_t label_len; /* bytes; UTF-16 units when wide */
    bool wide;
} fs_kinds[] = {
    {"crypto_LUKS", false, 0, 6, "LUKS\xba\xbe", 0, 0, 0, false},
    {"LVM2_member", false, 512, 8, "LABELONE", 0, 0, 0, false},
    {"linux_raid_member", false, 4096, 4, "\xfc\x4e\x2b\xa9", 0, 0, 0, false},
    {"ext4", true, 1080, 2, "\x53\xef", 1128, 1144, 16, false},
    {"xfs", true, 0, 4, "XFSB", 32, 108, 12, false},
    {"btrfs", true, 0x10040, 8, "_BHRfS_M", 0x10020, 0x1012b, 64, false},
    {"f2fs", true, 1024, 4, "\x10\x20\xf5\xf2", 1132, 1148, 64, true},
    {"erofs", true, 1024, 4, "\xe2\xe1\xf5\xe0", 1072, 1088, 16, false},
    {"squashfs", true, 0, 4, "hsqs", 0, 0, 0, false},
};

static bool read_fs_kind(const struct disk_source *disk, uint64_t offset, uint64_t size,
                         const struct fs_kind *kind, struct disk_fs *fs)
{
    uint8_t bytes[128];
    if (!range_fits(kind->magic_at, kind->magic_len, size) ||
        !read_at(disk, offset + kind->magic_at, bytes, kind->magic_len) ||
        memcmp(bytes, kind->magic, kind->magic_len))
        return false;
    fs->type = kind->type;
    fs->mountable = kind->mountable;
    if (kind->uuid_at && range_fits(kind->uuid_at, 16, size) &&
        read_at(disk, offset + kind->uuid_at, bytes, 16))
        put_uuid(fs->uuid, bytes, in_order);
    size_t len = kind->wide ? 2u * kind->label_len : kind->label_len;
    if (kind->label_at && range_fits(kind->label_at, len, size) &&
        read_at(disk, offset + kind->label_at, bytes, len)) {
        if (kind->wide)
            put_label16(fs->label, bytes, kind->label_len);
        else
            put_label(fs->label, bytes, len);
    }
    return true;
}

void disk_read_fs(const struct disk_source *disk, uint64_t offset, uint64_t size,
                  struct disk_fs *fs)
{
    memset(fs, 0, sizeof *fs);
    if (!range_fits(offset, size, disk->size))
        return;
    for (size_t i = 0; i < ARRAY_LEN(fs_kinds); i++) {
        if (read_fs_kind(disk, offset, size, &fs_kinds[i], fs))
            return;
    }
}

/* --- the root --- */

/* 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 and 0fc63daf-8483-4772-8e79-3d69d8477de4 */
static const uint8_t type_root[16] = {0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
                                      0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09};
static const uint8_t type_linux[16] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                                       0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

/* How much a partition's type speaks for its being the root: 0 to 2. */
static unsigned type_rank(enum disk_table table, const struct disk_part *part)
{
    if (table == DISK_TABLE_MBR)
        return part->type[0] == 0x83;
    if (!memcmp(part->type, type_root, 16))
        return 2;
    return !memcmp(part->type, type_linux, 16);
}

int disk_find_root(const struct disk_source *disk, struct disk_parts *parts, struct disk_fs *fs)
{
    const struct disk_part *best = NULL;
    unsigned best_rank = 0;
    disk_read_parts(disk, parts);
    if (parts->table == DISK_TABLE_NONE) {
        disk_read_fs(disk, 0, disk->size, fs);
        return fs->type ? 0 : -1;
    }
    memset(fs, 0, sizeof *fs);
    for (unsigned i = 0; i < parts->count; i++) {
        const struct disk_part *part = &parts->part[i];
        struct disk_fs here;
        disk_read_fs(disk, part->offset, part->size, &here);
        unsigned rank = type_rank(parts->table, part);
        if (!here.type && rank < 2)
            continue;
        if (best && (rank < best_rank || (rank == best_rank && part->size <= best->size)))
            continue;
        best = part;
        best_rank = rank;
        *fs = here;
    }
    return best ? (int)best->number : -1;
}
