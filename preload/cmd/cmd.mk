# The command: it links what the session is made of, but none of the hooks.
$(BUILD)/preload/cmd/%.o: EXTRA += -D_GNU_SOURCE
$(BUILD)/preload/cmd/main.o: EXTRA += -DSTANDIN_BUILD_ID='"$(BUILD_ID)"'
$(BUILD)/preload/cmd/place.o: EXTRA += -DSTANDIN_LIBDIR='"$(LIBDIR)/standin"'

$(BUILD)/standin: $(call obj,$(CMD_SRC)) $(BUILD)/libtun.a $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -luv -lsodium -lpcap -ljansson -lm -pthread

# The manual pages, where scdoc is installed. The tables of verbs, of options and of impairments fill them in.
MAN_SRC := $(wildcard preload/cmd/man/*.scd)
MAN     := $(patsubst preload/cmd/man/%.scd,$(BUILD)/man/%,$(MAN_SRC))

$(BUILD)/optdoc: $(BUILD)/preload/cmd/gen/optdoc.o $(BUILD)/preload/cmd/verbs.o \
                 $(BUILD)/preload/cmd/option_table.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^

$(BUILD)/impairdoc: $(BUILD)/preload/cmd/gen/impairdoc.o $(BUILD)/libimpair.a $(BUILD)/libwire.a $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^

ALL += $(BUILD)/impairdoc
ifneq ($(shell command -v scdoc 2>/dev/null),)
$(BUILD)/man/%: preload/cmd/man/%.scd $(BUILD)/optdoc $(BUILD)/impairdoc
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)$(BUILD)/optdoc < $< | $(BUILD)/impairdoc | scdoc > $@
ALL += $(MAN)
endif

$(BUILD)/preload/cmd/compare/embed.o: $(wildcard preload/cmd/compare/page.* preload/cmd/compare/uplot/*)
