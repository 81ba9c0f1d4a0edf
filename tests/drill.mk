# The runner of scripts in packetdrill's language, its own tests, and the scripts.
DRILL     := $(BUILD)/drill
DRILL_OBJ := $(call obj,$(DRILL_SRC))
DRILL_PKT := $(sort $(wildcard tests/tcp/*/*.pkt))

$(DRILL_OBJ): CPPFLAGS += -D_GNU_SOURCE

# Without main, for unit tests and for whoever else wants the virtual kernel.
DRILL_LIB := $(filter-out $(BUILD)/tests/drill/main.o,$(DRILL_OBJ)) $(BUILD)/tests/lib/heap.o
$(BUILD)/libdrill.a: $(DRILL_LIB)
	$(call say,AR,$@)
	$(Q)rm -f $@; $(AR) rcs $@ $^

$(DRILL): $(BUILD)/tests/drill/main.o $(BUILD)/libdrill.a $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lsodium -lm

DRILL_AND_CORE := $(BUILD)/libdrill.a $(BUILD)/libcore.a
$(BUILD)/unit/drill_%_test: $(BUILD)/tests/unit/drill_%_test.o $(DRILL_AND_CORE)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka -lsodium -lm

.PHONY: drill check-drill check-drill-self
drill: $(DRILL) ## the runner of packet scripts

check-drill-self: $(DRILL)
	$(Q)tests/drill/selftest.sh $(DRILL)

check-drill: $(DRILL) $(if $(T),,check-drill-self) ## packet scripts on the stack, in virtual time
	$(Q)$(if $(call pick,$(DRILL_PKT)),$(DRILL) --both $(call pick,$(DRILL_PKT)),:)
