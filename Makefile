# standin: see `make help`. Every variable can be set on the command line or in config.mak.
-include config.mak

ifeq ($(origin CC),default)
CC = gcc
endif
ifeq ($(origin AR),default)
AR = ar
endif
OBJCOPY   ?= objcopy
BUILD     ?= build
V         ?= 0
PREFIX    ?= /usr/local
BINDIR    ?= $(PREFIX)/bin
LIBDIR    ?= $(PREFIX)/lib
DATADIR   ?= $(PREFIX)/share
MANDIR    ?= $(DATADIR)/man
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR  ?= $(DATADIR)/zsh/site-functions
DESTDIR   ?=
OPT       ?= -O2 -g
SAN       ?=
WARN      ?= -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla
CPPFLAGS  ?=
CFLAGS    ?= $(OPT)
LDFLAGS   ?=
JOBS      ?= $(shell nproc 2>/dev/null || echo 2)

VERSION   := 0.1.0
BUILD_ID  := $(shell git describe --always --dirty 2>/dev/null || echo $(VERSION))
ALL_CFLAGS = -std=c11 $(WARN) -fvisibility=hidden -fPIC -fno-strict-aliasing -MMD -MP \
             -ffile-prefix-map=$(CURDIR)=. -I. $(SAN) $(EXTRA) $(CPPFLAGS) $(CFLAGS)

ifeq ($(V),1)
Q :=
say =
else
Q := @
say = @printf '  %-4s %s\n' $(1) $(2);
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-print-directory

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

# Of a list of tests those with T in their name; all of them without T.
pick = $(strip $(if $(T),$(foreach x,$(1),$(if $(findstring $(T),$(x)),$(x))),$(1)))

