// SPDX-License-Identifier: MIT
//
// bzImage by Linux's 64-bit boot protocol (kernel Documentation/arch/x86/boot.rst). Two ways: the
// host unpacks the kernel inside and starts that as an ELF, or the whole protected-mode part is
// loaded and unpacks itself. enum kernel_unpack says when which. Left out: kernels without a 64-bit
// entry (protocol before 2.12), the real-mode and EFI entries.
#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bootparams.h"
#include "elf_image.h"
#include "entry.h"
#include "layout.h"
#include "log.h"
#include "memmap.h"
#include "payload.h"
#include "plan.h"
#include "util.h"

#define SECTOR 512u
#define BOOT_FLAG_OFFSET 0x1feu
#define MAGIC_OFFSET 0x202u
#define MAGIC 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xaa55
#define JUMP_LENGTH_OFFSET 0x201u /* the header ends this far after the magic */
#define VERSION_MIN 0x020c
#define ENTRY_64 0x200u
#define CMDLINE_MAX_OLD 255u

struct bzimage {
    struct setup_header hdr;
    const uint8_t *header; /* the raw one */
    size_t header_len;
    uint64_t setup_size; /* real-mode part: boot sector and setup sectors */
    uint64_t prot_size;  /* protected-mode part */
    gpa_t load;
    uint64_t work_size; /* what it needs from `load` on to unpack itself */
    uint64_t cmdline_max;
    gpa_t initrd_limit; /* first address beyond */
};

bool bzimage_match(const struct kernel_file *kernel)
{
    return kernel->head_len >= MAGIC_OFFSET + 4 &&
           load_le16(kernel->head + BOOT_FLAG_OFFSET) == BOOT_FLAG &&
           load_le32(kernel->head + MAGIC_OFFSET) == MAGIC;
}

static int parse_header(const struct kernel_file *kernel, struct bzimage *bz, struct err *err)
{
    const char *path = kernel->file->path;
    size_t end = MAGIC_OFFSET + kernel->head[JUMP_LENGTH_OFFSET];
    unsigned version =
        kernel->head_len >= MAGIC_OFFSET + 6 ? load_le16(kernel->head + MAGIC_OFFSET + 4) : 0;
    if (version && version < VERSION_MIN)
        return err_set(err, ENOTSUP,
                       "kernel '%s': boot protocol %u.%02u has no 64-bit entry, 2.12 is needed",
                       path, version >> 8, version & 0xff);
    if (end > kernel->head_len)
        return err_set(err, EINVAL,
                       "kernel '%s': truncated bzImage: setup header of %zu bytes, file has %zu",
                       path, end, kernel->head_len);
    if (end < SETUP_HEADER_OFFSET + offsetof(struct setup_header, handover_offset))
        return err_set(err, EINVAL, "kernel '%s': setup header ends at byte %zu, too early", path,
                       end);

    bz->header = kernel->head + SETUP_HEADER_OFFSET;
    bz->header_len = end - SETUP_HEADER_OFFSET;
    memset(&bz->hdr, 0, sizeof bz->hdr);
    memcpy(&bz->hdr, bz->header, bz->header_len < sizeof bz->hdr ? bz->header_len : sizeof bz->hdr);
    if (!(bz->hdr.xloadflags & XLF_KERNEL_64) || !(bz->hdr.loadflags & LOADED_HIGH))
        return err_set(err, ENOTSUP, "kernel '%s' is not a 64-bit bzImage", path);
    return 0;
}

static int parse_sizes(const struct kernel_file *kernel, struct bzimage *bz, struct err *err)
{
    const struct setup_header *hdr = &bz->hdr;
    const char *path = kernel->file->path;
    uint64_t size = kernel->file->size;
    unsigned setup_sects = hdr->setup_sects ? hdr->setup_sects : 4; /* zero is history for four */

    bz->setup_size = (setup_sects + 1) * SECTOR;
    bz->prot_size = (uint64_t)hdr->syssize * 16;
    if (bz->setup_size >= size)
        return err_set(err, EINVAL,
                       "kernel '%s': truncated bzImage: %" PRIu64
                       " bytes of setup code, the file has %" PRIu64,
                       path, bz->setup_size, size);
    uint64_t rest = size - bz->setup_size;
    /* syssize counts 16 bytes at a time: the last of them may be missing. */
    if (bz->prot_size > align_up(rest, 16))
        return err_set(err, EINVAL,
                       "kernel '%s': truncated bzImage: header says %" PRIu64
                       " KiB of protected-mode code, file has %" PRIu64 " KiB",
                       path, bz->prot_size >> 10, rest >> 10);
    if (bz->prot_size > rest)
        bz->prot_size = rest;
    if (bz->prot_size <= ENTRY_64)
        return err_set(err, EINVAL,
                       "kernel '%s': bzImage with %" PRIu64
                       " bytes of protected-mode code has no 64-bit entry",
                       path, bz->prot_size);
    return 0;
}

