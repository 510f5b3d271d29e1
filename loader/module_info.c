// SPDX-License-Identifier: MIT
//
// What a kernel module says of itself: the section .modinfo of its ELF file (System V gABI chapter
// 4), words "key=value", each closed by a zero byte. Every offset in the file is hostile.
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "modules.h"
#include "util.h"

static bool section_header(const uint8_t *data, size_t len, const Elf64_Ehdr *ehdr, unsigned i,
                           Elf64_Shdr *sh)
{
    uint64_t at;
    if (i >= ehdr->e_shnum ||
        __builtin_add_overflow(ehdr->e_shoff, (uint64_t)i * sizeof *sh, &at) ||
        !range_fits(at, sizeof *sh, len))
        return false;
    memcpy(sh, data + at, sizeof *sh);
    return sh->sh_type == SHT_NOBITS || range_fits(sh->sh_offset, sh->sh_size, len);
}

static bool find_modinfo(const uint8_t *data, size_t len, Elf64_Shdr *found)
{
    static const char name[] = ".modinfo";
    Elf64_Ehdr ehdr;
    Elf64_Shdr names;
    if (len < sizeof ehdr)
        return false;
    memcpy(&ehdr, data, sizeof ehdr);
    if (memcmp(ehdr.e_ident, ELFMAG, SELFMAG) || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
        ehdr.e_ident[EI_DATA] != ELFDATA2LSB || ehdr.e_type != ET_REL ||
        ehdr.e_machine != EM_X86_64 || ehdr.e_shentsize != sizeof(Elf64_Shdr) ||
        !section_header(data, len, &ehdr, ehdr.e_shstrndx, &names) || names.sh_type != SHT_STRTAB)
        return false;
    for (unsigned i = 0; i < ehdr.e_shnum; i++) {
        if (!section_header(data, len, &ehdr, i, found))
            return false;
        if (found->sh_type == SHT_PROGBITS &&
            range_fits(found->sh_name, sizeof name, names.sh_size) &&
            !memcmp(data + names.sh_offset + found->sh_name, name, sizeof name))
            return true;
    }
    return false;
}

static void take_word(struct module_info *info, const char *word)
{
    if (!strncmp(word, "depends=", 8))
        info->depends = word + 8;
    else if (!strncmp(word, "vermagic=", 9))
        info->vermagic = word + 9;
    else if (!strncmp(word, "softdep=", 8) && info->nsoftdeps < ARRAY_LEN(info->softdep))
        info->softdep[info->nsoftdeps++] = word + 8;
}

int module_read_info(const uint8_t *data, size_t len, struct module_info *info)
{
    Elf64_Shdr sh;
    *info = (struct module_info){.depends = "", .vermagic = ""};
    if (!find_modinfo(data, len, &sh))
        return -EINVAL;
    const char *word = (const char *)data + sh.sh_offset;
    size_t left = sh.sh_size;
    while (left) {
        size_t n = strnlen(word, left);
        if (n == left)
            break; /* not closed */
        take_word(info, word);
        word += n + 1;
        left -= n + 1;
    }
    return 0;
}

const char *module_config_option(const char *name)
{
    static const char *const options[][2] = {
        {"virtio_blk", "CONFIG_VIRTIO_BLK"},   {"virtio_pci", "CONFIG_VIRTIO_PCI"},
        {"virtio_mmio", "CONFIG_VIRTIO_MMIO"}, {"virtio_console", "CONFIG_VIRTIO_CONSOLE"},
        {"virtiofs", "CONFIG_VIRTIO_FS"},      {"overlay", "CONFIG_OVERLAY_FS"},
        {"virtio_net", "CONFIG_VIRTIO_NET"},   {"ext4", "CONFIG_EXT4_FS"},
        {"xfs", "CONFIG_XFS_FS"},              {"btrfs", "CONFIG_BTRFS_FS"},
        {"f2fs", "CONFIG_F2FS_FS"},            {"erofs", "CONFIG_EROFS_FS"},
        {"squashfs", "CONFIG_SQUASHFS"},
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!strcmp(options[i][0], name))
            return options[i][1];
    }
    return NULL;
}
