# The plain programs that the scripts of this folder run; they know nothing of us.
HOOK_TESTS := $(patsubst tests/preload/%.c,$(BUILD)/tests/preload/%,$(wildcard tests/preload/*.c))

$(BUILD)/tests/preload/%: tests/preload/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -g -MMD -MP -o $@ $< -pthread

ALL += $(HOOK_TESTS)
