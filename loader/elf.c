// SPDX-License-Identifier: MIT
//
// ELF kernels (System V gABI chapters 4 and 5): segments go to their physical addresses, then PVH
// or Linux's 64-bit entry. libelf reads headers and notes, out of a private copy of the file's
// start with the section table taken away: sections say nothing about loading, so nothing in them
// can hurt. Left out: relocation, more than 64 program headers.
#include "elf_image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bootparams.h"
#include "entry.h"
#include "layout.h"
#include "multiboot_header.h"
#include "pvh.h"
#include "util.h"

#define NOTES_MAX KIB(64) /* of one note segment; Linux has half a KiB */

bool elf_match(const struct kernel_file *kernel)
{
    return kernel->head_len >= SELFMAG && !memcmp(kernel->head, ELFMAG, SELFMAG);
}

static int elf_read(const struct elf_input *input, uint64_t offset, void *buf, size_t len,
                    struct err *err)
{
    if (!range_fits(offset, len, input->size))
        return err_set(err, EINVAL, "kernel '%s': truncated ELF", input->path);
    if (input->payload)
        return payload_read(input->payload, offset, buf, len, err);
    return boot_file_read(input->plain, offset, buf, len, err);
}

static int check_ehdr(const struct elf_input *input, const GElf_Ehdr *ehdr, struct err *err)
{
    bool is64 = ehdr->e_ident[EI_CLASS] == ELFCLASS64;
    unsigned machine = is64 ? EM_X86_64 : EM_386;
    size_t phentsize = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

    if (ehdr->e_ident[EI_DATA] != ELFDATA2LSB || ehdr->e_machine != machine)
        return err_set(err, ENOEXEC, "kernel '%s': not an x86 ELF (class %u, data %u, machine %u)",
                       input->path, ehdr->e_ident[EI_CLASS], ehdr->e_ident[EI_DATA],
                       ehdr->e_machine);
    if (ehdr->e_type != ET_EXEC && ehdr->e_type != ET_DYN)
        return err_set(err, ENOEXEC, "kernel '%s': ELF type %u is not an executable", input->path,
                       ehdr->e_type);
    if (!ehdr->e_phnum)
        return err_set(err, ENOEXEC, "kernel '%s': ELF without program headers", input->path);
    if (ehdr->e_phnum > ELF_MAX_PHDRS)
        return err_set(err, E2BIG, "kernel '%s': ELF has %u program headers, at most %d are taken",
                       input->path, ehdr->e_phnum, ELF_MAX_PHDRS);
    if (ehdr->e_phentsize != phentsize)
        return err_set(err, ENOEXEC, "kernel '%s': ELF program headers of %u bytes, not %zu",
                       input->path, ehdr->e_phentsize, phentsize);
    if (!range_fits(ehdr->e_phoff, ehdr->e_phnum * phentsize, input->head_len))
        return err_set(err, ENOEXEC,
                       "kernel '%s': truncated ELF: program headers at 0x%" PRIx64
                       " are not in the first %zu bytes",
                       input->path, (uint64_t)ehdr->e_phoff, input->head_len);
    return 0;
}

static int check_load(const struct elf_input *input, unsigned i, const GElf_Phdr *ph,
                      struct err *err)
{
    if (!range_fits(ph->p_offset, ph->p_filesz, input->size))
        return err_set(err, ENOEXEC,
                       "kernel '%s': truncated ELF: segment %u has 0x%" PRIx64
                       " bytes at offset 0x%" PRIx64 ", the file ends at 0x%" PRIx64,
                       input->path, i, (uint64_t)ph->p_filesz, (uint64_t)ph->p_offset, input->size);
    if (ph->p_filesz > ph->p_memsz)
        return err_set(err, ENOEXEC,
                       "kernel '%s': ELF segment %u has 0x%" PRIx64
                       " bytes in the file but 0x%" PRIx64 " in memory",
                       input->path, i, (uint64_t)ph->p_filesz, (uint64_t)ph->p_memsz);
    if (ph->p_memsz > UINT64_MAX - ph->p_paddr)
        return err_set(err, ENOEXEC,
                       "kernel '%s': ELF segment %u (0x%" PRIx64 " bytes at 0x%" PRIx64
                       ") runs over the end of the address space",
                       input->path, i, (uint64_t)ph->p_memsz, (uint64_t)ph->p_paddr);
    return 0;
}

/*
 * Physical address of an entry point: as it stands if in a segment, else through the virtual
 * addresses. 0: neither.
 */
