# SPDX-License-Identifier: MIT
#
# One non-recursive Makefile. The verbs:
#   make          build ./minivmm                 make run     boot a stock Linux to a shell
#   make check    all tests                       make bench   print the figures of docs/performance.md
#   make deps     install what is missing (apt)   make fuzz    build the fuzzers (clang)
#   make docs     regenerate the generated parts of README.md and docs/
#   make install  binary, manual page, completions and documents, to $(DESTDIR)$(PREFIX)
#   make check-asan, check-debian    more tests       make asan, tsan    build/asan/minivmm, build/tsan/minivmm

CC ?= gcc
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")
B := build
PKGS := libelf liburing liblz4 libzstd zlib liblzma jansson
WERROR ?= -Werror
WARN := -Wall -Wextra $(WERROR) -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wpointer-arith -Wcast-qual -Wundef
override CPPFLAGS += -Iinclude -I. -D_GNU_SOURCE
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu17 $(WARN) -pthread $(SANITIZE)
override LDFLAGS += -pthread $(SANITIZE)
LDLIBS += $(shell pkg-config --libs --static $(PKGS) 2>/dev/null)
# One file that runs anywhere and starts in a third of the instructions; `make STATIC=` links to the system's libraries instead.
STATIC ?= $(if $(SANITIZE),,-static-pie)

