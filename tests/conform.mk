# Conformance: tests/conform/X.c, a plain socket program each, run on the kernel and on us; their outputs must agree.
CONFORM := $(patsubst tests/conform/%.c,$(BUILD)/conform/%,$(wildcard tests/conform/*.c))

# They do on purpose what compilers warn of: negative counts, null addresses.
$(BUILD)/conform/%: tests/conform/%.c tests/conform/conform.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-stringop-overflow -Wno-stringop-overread \
	    -Wno-nonnull -O1 -g -o $@ $< -lpthread

.PHONY: conform
conform: $(CONFORM) $(BUILD)/libstandin.so $(BUILD)/standin-keeper ## each conformance program on the kernel and on us, with a diff
	$(Q)$(if $(call pick,$(CONFORM)),tests/conform/run.sh $(abspath $(BUILD)/conform) \
	    $(abspath $(BUILD)/libstandin.so) $(abspath $(BUILD)/standin-keeper) \
	    $(abspath $(BUILD)/conform/out) $(if $(T),$(notdir $(call pick,$(CONFORM)))),:)
