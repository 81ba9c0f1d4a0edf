# The command: it links what the session is made of, but none of the hooks.
$(BUILD)/preload/cmd/%.o: EXTRA += -D_GNU_SOURCE
$(BUILD)/preload/cmd/main.o: EXTRA += -DSTANDIN_BUILD_ID='"$(BUILD_ID)"'
$(BUILD)/preload/cmd/place.o: EXTRA += -DSTANDIN_LIBDIR='"$(LIBDIR)/standin"'

$(BUILD)/standin: $(call obj,$(CMD_SRC)) $(BUILD)/libtun.a $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -luv -lsodium -pthread

# The manual page, where scdoc is installed.
ifneq ($(shell command -v scdoc 2>/dev/null),)
$(BUILD)/standin.1: preload/cmd/standin.1.scd
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)scdoc < $< > $@
ALL += $(BUILD)/standin.1
endif