INIT := $(B)/guest-images/init/init
SRC := $(wildcard src/*.c src/*/*.c src/accel/*/*.c base/*.c devices/*.c devices/*/*.c loader/*.c)
OBJ := $(SRC:%.c=$(B)/%.o) $(B)/guest-images/init/image.o $(B)/src/exits/page.o
# Helper programs (include/helper.h), each with a library that is a shared one; their images are part of minivmm's read-only data.
# usernet: libslirp. disasm: libzydis.
USERNET_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard devices/net/usernet/*.c)) \
               $(patsubst %,$(B)/%.o,base/clock base/err base/event base/evloop base/log devices/net/net devices/net/offload \
                                     devices/net/pcap devices/net/stream)
OBJ += $(B)/usernet_image.o $(B)/disasm_image.o
OBJ += $(if $(findstring thread,$(SANITIZE)),$(B)/tests/lib/tsan.o)
LIB_OBJ := $(filter-out $(B)/src/main.o,$(OBJ))
TESTLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
# Archives, so that a test may put a part of its own in the place of a real one.
LIB := $(B)/libminivmm.a
TESTLIB := $(B)/libtest.a
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))

.PHONY: all install uninstall clean check check-asan check-debian asan tsan deps run bench docs fuzz unit guests
.DELETE_ON_ERROR:

all: minivmm

minivmm $(B)/minivmm: $(OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(STATIC) -o $@ $^ $(LDLIBS)

$(B)/minivmm-usernet: $(USERNET_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -s -o $@ $^ -lslirp

$(B)/minivmm-disasm: $(B)/src/accel/lockstep/disasm/main.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -s -o $@ $^ -lZydis

$(B)/%_image.o: $(B)/minivmm-%
	$(call say,IMAGE,$@)
	$(Q)printf '.section .rodata\n.globl $*_image, $*_image_end\n$*_image: .incbin "%s"\n$*_image_end:\n.section .note.GNU-stack,"",@progbits\n' \
	    $< | $(CC) -x assembler -c -o $@ -

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- minivmm's own init for guests, linked into minivmm as bytes; shares what is pure with loader/ ---
INIT_SRC := $(wildcard guest-images/init/*.c) loader/disk_probe.c loader/cmdline.c
INIT_CFLAGS := -std=gnu17 -Os -g0 $(WARN) -ffreestanding -fno-builtin -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
               -fcf-protection=none -ffunction-sections -fno-tree-loop-distribute-patterns
INIT_LDFLAGS := -static -nostdlib -no-pie -Wl,--build-id=none,--gc-sections,-s -Wl,-z,noexecstack -Wl,-z,noseparate-code -Wl,-z,norelro
$(INIT): $(INIT_SRC) $(wildcard guest-images/init/*.h) loader/disk_probe.h loader/cmdline.h include/util.h
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)gcc -Iinclude -I. $(INIT_CFLAGS) $(INIT_LDFLAGS) -o $@ $(filter %.c,$^)

$(B)/guest-images/init/image.o: guest-images/init/image.S $(INIT)
	$(call say,AS,$<)
	$(Q)$(CC) -DINIT_FILE='"$(INIT)"' -c -o $@ $<

$(B)/src/exits/page.o: src/exits/page.S src/exits/page.html
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -c -o $@ $<

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
GUEST_LIB := start.S lib.c irq.c time.c apic.c smp.c pci.c virtio.c watchdog.c
GUEST_CFLAGS := -std=gnu17 -Os -g0 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-stack-protector \
                -fno-asynchronous-unwind-tables -fcf-protection=none -mno-red-zone -mgeneral-regs-only
GUEST_LD := ld --build-id=none -z noexecstack --no-warn-rwx-segments
guest32 = -m32 $(GUEST_CFLAGS)
guest64 = -m64 -DGUEST64 $(GUEST_CFLAGS)

guests: $(GUESTS) cputests

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

# --- CPU tests in assembly (tests/cpu): each topic as a program for the host's CPU and as a guest; sys_* need ring 0, so guests only ---
CT := tests/cpu
CB := $(B)/tests/cpu
CPU_TOPICS := $(patsubst $(CT)/%.S,%,$(wildcard $(CT)/*.S))
CPU_NATIVE := $(patsubst %,$(CB)/%@native,$(filter-out sys_%,$(CPU_TOPICS)))
CPU_GUESTS := $(CPU_TOPICS:%=$(CB)/%.img)
CPU_CFLAGS := -m64 -I. $(GUEST_CFLAGS)
cputests: $(CPU_NATIVE) $(CPU_GUESTS)
.PHONY: cputests

$(CB)/lib/%.o: $(CT)/lib/%
	@mkdir -p $(@D)
	$(Q)gcc $(CPU_CFLAGS) -MMD -MP -c -o $@ $<
$(CB)/%.S.o: $(CT)/%.S
	@mkdir -p $(@D)
	$(Q)gcc $(CPU_CFLAGS) -DCPU_TOPIC='"$*"' -DCPU_RING=$(if $(filter sys_%,$*),0,3) -MMD -MP -c -o $@ $<
$(CB)/%@native: $(CB)/%.S.o $(CB)/lib/native.c.o $(CB)/lib/report.c.o $(CB)/lib/check.S.o
	$(call say,NATIVE,$@)
	$(Q)gcc -nostdlib -static -no-pie -Wl,--build-id=none,-z,noexecstack -o $@ $^
CPU_GUEST_OBJ := $(patsubst %,$(CB)/lib/%.o,guest.c guest_entry.S report.c check.S)
$(CB)/%.img: $(CB)/%.S.o $(CPU_GUEST_OBJ) $(GUEST_LIB:%=$(GB)/guest64/%.o) $(GS)/guest.ld
	$(call say,GUEST,$@)
	$(Q)$(GUEST_LD) -m elf_x86_64 -T $(GS)/guest.ld -o $@.elf $(filter %.o,$^)
	$(Q)objcopy -O binary $@.elf $@
.PRECIOUS: $(CB)/%.S.o $(CB)/lib/%.o

clean:
	rm -rf $(B)/src $(B)/base $(B)/devices $(B)/loader $(B)/tests $(B)/guest-images minivmm

-include $(shell find $(B) -path $(B)/debian -prune -o -name '*.d' -print 2>/dev/null) # debian: a system's files, see tests/debian

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
	@bad=; for t in $(B)/asan/tests/unit/*_test; do CK_TIMEOUT_MULTIPLIER=10 $$t || bad="$$bad $$t"; done; \
	    test -z "$$bad" || { echo "failed:$$bad"; exit 1; }

# build/asan/minivmm, build/tsan/minivmm: for any suite of tests/ in the place of ./minivmm.
asan: SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
tsan: SANITIZERS := -fsanitize=thread -Wno-tsan # of fences, which only order what guests see
asan tsan:
	@$(MAKE) --no-print-directory B=$(B)/$@ SANITIZE="$(SANITIZERS)" CFLAGS="-O1 -g" $(B)/$@/minivmm

# Debian 12 with systemd from disks, on every engine; fetches it once (100 MB, root).
check-debian: minivmm
	@tests/debian/run.sh ./minivmm

docs: minivmm
	@docs/update.sh ./minivmm

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/minivmm
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
DOCS := README.md $(wildcard docs/*.md)

install: minivmm
	install -D -m 755 minivmm $(DESTDIR)$(BINDIR)/minivmm
	install -D -m 644 docs/minivmm.1 $(DESTDIR)$(MANDIR)/man1/minivmm.1
	install -D -m 644 docs/minivmm-run.1 $(DESTDIR)$(MANDIR)/man1/minivmm-run.1
	install -D -m 644 docs/minivmm-qmp.7 $(DESTDIR)$(MANDIR)/man7/minivmm-qmp.7
	install -D -m 644 docs/completions/minivmm.bash $(DESTDIR)$(BASHDIR)/minivmm
	install -D -m 644 docs/completions/_minivmm $(DESTDIR)$(ZSHDIR)/_minivmm
	install -d $(DESTDIR)$(DOCDIR)
	install -m 644 $(DOCS) LICENSE $(DESTDIR)$(DOCDIR)

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/minivmm $(DESTDIR)$(MANDIR)/man1/minivmm.1 $(DESTDIR)$(MANDIR)/man1/minivmm-run.1 $(DESTDIR)$(MANDIR)/man7/minivmm-qmp.7 $(DESTDIR)$(BASHDIR)/minivmm $(DESTDIR)$(ZSHDIR)/_minivmm
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(notdir $(DOCS)) LICENSE)
	-rmdir $(DESTDIR)$(DOCDIR)

bench: minivmm guests
	@tests/bench/start.sh
	@for o in "" "-smp 4"; do tests/bench/memory.sh ./minivmm -accel kvm -kernel $(GB)/hello_long.img $$o; done
	@tests/bench/memory.sh qemu-system-x86_64 -accel kvm -M microvm -m 512 -nodefaults -display none -serial stdio \
	    -kernel $(GB)/hello_protected.img
	@tests/bench/boot.sh
	@tests/bench/interp.sh 5
	@tests/bench/idle.sh
	@tests/bench/block.sh software
	@tests/bench/fs.sh 3
	@tests/bench/run.sh software
	@tests/bench/exits.sh interp

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
