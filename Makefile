# SPDX-License-Identifier: MIT
#
# One non-recursive Makefile. The verbs:
#   make          build ./minivmm                 make run     boot a stock Linux to a shell
#   make check    all tests                       make bench   print the figures of docs/performance.md
#   make deps     install what is missing (apt)   make fuzz    build the fuzzers (clang)
#   make docs     regenerate the generated parts of README.md and docs/

CC ?= gcc
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")
B := build
PKGS := libelf liburing liblz4 libzstd zlib liblzma jansson
WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wpointer-arith -Wcast-qual -Wundef
CPPFLAGS += -Iinclude -I. -D_GNU_SOURCE
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu17 $(WARN) -pthread $(SANITIZE)
LDFLAGS += -pthread $(SANITIZE)
LDLIBS += $(shell pkg-config --libs --static $(PKGS) 2>/dev/null)
# One file that runs anywhere and starts in a third of the instructions; `make STATIC=` links to the system's libraries instead.
STATIC ?= $(if $(SANITIZE),,-static-pie)

SRC := $(wildcard src/*.c src/accel/*.c src/accel/*/*.c devices/*.c devices/*/*.c loader/*.c)
OBJ := $(SRC:%.c=$(B)/%.o)
# The network helper: a program of its own with libslirp, a shared library; its image is part of minivmm's read-only data.
USERNET_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard devices/net/usernet/*.c)) \
               $(patsubst %,$(B)/%.o,src/clock src/err src/event src/evloop src/log devices/net/net devices/net/offload \
                                     devices/net/pcap devices/net/stream)
OBJ += $(B)/usernet_image.o
LIB_OBJ := $(filter-out $(B)/src/main.o,$(OBJ))
TESTLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
# Archives, so that a test may put a part of its own in the place of a real one.
LIB := $(B)/libminivmm.a
TESTLIB := $(B)/libtest.a
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))

.PHONY: all clean check check-asan deps run bench docs fuzz unit guests
.DELETE_ON_ERROR:

all: minivmm

minivmm: $(OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(STATIC) -o $@ $^ $(LDLIBS)

$(B)/minivmm-usernet: $(USERNET_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -s -o $@ $^ -lslirp

$(B)/usernet_image.o: $(B)/minivmm-usernet
	$(call say,IMAGE,$@)
	$(Q)printf '.section .rodata\n.globl usernet_image, usernet_image_end\nusernet_image: .incbin "%s"\nusernet_image_end:\n.section .note.GNU-stack,"",@progbits\n' \
	    $< | $(CC) -x assembler -c -o $@ -

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJ)
$(TESTLIB): $(TESTLIB_OBJ)
$(LIB) $(TESTLIB):
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(TESTLIB) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(LDLIBS)

$(B)/tests/unit/x86_decode_test: LDLIBS += -lZydis
$(B)/tests/unit/net_user_test: $(B)/devices/net/usernet/slirp.o
$(B)/tests/unit/net_user_test: LDLIBS += -lslirp

unit: $(UNIT)

# The x86 core against the host's CPU; with a system part of its own (system_stub.c).
NATIVE_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/cpu/native/*.c))
$(B)/tests/cpu/native/compare: $(NATIVE_OBJ) $(TESTLIB) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lZydis $(LDLIBS)

# --- small guests: <topic>_real.S, <topic>_protected.c, <topic>_long.c ---
GS := guest-images/small
GB := $(B)/guest-images
GUESTS := $(patsubst $(GS)/%.S,$(GB)/%.img,$(wildcard $(GS)/*_real.S)) \
          $(patsubst $(GS)/%.c,$(GB)/%.img,$(wildcard $(GS)/*_protected.c $(GS)/*_long.c))
GUEST_LIB := start.S lib.c irq.c time.c apic.c smp.c pci.c virtio.c
GUEST_CFLAGS := -std=gnu17 -Os -g0 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-stack-protector \
                -fno-asynchronous-unwind-tables -fcf-protection=none -mno-red-zone -mgeneral-regs-only
GUEST_LD := ld --build-id=none -z noexecstack --no-warn-rwx-segments
guest32 = -m32 $(GUEST_CFLAGS)
guest64 = -m64 -DGUEST64 $(GUEST_CFLAGS)

guests: $(GUESTS)

$(GB)/%_real.img: $(GS)/%_real.S $(GS)/guest.h
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)gcc -m32 -c -o $@.o $<
	$(Q)$(GUEST_LD) -m elf_i386 -Ttext=0x7c00 --oformat=binary -e _start -o $@ $@.o

define guest_objects
$(GB)/$(1)/%.c.o: $(GS)/%.c $(GS)/guest.h
	@mkdir -p $$(@D)
	$(Q)gcc $$($(1)) -MMD -MP -c -o $$@ $$<
$(GB)/$(1)/%.S.o: $(GS)/%.S $(GS)/guest.h
	@mkdir -p $$(@D)
	$(Q)gcc $$($(1)) -MMD -MP -c -o $$@ $$<
endef
$(eval $(call guest_objects,guest32))
$(eval $(call guest_objects,guest64))
.PRECIOUS: $(B)/%.o $(GB)/guest32/%.c.o $(GB)/guest32/%.S.o $(GB)/guest64/%.c.o $(GB)/guest64/%.S.o

$(GB)/%_protected.img: $(GB)/guest32/%_protected.c.o $(GUEST_LIB:%=$(GB)/guest32/%.o) $(GS)/guest.ld
	$(call say,GUEST,$@)
	$(Q)$(GUEST_LD) -m elf_i386 -T $(GS)/guest.ld -o $@ $(filter %.o,$^)

$(GB)/%_long.img: $(GB)/guest64/%_long.c.o $(GUEST_LIB:%=$(GB)/guest64/%.o) $(GS)/guest.ld
	$(call say,GUEST,$@)
	$(Q)$(GUEST_LD) -m elf_x86_64 -T $(GS)/guest.ld -o $@.elf $(filter %.o,$^)
	$(Q)objcopy -O binary $@.elf $@

clean:
	rm -rf $(B)/src $(B)/devices $(B)/loader $(B)/tests $(B)/guest-images minivmm

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# --- verbs ---
deps:
	@tests/deps.sh

run: deps
	@$(MAKE) --no-print-directory minivmm
	@guest-images/linux/run $(ARGS)

check: minivmm guests unit $(B)/tests/cpu/native/compare
	@tests/run.sh $(B)

# The unit tests under the address and undefined-behaviour sanitizers, in a build folder of their own.
check-asan:
	@$(MAKE) --no-print-directory B=$(B)/asan SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined" CFLAGS="-O1 -g" unit
	@for t in $(B)/asan/tests/unit/*_test; do $$t || exit 1; done

docs: minivmm
	@docs/update.sh ./minivmm

bench: minivmm guests
	@tests/bench/start.sh
	@for o in "" "-smp 4"; do tests/bench/memory.sh ./minivmm -accel kvm -kernel $(GB)/hello_long.img $$o; done
	@tests/bench/memory.sh qemu-system-x86_64 -accel kvm -M microvm -m 512 -nodefaults -display none -serial stdio \
	    -kernel $(GB)/hello_protected.img
	@tests/bench/boot.sh
	@tests/bench/interp.sh 3

# --- fuzzers: build/fuzz/<name>_fuzz, clang's libFuzzer with the address and undefined-behaviour sanitizers ---
FUZZ_TO ?= $(B)/fuzz
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz:
	@$(MAKE) --no-print-directory B=$(B)/fuzz/obj CC=clang CFLAGS="-O1 -g" FUZZ_TO=$(B)/fuzz \
	    SANITIZE=-fsanitize=fuzzer-no-link,address,undefined $(FUZZ)
$(FUZZ_TO)/%_fuzz: $(B)/tests/fuzz/%_fuzz.o $(TESTLIB) $(LIB)
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
$(FUZZ_TO)/decode_fuzz: LDLIBS += -lZydis
