# Unit tests: tests/unit/X_test.c, a cmocka program of its own, linked with core, the wire and tests/lib.
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(call obj,$(LIB_SRC)) $(WIRE_LIBS) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka -lsodium -lm

.PHONY: check-unit
check-unit: $(UNIT)
	$(Q)fail=0; for t in $(call pick,$(UNIT)); do $$t || fail=1; done; exit $$fail
