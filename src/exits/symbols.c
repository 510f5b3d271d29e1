// SPDX-License-Identifier: MIT
//
// See symbols.h. libelf reads ELF; a file that is none is taken for text.
#include "src/exits/symbols.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define FAR MIB(1) /* from the symbol before: in no function */
#define NAME_MOST 512

/* --- collecting --- */

static void *larger(void *old, size_t needed, size_t *room, size_t size)
{
    size_t wanted = *room ? *room : 4096;
    while (wanted < needed)
        wanted *= 2;
    void *p = wanted == *room ? old : realloc(old, wanted * size);
    if (p)
        *room = wanted;
    return p;
}

/* Names are shown on terminals, in JSON and in pages: printable ASCII alone. */
static void copy_name(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] > ' ' && from[i] <= '~' ? from[i] : '?';
    to[len] = '\0';
}

/* Until all are there, a symbol has the offset of its name, as `names` moves. */
static int add(struct symbols *s, uint64_t address, const char *name)
{
    size_t len = strnlen(name, NAME_MOST - 1);
    struct symbol *list = larger(s->list, s->n + 1, &s->room, sizeof s->list[0]);
    if (!list)
        return -ENOMEM;
    s->list = list;
    char *names = larger(s->names, s->names_len + len + 1, &s->names_room, 1);
    if (!names)
        return -ENOMEM;
    s->names = names;
    copy_name(s->names + s->names_len, name, len);
    s->list[s->n++] = (struct symbol){address, (const char *)(uintptr_t)s->names_len};
    s->names_len += len + 1;
    return 0;
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name; /* the file's order */
}

/* Of several names for one address the file's first is kept. */
static void finish(struct symbols *s)
{
    size_t kept = 0;
    qsort(s->list, s->n, sizeof s->list[0], by_address);
    for (size_t i = 0; i < s->n; i++) {
        if (!kept || s->list[kept - 1].address != s->list[i].address)
            s->list[kept++] = s->list[i];
    }
    s->n = kept;
    for (size_t i = 0; i < s->n; i++)
        s->list[i].name = s->names + (uintptr_t)s->list[i].name;
}

/* --- ELF --- */

static bool is_code(Elf *elf, const GElf_Sym *sym)
{
    GElf_Shdr header;
    unsigned type = GELF_ST_TYPE(sym->st_info);
    Elf_Scn *section = elf_getscn(elf, sym->st_shndx);
    return (type == STT_FUNC || type == STT_NOTYPE) && sym->st_shndx != SHN_UNDEF && section &&
           gelf_getshdr(section, &header) && header.sh_flags & SHF_EXECINSTR;
}

static int read_table(struct symbols *s, Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    GElf_Sym sym;
    for (int i = 0; data && gelf_getsym(data, i, &sym); i++) {
        const char *name =
            is_code(elf, &sym) ? elf_strptr(elf, header->sh_link, sym.st_name) : NULL;
        if (name && *name && add(s, sym.st_value, name))
            return -ENOMEM;
    }
    return 0;
}

static int read_elf(struct symbols *s, Elf *elf)
{
    GElf_Shdr header;
    int rc = 0;
    for (Elf_Scn *section = NULL; !rc && (section = elf_nextscn(elf, section));) {
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
            rc = read_table(s, elf, section, &header);
    }
    return rc;
}

/* --- text --- */

static int read_line(struct symbols *s, const char *line)
{
    unsigned long long address;
    char type, name[NAME_MOST];
    if (sscanf(line, "%llx %c %511s", &address, &type, name) != 3 || !strchr("tTwW", type) ||
        !address)
        return 0;
    return add(s, address, name);
}

static int read_text(struct symbols *s, int fd)
{
    char line[1024];
    int rc = 0, copy = dup(fd);
    FILE *f = copy < 0 ? NULL : fdopen(copy, "r");
    if (!f)
        return -errno;
    rewind(f);
    errno = 0;
    int first = getc(f); /* of an address; else it is no list, whatever looks like one further on */
    bool is_list = isxdigit(first);
    ungetc(first, f);
    for (bool begins = true; is_list && !rc && fgets(line, sizeof line, f);
         begins = strchr(line, '\n')) {
        if (begins) /* the rest of a line that is too long is none */
            rc = read_line(s, line);
    }
    if (!rc && ferror(f))
        rc = errno ? -errno : -EIO;
    fclose(f);
    return rc;
}

int symbols_read(struct symbols *s, const char *path, struct err *err)
{
    *s = (struct symbols){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, errno, "-symbols: open '%s'", path);
    struct stat st = {0};
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) { /* /dev/zero never ends, nor may a pipe */
        close(fd);
        if (S_ISDIR(st.st_mode))
            return err_set_errno(err, EISDIR, "-symbols: read '%s'", path);
        return err_set(err, EINVAL,
                       "-symbols: '%s' is not a regular file: give a vmlinux or a System.map",
                       path);
    }
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    bool is_elf = elf && elf_kind(elf) == ELF_K_ELF;
    int rc = is_elf ? read_elf(s, elf) : read_text(s, fd);
    elf_end(elf);
    close(fd);
    if (rc)
        err_set_errno(err, -rc, "-symbols: read '%s'", path);
    else if (!s->n)
        rc = err_set(err, EINVAL,
                     "-symbols: '%s' names no functions: give a vmlinux that was not stripped, or "
                     "a System.map",
                     path);
    if (rc)
        symbols_free(s);
    else
        finish(s);
    return rc;
}

void symbols_free(struct symbols *s)
{
    free(s->list);
    free(s->names);
    *s = (struct symbols){0};
}

const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *offset)
{
    size_t low = 0, high = s->n;
    address -= s->slide;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->list[mid].address <= address)
            low = mid + 1;
        else
            high = mid;
    }
    if (!low || address - s->list[low - 1].address >= FAR)
        return NULL;
    *offset = address - s->list[low - 1].address;
    return s->list[low - 1].name;
}

bool symbols_address(const struct symbols *s, const char *name, uint64_t *address)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!strcmp(s->list[i].name, name)) {
            *address = s->list[i].address;
            return true;
        }
    }
    return false;
}
