# standin: see `make help`. Every variable can be set on the command line or in config.mak.
-include config.mak

CC        ?= gcc
AR        ?= ar
OBJCOPY   ?= objcopy
BUILD     ?= build
V         ?= 0
PREFIX    ?= /usr/local
BINDIR    ?= $(PREFIX)/bin
LIBDIR    ?= $(PREFIX)/lib
MANDIR    ?= $(PREFIX)/share/man
DESTDIR   ?=
OPT       ?= -O2 -g
SAN       ?=
WARN      ?= -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla
CPPFLAGS  ?=
CFLAGS    ?= $(OPT)
LDFLAGS   ?=

BUILD_ID  := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
ALL_CFLAGS = -std=c11 $(WARN) -fvisibility=hidden -fPIC -fno-strict-aliasing -MMD -MP \
             -ffile-prefix-map=$(CURDIR)=. -I. $(SAN) $(CPPFLAGS) $(CFLAGS)

ifeq ($(V),1)
Q :=
say =
else
Q := @
say = @printf '  %-4s %s\n' $(1) $(2);
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

CORE_SRC  := $(wildcard core/*.c)
TUN_SRC   := $(filter-out tun/keeper.c,$(wildcard tun/*.c))
PRE_SRC   := $(wildcard preload/*.c)
CMD_SRC   := $(wildcard preload/cmd/*.c)
DRILL_SRC := $(wildcard tests/drill/*.c)
LIB_SRC   := $(wildcard tests/lib/*.c)
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*_test.c))

include $(wildcard mk/*.mk) $(wildcard core/*.mk tun/*.mk preload/*.mk tests/*.mk examples/*.mk)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libcore.a: $(call obj,$(CORE_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

.PHONY: all check check-core clean help format format-check lint
all: $(BUILD)/libcore.a ## the shared object, the command, the examples

format: ## clang-format in place
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

format-check: ## clang-format as a check
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

clean: ## remove what was built
	$(Q)rm -rf $(BUILD)

help: ## this table
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
