# The virtual kernel as a shared object that google's packetdrill loads with --so_filename.
JUDGE     := $(BUILD)/packetdrill.so
JUDGE_OBJ := $(call obj,$(wildcard tests/judge/*.c))
ALL       += $(JUDGE)

$(JUDGE_OBJ): CPPFLAGS += -D_GNU_SOURCE

$(JUDGE): $(JUDGE_OBJ) $(BUILD)/libdrill.a $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -shared -Wl,-Bsymbolic -o $@ $^ -lsodium -lm -lpthread

.PHONY: judge
judge: $(JUDGE) ## build/packetdrill.so, with which google's packetdrill runs scripts on the stack

$(BUILD)/tests/unit/judge_test.o: CPPFLAGS += -D_GNU_SOURCE -DJUDGE_SO='"$(abspath $(JUDGE))"'
$(BUILD)/unit/judge_test: $(BUILD)/tests/unit/judge_test.o $(DRILL_AND_CORE) | $(JUDGE)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka -lsodium -lm -ldl -lpthread
