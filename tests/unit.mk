# Unit tests: tests/unit/X_test.c, a cmocka program of its own, linked with core, the wire and tests/lib.
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(call obj,$(LIB_SRC)) $(WIRE_LIBS) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka -lsodium -lm

# Modules of tun that need nothing of it.
$(BUILD)/unit/pcapng_test: $(BUILD)/tun/pcapng.o
$(BUILD)/unit/pktring_test: $(BUILD)/tun/pktring.o $(BUILD)/tun/pktnote.o

.PHONY: check-unit
check-unit: $(UNIT)
	$(Q)fail=0; for t in $(call pick,$(UNIT)); do $$t || fail=1; done; exit $$fail