static gpa_t translate_entry(const struct elf_image *image, uint64_t entry)
{
    for (unsigned i = 0; i < image->nphdrs; i++) {
        const GElf_Phdr *ph = &image->phdrs[i];
        if (ph->p_type == PT_LOAD && entry - ph->p_paddr < ph->p_memsz)
            return entry;
    }
    for (unsigned i = 0; i < image->nphdrs; i++) {
        const GElf_Phdr *ph = &image->phdrs[i];
        if (ph->p_type == PT_LOAD && entry - ph->p_vaddr < ph->p_memsz)
            return ph->p_paddr + (entry - ph->p_vaddr);
    }
    return 0;
}

/* Look for the PVH entry in one note segment. */
static void find_pvh_note(struct elf_image *image, void *notes, size_t len, bool align8)
{
    Elf_Data data = {.d_buf = notes, .d_size = len, .d_type = align8 ? ELF_T_NHDR8 : ELF_T_NHDR};
    const uint8_t *bytes = notes;
    GElf_Nhdr note;
    size_t at = 0, name, desc;

    while ((at = gelf_getnote(&data, at, &note, &name, &desc)) > 0) {
        if (note.n_type != PVH_NOTE_TYPE || note.n_namesz != sizeof PVH_NOTE_NAME ||
            memcmp(bytes + name, PVH_NOTE_NAME, sizeof PVH_NOTE_NAME) != 0)
            continue;
        if (note.n_descsz != 4 && note.n_descsz != 8)
            continue;
        image->has_pvh = true;
        image->pvh_entry = load_le32(bytes + desc);
    }
}

static int read_notes(const struct elf_input *input, struct elf_image *image, const GElf_Phdr *ph,
                      struct err *err)
{
    if (!ph->p_filesz)
        return 0;
    if (ph->p_filesz > NOTES_MAX)
        return err_set(err, ENOEXEC, "kernel '%s': ELF note segment of %" PRIu64 " KiB",
                       input->path, (uint64_t)ph->p_filesz >> 10);
    void *notes = malloc(ph->p_filesz);
    if (!notes)
        return err_set(err, ENOMEM, "out of memory reading kernel '%s'", input->path);
    int ret = elf_read(input, ph->p_offset, notes, ph->p_filesz, err);
    if (ret == 0)
        find_pvh_note(image, notes, ph->p_filesz, ph->p_align == 8);
    free(notes);
    return ret;
}

static int check_segments(const struct elf_input *input, struct elf_image *image, struct err *err)
{
    unsigned loads = 0;
    for (unsigned i = 0; i < image->nphdrs; i++) {
        const GElf_Phdr *ph = &image->phdrs[i];
        int ret = 0;
        if (ph->p_type == PT_INTERP) {
            ret = err_set(err, ENOEXEC,
                          "kernel '%s' is a program for an operating system"
                          " (minivmm run -- runs one)",
                          input->path);
        } else if (ph->p_type == PT_LOAD && ph->p_memsz) {
            loads++;
            ret = check_load(input, i, ph, err);
        } else if (ph->p_type == PT_NOTE && !image->has_pvh) {
            ret = read_notes(input, image, ph, err);
        }
        if (ret < 0)
            return ret;
    }
    if (!loads)
        return err_set(err, ENOEXEC, "kernel '%s': ELF without loadable segments", input->path);
    return 0;
}

static int read_headers(const struct elf_input *input, Elf *elf, struct elf_image *image,
                        struct err *err)
{
    GElf_Ehdr ehdr;
    if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr))
        return err_set(err, ENOEXEC, "kernel '%s': bad ELF header, or a truncated one",
                       input->path);
    int ret = check_ehdr(input, &ehdr, err);
    if (ret < 0)
        return ret;
    image->is64 = ehdr.e_ident[EI_CLASS] == ELFCLASS64;
    image->entry = ehdr.e_entry;
    for (unsigned i = 0; i < ehdr.e_phnum; i++)
        if (!gelf_getphdr(elf, (int)i, &image->phdrs[i]))
            return err_set(err, ENOEXEC, "kernel '%s': bad ELF program header %u: %s", input->path,
                           i, elf_errmsg(-1));
    image->nphdrs = ehdr.e_phnum;
    return 0;
}

static void drop_sections(uint8_t *head, size_t len)
{
    if (head[EI_CLASS] == ELFCLASS64 && len >= sizeof(Elf64_Ehdr)) {
        memset(head + offsetof(Elf64_Ehdr, e_shoff), 0, sizeof(Elf64_Off));
        memset(head + offsetof(Elf64_Ehdr, e_shnum), 0, 2 * sizeof(Elf64_Half));
    } else if (head[EI_CLASS] == ELFCLASS32 && len >= sizeof(Elf32_Ehdr)) {
        memset(head + offsetof(Elf32_Ehdr, e_shoff), 0, sizeof(Elf32_Off));
        memset(head + offsetof(Elf32_Ehdr, e_shnum), 0, 2 * sizeof(Elf32_Half));
    }
}

