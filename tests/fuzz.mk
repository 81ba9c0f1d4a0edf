# Fuzzers: libFuzzer entries (clang) over core, with the address and undefined-behaviour sanitizers, in a build folder of
# their own. Without clang, and in check-unit, their seeds run once through a plain main.
FUZZ_TIME ?= 60
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BUILD := $(BUILD)-fuzz
FUZZ_VARS  := BUILD=$(FUZZ_BUILD) CC=clang OPT='-O1 -g -fno-omit-frame-pointer' \
              SAN='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'
FUZZ_LIBS   = $(patsubst %,$(BUILD)/tests/lib/%.o,heap lone peer) $(WIRE_LIBS) $(BUILD)/libcore.a

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined $(LDFLAGS) -o $@ $^ -lsodium -lm

# The seeds, once each, without libFuzzer.
$(BUILD)/fuzz-seeds/%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/seeds.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lsodium -lm

.PHONY: fuzz fuzz-programs check-fuzz
fuzz-programs: $(addprefix $(BUILD)/fuzz/,$(FUZZ_NAMES))
	@:

fuzz: ## each fuzzer for FUZZ_TIME=60 seconds; what it finds is in build-fuzz/found
	+$(Q)$(MAKE) -j$(JOBS) $(FUZZ_VARS) fuzz-programs
	$(Q)tests/fuzz/run.sh $(FUZZ_BUILD) $(FUZZ_TIME) $(call pick,$(FUZZ_NAMES))

check-fuzz: $(addprefix $(BUILD)/fuzz-seeds/,$(FUZZ_NAMES)) ## the fuzzers' seeds, once each
	$(Q)n=0; for f in $(FUZZ_NAMES); do $(BUILD)/fuzz-seeds/$$f tests/fuzz/corpus/$$f/* || exit 1; \
	    n=$$((n + 1)); done; echo "$$n passed, 0 failed"

# A module of tun that needs nothing of it.
$(BUILD)/fuzz/pcapng $(BUILD)/fuzz-seeds/pcapng: $(BUILD)/tun/pcapng.o
