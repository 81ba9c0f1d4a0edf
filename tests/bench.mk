# The programs of `make bench`: plain socket programs, measured on both stacks.
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

$(BUILD)/tests/bench/%.o: EXTRA += -D_GNU_SOURCE
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $<

# A program and a server with the emulated wire in between.
$(BUILD)/tests/bench/loss/%.o: EXTRA += -D_GNU_SOURCE
$(BUILD)/bench/relay_run: $(BUILD)/tests/bench/loss/relay_run.o $(BUILD)/libtun.a $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -luv -lsodium -pthread

.PHONY: bench-loss bench-linux
bench-loss: all $(BUILD)/bench/relay_run $(BUILD)/sim/table ## goodput over lossy wires beside Linux's: live, and of the grid
	$(Q)BUILD=$(BUILD) tests/bench/loss.py bench
	$(Q)BUILD=$(BUILD) tests/bench/loss.py mixed
	$(Q)$(BUILD)/sim/table --linux tests/sim/linux.txt

bench-linux: all $(BUILD)/bench/relay_run $(BUILD)/sim/table ## measures Linux over the whole grid: tests/sim/linux.txt
	$(Q)BUILD=$(BUILD) tests/bench/loss.py linux > $(BUILD)/linux.txt
	$(Q)cp $(BUILD)/linux.txt tests/sim/linux.txt

.PHONY: bench-programs
bench-programs: all $(BENCH)
	@:

.PHONY: bench-events
bench-events: $(BUILD)/unit/event_flow_test ## what the event log costs: instructions an event, events a round trip
	$(Q)tests/tools/events.sh $(BUILD)
