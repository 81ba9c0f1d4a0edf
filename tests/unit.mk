# Unit tests: tests/unit/X_test.c, a cmocka program of its own, linked with core, the wire and tests/lib.
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(call obj,$(LIB_SRC)) $(WIRE_LIBS) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka -lsodium -lm

# Modules of tun that need nothing of it.
$(BUILD)/unit/pcapng_test: $(BUILD)/tun/pcapng.o
$(BUILD)/unit/pktring_test: $(BUILD)/tun/pktring.o $(BUILD)/tun/pktnote.o

# The command's modules that need no system are tested in the same way.
EXPLAIN_OBJ := $(patsubst %,$(BUILD)/preload/cmd/explain/%.o,dissect dis_ip dis_tcp dis_udp flow words)
$(BUILD)/unit/explain_test: $(BUILD)/tests/unit/explain_test.o $(EXPLAIN_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka

.PHONY: check-unit
check-unit: $(UNIT)
	$(Q)tests/tools/parallel.sh $(call pick,$(UNIT))
