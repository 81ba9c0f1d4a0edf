# tun/: libtun.a for the library, the command and the tests; standin-keeper, a static program.

KEEPER_SRC := $(wildcard tun/keeper*.c)
TUN_SRC    := $(filter-out $(KEEPER_SRC),$(wildcard tun/*.c))

$(BUILD)/tun/%.o: EXTRA += -D_GNU_SOURCE

# What tells two builds apart: the version, and what lays out the arena. Rewritten only when it changes.
TUN_ID := $(shell git describe --always 2>/dev/null || echo $(VERSION))-$(shell \
              cat core/*.h tun/session.h tun/message.h tun/pktring.h tun/wire.h tun/wire_priv.h | sha256sum | \
              cut -c1-12)
$(shell mkdir -p $(BUILD)/tun; echo '$(TUN_ID)' | cmp -s - $(BUILD)/tun/build_id.txt || \
        echo '$(TUN_ID)' > $(BUILD)/tun/build_id.txt)
$(BUILD)/tun/build_id.o: EXTRA += -DSTANDIN_BUILD_ID='"$(TUN_ID)"'
$(BUILD)/tun/build_id.o: $(BUILD)/tun/build_id.txt

$(BUILD)/libtun.a: $(call obj,$(TUN_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

# The emulated wire and its language, for who wants no more of tun: machines like core, used by the tests.
WIRE_LIBS := $(BUILD)/libimpair.a $(BUILD)/libwire.a
$(BUILD)/libwire.a: $(call obj,$(wildcard tun/wire*.c))
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

$(BUILD)/libimpair.a: $(call obj,$(wildcard tun/impair*.c))
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

# Static, because it must not meet the library's LD_PRELOAD nor a program's library path. libuv's look-ups of users and names
# are never called; the linker would warn of them.
$(BUILD)/standin-keeper: $(call obj,$(KEEPER_SRC)) $(BUILD)/libtun.a $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -static -Wl,--gc-sections -Wl,--no-warnings -o $@ $^ -l:libuv_a.a -l:libsodium.a \
	    -pthread

ALL += $(BUILD)/libtun.a $(BUILD)/standin-keeper
