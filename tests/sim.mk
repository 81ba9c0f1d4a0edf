# The simulator: whole stacks and the emulated wire in virtual time.
SIM       := table storm_test fair_test accecn_test
SIM_BIN   := $(addprefix $(BUILD)/sim/,$(SIM))
SIM_LIB   := $(call obj,$(filter-out $(addprefix tests/sim/,$(addsuffix .c,$(SIM))),$(wildcard tests/sim/*.c)))
SEEDS     ?= 1000

$(BUILD)/sim/%: $(BUILD)/tests/sim/%.o $(SIM_LIB) $(call obj,$(LIB_SRC)) $(WIRE_LIBS) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka -lsodium -lm

.PHONY: sim check-sim sim-update sim-linux
check-sim: $(SIM_BIN)
	$(Q)tests/sim/check.sh $(BUILD)

sim: $(SIM_BIN) ## the long simulations: SEEDS=1000 random programs and networks, the table, fairness
	$(Q)SEEDS=$(SEEDS) tests/sim/check.sh $(BUILD)

sim-update: $(BUILD)/sim/table ## writes tests/sim/table.txt anew
	$(Q)$(BUILD)/sim/table > $(BUILD)/sim/table.txt
	$(Q)cp $(BUILD)/sim/table.txt tests/sim/table.txt

sim-linux: $(BUILD)/sim/table ## the table's goodput beside Linux's (tests/sim/linux.txt)
	$(Q)$(BUILD)/sim/table --linux tests/sim/linux.txt
