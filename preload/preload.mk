# libstandin.so: preload/ and static copies of tun/, core/, libuv and SipHash.
#
# - Our own loop must never meet our hooks: in copies of libuv_a.a and libtun.a every hooked function is renamed to the
#   hidden real_* or own_* of preload/real_call.c.
# - Debian's libuv_a.a is PIE, not PIC: its references to data of libc (environ, stderr, in6addr_any) cannot be linked into
#   a shared object, so they are renamed to hidden variables of ours (preload/uv_data.c).
# - One anonymous version node: a named one makes the loader skip every hook, silently.

PRE_OBJ    = $(call obj,$(PRE_SRC))
PRE_PIC    = $(BUILD)/preload/pic
LIBUV_A   ?= $(shell $(CC) -print-file-name=libuv_a.a)
SODIUM_A  ?= -l:libsodium.a
KEEPER    ?= standin-keeper

PRE_FLAGS  = -D_GNU_SOURCE -U_FORTIFY_SOURCE -ftls-model=initial-exec

$(PRE_OBJ): EXTRA += $(PRE_FLAGS)

$(BUILD)/preload/netconf.o: preload/cmd/netconf.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(PRE_FLAGS) -Ipreload/cmd -c -o $@ $<

# name new-name, one a line, for objcopy
$(PRE_PIC)/calls.sym: preload/calls.h
	@mkdir -p $(@D)
	$(Q)printf '%s\n' '#define CALL(r, n, p, a) n real_@n' '#define CALLV(r, n, p) n real_@n' \
	    '#define ALIAS(n, of) n real_@of' '#include "preload/calls.h"' | \
	    $(CC) -E -P -I. -x c - | tr -s ' \n' '\n' | paste -d' ' - - | sed 's/@ *//' > $@
	$(Q)sed -E -i 's/ real_(close|socket|socketpair|accept4|epoll_create1?)$$/ own_\1/' $@
	$(Q)printf '%s\n' 'eventfd own_eventfd' 'pipe2 own_pipe2' 'open64 own_open64' \
	    'inotify_init1 own_inotify_init1' >> $@

$(PRE_PIC)/data.sym: preload/preload.mk
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'environ uv_data_environ' 'stderr uv_data_stderr' \
	    'in6addr_any uv_data_in6addr_any' > $@

# objcopy refuses two names for one target, so each archive gets only what it uses.
pic_copy = nm -u $(1) | awk 'NR == FNR { used[$$NF]; next } $$1 in used' - $(PRE_PIC)/calls.sym \
               > $(2).sym; $(OBJCOPY) --redefine-syms=$(2).sym $(3) $(1) $(2)

$(PRE_PIC)/libuv.a: $(LIBUV_A) $(PRE_PIC)/calls.sym $(PRE_PIC)/data.sym
	$(call say,COPY,$@)
	$(Q)$(call pic_copy,$<,$@,--redefine-syms=$(PRE_PIC)/data.sym)

$(PRE_PIC)/libtun.a: $(BUILD)/libtun.a $(PRE_PIC)/calls.sym
	$(call say,COPY,$@)
	$(Q)$(call pic_copy,$<,$@,)

$(BUILD)/exports.map: preload/calls.h
	@mkdir -p $(@D)
	$(Q){ echo '{'; echo 'global:'; \
	    printf '%s\n' '#define CALL(r, n, p, a) n;' '#define CALLV(r, n, p) n;' \
	        '#define CALLA(n) n;' '#define ALIAS(n, of) n;' '#include "preload/calls.h"' | \
	        $(CC) -E -P -I. -x c - | tr -s ' \n' '\n' | grep . | sort -u; \
	    echo 'local: *;'; echo '};'; } > $@

$(BUILD)/libstandin.so: $(PRE_OBJ) $(BUILD)/preload/netconf.o $(PRE_PIC)/libtun.a \
                        $(BUILD)/libcore.a $(PRE_PIC)/libuv.a $(BUILD)/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -shared -o $@ $(PRE_OBJ) $(BUILD)/preload/netconf.o \
	    -Wl,-soname,libstandin.so -Wl,--version-script,$(BUILD)/exports.map \
	    -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete \
	    -Wl,--build-id \
	    -Wl,--start-group $(PRE_PIC)/libtun.a $(BUILD)/libcore.a -Wl,--end-group \
	    $(PRE_PIC)/libuv.a $(SODIUM_A) -lpthread -ldl

ALL += $(BUILD)/libstandin.so