int elf_parse(const struct elf_input *input, struct elf_image *image, struct err *err)
{
    *image = (struct elf_image){0};
    if (input->head_len < sizeof(Elf32_Ehdr))
        return err_set(err, ENOEXEC, "kernel '%s': truncated ELF: the file has %zu bytes",
                       input->path, input->head_len);
    uint8_t *head = malloc(input->head_len);
    if (!head)
        return err_set(err, ENOMEM, "out of memory reading kernel '%s'", input->path);
    memcpy(head, input->head, input->head_len);
    drop_sections(head, input->head_len);

    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)head, input->head_len);
    int ret = read_headers(input, elf, image, err);
    elf_end(elf);
    free(head);
    if (ret == 0)
        ret = check_segments(input, image, err);
    if (ret < 0)
        return ret;
    image->entry_gpa = translate_entry(image, image->entry);
    if (image->has_pvh && translate_entry(image, image->pvh_entry) != image->pvh_entry)
        return err_set(err, ENOEXEC, "kernel '%s': PVH entry 0x%" PRIx32 " is in no segment",
                       input->path, image->pvh_entry);
    return 0;
}

int elf_add_segments(const struct boot_request *req, struct boot_plan *plan,
                     const struct elf_input *input, const struct elf_image *image, struct err *err)
{
    for (unsigned i = 0; i < image->nphdrs; i++) {
        const GElf_Phdr *ph = &image->phdrs[i];
        if (ph->p_type != PT_LOAD || !ph->p_memsz)
            continue;
        const struct boot_segment segment = {
            .what = "kernel",
            .gpa = ph->p_paddr,
            .source = input->payload ? BOOT_FROM_PAYLOAD : BOOT_FROM_FILE,
            .file = input->file,
            .offset = ph->p_offset,
            .file_size = ph->p_filesz,
            .mem_size = ph->p_memsz,
        };
        int ret = plan_add(plan, req->ram_size, &segment, err);
        if (ret < 0)
            return ret;
    }
    return 0;
}

int elf_finish(const struct boot_request *req, struct boot_plan *plan,
               const struct elf_image *image, const struct elf_linux *linux_info, struct err *err)
{
    if (image->has_pvh)
        return pvh_plan(req, plan, image->pvh_entry, linux_info->cmdline_max,
                        linux_info->initrd_limit, err);

    int ret = plan_add_cmdline(req, plan, linux_info->cmdline_max, err);
    if (ret < 0)
        return ret;
    struct initrd_place initrd;
    ret = plan_add_initrd(req, plan, linux_info->initrd_limit, &initrd, err);
    if (ret < 0)
        return ret;
    ret = bootparams_add(req, plan, linux_info->header, linux_info->header_len, image->entry_gpa,
                         &initrd, err);
    if (ret < 0)
        return ret;
    return entry_long_mode(req, plan, image->entry_gpa, BOOT_ZEROPAGE, err);
}

int elf_plan(const struct boot_request *req, struct boot_plan *plan,
             const struct kernel_file *kernel, struct err *err)
{
    const struct elf_input input = {
        .path = req->kernel,
        .file = kernel->index,
        .plain = kernel->file,
        .size = kernel->file->size,
        .head = kernel->head,
        .head_len = kernel->head_len,
    };
    const struct elf_linux linux_info = {
        .cmdline_max = UINT64_MAX,
        .initrd_limit = RAM_HOLE_START,
    };
    struct elf_image image;
    struct mb_header header;
    uint32_t offset;

    int ret = elf_parse(&input, &image, err);
    if (ret < 0)
        return ret;
    enum mb_found multiboot = mb_find_header(kernel, &header, &offset);
    if (!image.has_pvh && !image.is64)
        return err_set(
            err, ENOEXEC, "kernel '%s': a 32-bit ELF needs a PVH note or a multiboot header%s",
            req->kernel, multiboot == MB_DAMAGED ? "; its one has a bad checksum" : "");
    if (!image.has_pvh && multiboot == MB_VALID)
        return err_set(err, ENOEXEC,
                       "kernel '%s': multiboot 1 cannot start a 64-bit ELF; make a 32-bit one"
                       " (objcopy -O elf32-i386)",
                       req->kernel);
    if (!image.has_pvh && !image.entry_gpa)
        return err_set(err, ENOEXEC, "kernel '%s': ELF entry 0x%" PRIx64 " is in no segment",
                       req->kernel, image.entry);
    plan->linux_entry = true;
    plan->format = image.has_pvh ? "ELF, PVH entry" : "ELF, Linux 64-bit entry";
    ret = elf_add_segments(req, plan, &input, &image, err);
    if (ret < 0)
        return ret;
    return elf_finish(req, plan, &image, &linux_info, err);
}