static int parse_placement(const struct kernel_file *kernel, struct bzimage *bz, struct err *err)
{
    const struct setup_header *hdr = &bz->hdr;
    const char *path = kernel->file->path;

    if (!is_power_of_two(hdr->kernel_alignment))
        return err_set(err, EINVAL, "kernel '%s': alignment 0x%x is not a power of two", path,
                       hdr->kernel_alignment);
    bz->load = hdr->pref_address;
    if (bz->load < HIGH_RAM_START) {
        if (!hdr->relocatable_kernel)
            return err_set(err, EINVAL,
                           "kernel '%s' wants to be at 0x%" PRIx64 ", below 1 MiB, and cannot move",
                           path, (uint64_t)hdr->pref_address);
        bz->load = align_up(HIGH_RAM_START, hdr->kernel_alignment);
    }
    if (bz->load & (hdr->kernel_alignment - 1))
        return err_set(err, EINVAL,
                       "kernel '%s': preferred address 0x%" PRIx64 " is not aligned to 0x%x", path,
                       bz->load, hdr->kernel_alignment);
    bz->work_size = hdr->init_size > bz->prot_size ? hdr->init_size : bz->prot_size;
    bz->cmdline_max = hdr->cmdline_size ? hdr->cmdline_size : CMDLINE_MAX_OLD;
    /*
     * Linux says 2 GiB for the sake of old boot loaders; a kernel that can itself be loaded above 4
     * GiB reaches an initrd anywhere below. We put none above.
     */
    bz->initrd_limit = (uint64_t)hdr->initrd_addr_max + 1;
    if (hdr->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G)
        bz->initrd_limit = RAM_HOLE_START;
    return 0;
}

/* Stop before anything is planned that the kernel itself cannot do with. */
static int check_ram(const struct boot_request *req, const struct bzimage *bz, struct err *err)
{
    uint64_t end = ram_low_end(req->ram_size);
    if (bz->load <= end && bz->work_size <= end - bz->load)
        return 0;
    if (bz->load > RAM_HOLE_START || bz->work_size > RAM_HOLE_START - bz->load)
        return err_set(err, EINVAL,
                       "kernel '%s' wants %" PRIu64 " MiB at 0x%" PRIx64
                       ", beyond the 3 GiB of low RAM",
                       req->kernel, bz->work_size >> 20, bz->load);
    return err_set(err, ENOSPC,
                   "kernel '%s' needs %" PRIu64 " MiB of RAM to start, there are %" PRIu64
                   "; give more with -m",
                   req->kernel, align_up(bz->load + bz->work_size, MIB(1)) >> 20,
                   req->ram_size >> 20);
}

/* The guest unpacks itself. */
static int plan_packed(const struct boot_request *req, struct boot_plan *plan,
                       const struct kernel_file *kernel, const struct bzimage *bz, struct err *err)
{
    const struct boot_segment code = {
        .what = "kernel",
        .gpa = bz->load,
        .source = BOOT_FROM_FILE,
        .file = kernel->index,
        .offset = bz->setup_size,
        .file_size = bz->prot_size,
        .mem_size = bz->prot_size,
    };
    const struct boot_segment room = {
        .what = "kernel work area",
        .gpa = bz->load + bz->prot_size,
        .source = BOOT_RESERVED,
        .mem_size = bz->work_size - bz->prot_size,
    };
    struct initrd_place initrd;

    plan->format = "bzImage";
    plan->linux_entry = true;
    int ret = plan_add(plan, req->ram_size, &code, err);
    if (ret == 0 && room.mem_size)
        ret = plan_add(plan, req->ram_size, &room, err);
    if (ret == 0)
        ret = plan_add_cmdline(req, plan, bz->cmdline_max, err);
    if (ret == 0)
        ret = plan_add_initrd(req, plan, bz->initrd_limit, &initrd, err);
    if (ret == 0)
        ret = bootparams_add(req, plan, bz->header, bz->header_len, bz->load, &initrd, err);
    if (ret == 0)
        ret = entry_long_mode(req, plan, bz->load + ENTRY_64, BOOT_ZEROPAGE, err);
    return ret;
}

