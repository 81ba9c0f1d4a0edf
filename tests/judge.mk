# The virtual kernel as a shared object that google's packetdrill loads with --so_filename.
JUDGE     := $(BUILD)/packetdrill.so
JUDGE_OBJ := $(call obj,$(wildcard tests/judge/*.c))
ALL       += $(JUDGE)

$(JUDGE_OBJ): CPPFLAGS += -D_GNU_SOURCE

$(JUDGE): $(JUDGE_OBJ) $(BUILD)/libdrill.a $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -shared -Wl,-Bsymbolic -o $@ $^ -lsodium -lm -lpthread

# Google's scripts that are known to pass, where somebody has them.
JUDGE_SCRIPTS ?=
.PHONY: judge check-judge
check-judge: $(JUDGE) ## google's scripts, by google's packetdrill: PACKETDRILL=PATH JUDGE_SCRIPTS=FOLDER
	$(Q)tests/drill/judge-so.sh -q --so=$(JUDGE) --only=tests/judge/passing.txt $(JUDGE_SCRIPTS)

judge: $(JUDGE) ## build/packetdrill.so, with which google's packetdrill runs scripts on the stack

$(BUILD)/tests/unit/judge_test.o: CPPFLAGS += -D_GNU_SOURCE -DJUDGE_SO='"$(abspath $(JUDGE))"'
$(BUILD)/unit/judge_test: $(BUILD)/tests/unit/judge_test.o $(DRILL_AND_CORE) | $(JUDGE)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka -lsodium -lm -ldl -lpthread
