// SPDX-License-Identifier: MIT
//
// A kernel module for tests: an ELF with nothing in it but .modinfo.
#pragma once

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MODULE_IMAGE_MAX 1024

/* Words are separated by newlines. The length; buf has MODULE_IMAGE_MAX bytes. */
static inline size_t module_image_make(uint8_t *buf, const char *words)
{
    static const char names[] = "\0.modinfo\0.shstrtab";
    size_t words_len = strlen(words) + 1, at = sizeof(Elf64_Ehdr);
    Elf64_Ehdr ehdr = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = EM_X86_64,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 3,
        .e_shstrndx = 2,
    };
    Elf64_Shdr sections[3] = {
        [1] = {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = at, .sh_size = words_len},
        [2] = {.sh_name = 10,
               .sh_type = SHT_STRTAB,
               .sh_offset = at + words_len,
               .sh_size = sizeof names},
    };
    memset(buf, 0, MODULE_IMAGE_MAX);
    memcpy(buf + at, words, words_len);
    for (size_t i = 0; i < words_len; i++)
        buf[at + i] = buf[at + i] == '\n' ? 0 : buf[at + i];
    at += words_len;
    memcpy(buf + at, names, sizeof names);
    at += sizeof names;
    ehdr.e_shoff = at;
    memcpy(buf + at, sections, sizeof sections);
    memcpy(buf, &ehdr, sizeof ehdr);
    return at + sizeof sections;
}
