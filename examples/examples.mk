# Plain socket programs: nothing of the project is included or linked.
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

$(BUILD)/examples/%.o: EXTRA += -D_GNU_SOURCE
$(BUILD)/examples/%: $(BUILD)/examples/%.o
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $< -pthread

.PHONY: examples
examples: $(EXAMPLES) ## the example programs
ALL += $(EXAMPLES)
