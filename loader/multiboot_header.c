// SPDX-License-Identifier: MIT
//
// Looking for a multiboot 1 header.
#include "multiboot_header.h"

#include <string.h>

#include "util.h"

#define SEARCH_MAX 8192u /* the whole header lies in the first so many bytes */
#define HEADER_MAGIC 0x1badb002u
#define HEADER_SHORT 12u /* without the address fields */

enum mb_found mb_find_header(const struct kernel_file *kernel, struct mb_header *header,
                             uint32_t *offset)
{
    size_t end = kernel->head_len < SEARCH_MAX ? kernel->head_len : SEARCH_MAX;
    enum mb_found found = MB_NONE;

    for (uint32_t at = 0; at + HEADER_SHORT <= end; at += 4) {
        const uint8_t *p = kernel->head + at;
        if (load_le32(p) != HEADER_MAGIC)
            continue;
        found = MB_DAMAGED;
        if (HEADER_MAGIC + load_le32(p + 4) + load_le32(p + 8))
            continue;
        size_t len = end - at < sizeof *header ? HEADER_SHORT : sizeof *header;
        *header = (struct mb_header){0};
        memcpy(header, p, len);
        if ((header->flags & HAS_ADDRESSES) && len < sizeof *header)
            continue;
        *offset = at;
        return MB_VALID;
    }
    return found;
}