CORE_SRC  := $(wildcard core/*.c)
TUN_SRC   := $(filter-out tun/keeper.c,$(wildcard tun/*.c))
PRE_SRC   := $(wildcard preload/*.c)
CMD_SRC   := $(filter-out preload/cmd/gen/%,$(wildcard preload/cmd/*.c preload/cmd/*/*.c))
DRILL_SRC := $(wildcard tests/drill/*.c)
LIB_SRC   := $(wildcard tests/lib/*.c)
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(filter-out $(UNIT_OMIT:%=tests/unit/%.c),$(wildcard tests/unit/*_test.c)))

# EXTRA: flags of one folder, set by its fragment for its own objects.
# What `all` builds; the fragments add their own.
ALL := $(BUILD)/libcore.a $(BUILD)/standin

include $(wildcard mk/*.mk) $(wildcard core/*.mk tun/*.mk preload/*.mk preload/cmd/*.mk tests/*.mk \
          tests/*/*.mk examples/*.mk)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libcore.a: $(call obj,$(CORE_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

.PHONY: all
all: $(ALL) ## the shared object, the command, the keeper, drill, the examples

# The suites that are there, in the order they run. Those of `check` make a network of their own.
have      = $(if $(wildcard $(2)),$(1))
QUICK_SUITES := check-unit $(call have,check-drill,tests/drill.mk) check-sim \
                $(call have,check-fuzz,tests/fuzz.mk) check-symbols check-tidy check-cites
TUN_SUITES   := $(call have,check-session,tests/session.mk) check-preload \
                $(call have,conform,tests/conform.mk) check-judge

TALLY = +$(Q)MAKE='$(MAKE)' BUILD='$(BUILD)' T='$(T)' tests/tools/tally.sh
NETNS = +$(Q)MAKE='$(MAKE)' BUILD='$(BUILD)' T='$(T)' tests/tools/netns.sh

.PHONY: check check-core check-symbols check-tidy check-preload demo bench deps cites
check: ## every test, as root, in a network namespace of its own; T=WORD runs those with WORD in the name
	+$(Q)$(MAKE) deps
	+$(Q)$(MAKE) -j$(JOBS) built
	$(NETNS) tests/tools/tally.sh $(QUICK_SUITES) $(TUN_SUITES)

.PHONY: built
built: all $(UNIT)
	@:

check-core: $(BUILD)/libcore.a ## the part without privileges: unit tests, scripts, symbols, form
	$(TALLY) $(QUICK_SUITES)

check-symbols: $(BUILD)/libcore.a $(BUILD)/libwire.a
	$(Q)tests/tools/symbols.sh $(BUILD)/libcore.a
	$(Q)tests/tools/symbols.sh $(BUILD)/libwire.a $(BUILD)/libcore.a

check-tidy:
	$(Q)tests/tools/tidy.sh

check-cites:
	$(Q)tests/tools/cites.sh --check

check-preload: all $(BUILD)/bench/relay_run $(CONFORM)
	$(Q)tests/preload/all.sh

cites: ## RFC sections cited in core against those cited in tests
	$(Q)tests/tools/cites.sh

demo: ## curl and nginx, unmodified, over the stack, with the handshake and the speed of both stacks
	+$(Q)$(MAKE) deps
	+$(Q)$(MAKE) -j$(JOBS) all
	$(NETNS) tests/demo.sh

bench: ## ours against the kernel's, interleaved; QUICK=1: fewer pairs; T=NAME: one of them
	+$(Q)$(MAKE) deps
	+$(Q)$(MAKE) -j$(JOBS) bench-programs
	$(NETNS) tests/bench/run.py

deps: ## install the Debian packages that are missing (as root)
	$(Q)tests/tools/deps.sh

# Sanitizers have build folders of their own. Only what runs in one process without the library is meant.
SAN_SUITES := check-unit $(call have,check-drill,tests/drill.mk)
ASAN  = BUILD=$(BUILD)-asan SAN='-fsanitize=address,undefined -fno-sanitize-recover=all' \
        OPT='-O1 -g -fno-omit-frame-pointer'
# gcc warns of fences that core has for other processes; no test here has two threads on one stack.
# Long transfers in virtual time, of one thread: they took half of its time.
TSAN  = BUILD=$(BUILD)-tsan UNIT_OMIT='tcp_start_test tcp_bbr_test tcp_flood_test' \
        SAN='-fsanitize=thread $(if $(findstring clang,$(CC)),,-Wno-tsan)' \
        OPT='-O1 -g'
COVER = BUILD=$(BUILD)-cover SAN=--coverage OPT='-O0 -g'
.PHONY: in-process asan tsan cover
in-process: $(UNIT) $(DRILL) $(SIM_BIN)
	@:

asan: ## the in-process tests under the address and undefined-behaviour sanitizers
	+$(Q)$(MAKE) -j$(JOBS) $(ASAN) in-process
	$(TALLY) $(ASAN) -- $(SAN_SUITES)

tsan: ## the in-process tests under the thread sanitizer
	+$(Q)$(MAKE) -j$(JOBS) $(TSAN) in-process
	$(TALLY) $(TSAN) -- $(SAN_SUITES)

cover: ## lines and branches that the in-process tests reach
	$(Q)rm -rf $(BUILD)-cover
	+$(Q)$(MAKE) -j$(JOBS) $(COVER) in-process
	$(TALLY) $(COVER) -- $(SAN_SUITES)
	$(Q)tests/tools/cover.sh $(BUILD)-cover

C_FILES = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find . -name '*.[ch]' -not -path './build*')
.PHONY: format format-check lint
format: ## clang-format in place; long comments are wrapped
	$(Q)clang-format -i $(C_FILES)
	$(Q)tests/tools/wrap.py $(C_FILES)

format-check: ## clang-format as a check
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	$(Q)tests/tools/wrap.py --check $(C_FILES)

lint: ## clang-tidy, cppcheck, shellcheck, form
	$(Q)JOBS=$(JOBS) tests/tools/lint.sh

DATA := $(BINDIR) $(LIBDIR)/standin $(DATADIR)/standin $(MANDIR)/man1 $(MANDIR)/man7
.PHONY: install uninstall dist distcheck clean help
install: all ## into DESTDIR, PREFIX, BINDIR, LIBDIR, DATADIR, MANDIR
	$(Q)install -d $(addprefix $(DESTDIR),$(DATA))
	$(Q)install -m 755 $(BUILD)/standin $(DESTDIR)$(BINDIR)/
	$(Q)install -m 755 $(BUILD)/standin-keeper $(DESTDIR)$(LIBDIR)/standin/
	$(Q)install -m 644 $(BUILD)/libstandin.so $(BUILD)/libstandin-watch.so $(DESTDIR)$(LIBDIR)/standin/
	$(Q)install -m 644 preload/cmd/standin.lua $(DESTDIR)$(DATADIR)/standin/
	$(Q)for m in $(MAN); do if [ -f $$m ]; then install -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.}/; fi; done
	$(Q)install -d $(DESTDIR)$(BASHCOMPDIR) $(DESTDIR)$(ZSHCOMPDIR)
	$(Q)$(BUILD)/standin completion bash > $(DESTDIR)$(BASHCOMPDIR)/standin
	$(Q)$(BUILD)/standin completion zsh > $(DESTDIR)$(ZSHCOMPDIR)/_standin

uninstall: ## take away what install put there
	$(Q)rm -f $(DESTDIR)$(BINDIR)/standin $(DESTDIR)$(BASHCOMPDIR)/standin $(DESTDIR)$(ZSHCOMPDIR)/_standin
	$(Q)for m in $(notdir $(MAN)); do rm -f $(DESTDIR)$(MANDIR)/man$${m##*.}/$$m; done
	$(Q)rm -rf $(DESTDIR)$(LIBDIR)/standin $(DESTDIR)$(DATADIR)/standin

TARBALL = standin-$(VERSION)
dist: ## a tarball of what is committed
	$(Q)mkdir -p $(BUILD)
	$(Q)git archive --prefix=$(TARBALL)/ HEAD | gzip -n9 > $(BUILD)/$(TARBALL).tar.gz
	@echo $(BUILD)/$(TARBALL).tar.gz

distcheck: dist ## build, check-core and install from the tarball
	$(Q)rm -rf $(BUILD)/distcheck && mkdir -p $(BUILD)/distcheck
	$(Q)tar -xzf $(BUILD)/$(TARBALL).tar.gz -C $(BUILD)/distcheck
	+$(Q)$(MAKE) -C $(BUILD)/distcheck/$(TARBALL) BUILD=build -j$(JOBS) all
	+$(Q)$(MAKE) -C $(BUILD)/distcheck/$(TARBALL) BUILD=build check-core
	+$(Q)$(MAKE) -C $(BUILD)/distcheck/$(TARBALL) BUILD=build install DESTDIR=$(CURDIR)/$(BUILD)/distcheck/root
	$(Q)$(BUILD)/distcheck/root$(BINDIR)/standin --version
	$(Q)rm -rf $(BUILD)/distcheck

clean: ## remove what was built
	$(Q)rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-cover $(BUILD)-fuzz

help: ## this table
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
	    awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