/*
 * Look into the payload and add its segments. Opens nothing, so that giving up leaves only segments
 * to forget.
 */
static int add_unpacked(const struct boot_request *req, struct boot_plan *plan,
                        const struct kernel_file *kernel, const struct bzimage *bz,
                        struct elf_image *image, struct err *err)
{
    struct payload *payload = plan_alloc(plan, sizeof *payload, err);
    if (!payload)
        return -ENOMEM;
    int ret = payload_open(payload, kernel->file, bz->setup_size + bz->hdr.payload_offset,
                           bz->hdr.payload_length, err);
    if (ret < 0)
        return ret;

    size_t head_len = payload->size < KERNEL_HEAD_MAX ? (size_t)payload->size : KERNEL_HEAD_MAX;
    uint8_t *head = malloc(head_len);
    if (!head)
        return err_set(err, ENOMEM, "out of memory reading kernel '%s'", req->kernel);
    const struct elf_input input = {
        .path = req->kernel,
        .file = kernel->index,
        .payload = payload,
        .size = payload->size,
        .head = head,
        .head_len = head_len,
    };
    ret = payload_read(payload, 0, head, head_len, err);
    if (ret == 0)
        ret = elf_parse(&input, image, err);
    if (ret == 0 && (!image->is64 || (!image->has_pvh && !image->entry_gpa)))
        ret = err_set(err, ENOEXEC, "kernel '%s': the unpacked kernel has no entry we can start",
                      req->kernel);
    if (ret == 0)
        ret = elf_add_segments(req, plan, &input, image, err);
    free(head);
    plan->payload = payload;
    return ret;
}

static int plan_unpacked(const struct boot_request *req, struct boot_plan *plan,
                         const struct bzimage *bz, const struct elf_image *image, struct err *err)
{
    const struct elf_linux linux_info = {
        .header = bz->header,
        .header_len = bz->header_len,
        .cmdline_max = bz->cmdline_max,
        .initrd_limit = bz->initrd_limit,
    };
    plan->format = image->has_pvh ? "bzImage unpacked by the host, PVH entry"
                                  : "bzImage unpacked by the host, Linux 64-bit entry";
    plan->linux_entry = true;
    log_msg(LOG_BOOT, "unpacking %s payload on the host: no KASLR", payload_format(plan->payload));
    return elf_finish(req, plan, image, &linux_info, err);
}

int bzimage_plan(const struct boot_request *req, struct boot_plan *plan,
                 const struct kernel_file *kernel, struct err *err)
{
    struct bzimage bz;
    int ret = parse_header(kernel, &bz, err);
    if (ret == 0)
        ret = parse_sizes(kernel, &bz, err);
    if (ret == 0)
        ret = parse_placement(kernel, &bz, err);
    if (ret == 0)
        ret = check_ram(req, &bz, err);
    if (ret < 0)
        return ret;
    if (req->unpack == KERNEL_UNPACK_GUEST)
        return plan_packed(req, plan, kernel, &bz, err);

    struct elf_image image;
    struct err why = {0};
    ret = add_unpacked(req, plan, kernel, &bz, &image, &why);
    if (ret == 0)
        return plan_unpacked(req, plan, &bz, &image, err);
    /*
     * What we cannot do the guest may; but damaged data would not get better by leaving it to the
     * guest.
     */
    bool guest_may = ret == -ENOTSUP || ret == -ENOEXEC || ret == -ENOSPC;
    if (req->unpack == KERNEL_UNPACK_HOST || !guest_may)
        return err_set(err, -ret, "%s", why.msg);
    log_msg(LOG_BOOT, "not unpacked by the host: %s", why.msg);
    plan->nsegments = 0;
    plan->payload = NULL;
    return plan_packed(req, plan, kernel, &bz, err);
}
