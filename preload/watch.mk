# libstandin-watch.so: writes down what a program's socket calls answer, for `standin compare`. It needs libc alone.
$(BUILD)/libstandin-watch.so: $(BUILD)/preload/watch/watch.o $(BUILD)/core/addr.o
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -shared -o $@ $^ -Wl,-soname,libstandin-watch.so -Wl,-z,defs -Wl,-z,now -Wl,-z,relro \
	    -Wl,-z,nodelete -ldl

$(BUILD)/preload/watch/%.o: EXTRA += -U_FORTIFY_SOURCE
ALL += $(BUILD)/libstandin-watch.so
