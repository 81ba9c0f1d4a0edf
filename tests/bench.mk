# The programs of `make bench`: plain socket programs, measured on both stacks.
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

$(BUILD)/tests/bench/%.o: EXTRA += -D_GNU_SOURCE
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $<

.PHONY: bench-programs
bench-programs: all $(BENCH)
	@:

.PHONY: bench-events
bench-events: $(BUILD)/unit/event_flow_test ## what the event log costs: instructions an event, events a round trip
	$(Q)tests/tools/events.sh $(BUILD)
