// SPDX-License-Identifier: MIT
//
// A program to run in the testbed, for its own tests (see check) and to learn what an exit costs.
// The smallest possible virtual machine: real mode, one page of code that writes to a port N
// times and halts. Prints the number of exits that reached user space. Usage: probe [N]
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { CODE = 0x1000, RAM_BYTES = 0x2000 };

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    static const uint8_t code[] = {
        0xe6, 0x80,       // loop: out %al, $0x80
        0x66, 0xff, 0xc9, //       dec %ecx
        0x75, 0xf9,       //       jnz loop
        0xf4,             //       hlt
    };
    unsigned long writes = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
    unsigned long exits = 0;
    if (writes == 0 || writes > UINT32_MAX)
        return fprintf(stderr, "usage: probe [N], 1 <= N < 2^32\n"), 2;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return fail("/dev/kvm");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    uint8_t *ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region slot = {
        .memory_size = RAM_BYTES, .userspace_addr = (uintptr_t)ram};
    if (vm < 0 || ram == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
        return fail("virtual machine");
    memcpy(ram + CODE, code, sizeof code);

    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run =
        mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rcx = writes};
    if (vcpu < 0 || run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
        return fail("vcpu");
    sregs.cs.base = sregs.cs.selector = 0;
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
        return fail("registers");
    do {
        if (ioctl(vcpu, KVM_RUN, 0))
            return fail("KVM_RUN");
        exits++;
    } while (run->exit_reason == KVM_EXIT_IO);
    printf("exits %lu, the last for reason %u\n", exits, run->exit_reason);
    return run->exit_reason == KVM_EXIT_HLT ? 0 : 1;
}
