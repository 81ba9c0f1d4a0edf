# Tests of the session: tests/session/X_test.c, cmocka programs that need root. Each makes network namespaces of its own and
# starts the keeper that was built beside it.
SESSION_T := $(patsubst tests/session/%.c,$(BUILD)/session/%,$(wildcard tests/session/*_test.c))

$(BUILD)/tests/session/%.o: EXTRA += -D_GNU_SOURCE -DKEEPER='"$(abspath $(BUILD)/standin-keeper)"'

$(BUILD)/session/%: $(BUILD)/tests/session/%.o $(BUILD)/tests/session/host.o $(BUILD)/libtun.a \
                    $(BUILD)/libcore.a $(BUILD)/standin-keeper
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) -luv -lsodium -lcmocka -pthread

.PHONY: check-session
check-session: $(SESSION_T) ## members, deaths, the lock, wake-ups, subnets: as root
	$(Q)fail=0; for t in $(call pick,$(SESSION_T)); do timeout 300 $$t || fail=1; done; exit $$fail
