#!/bin/bash
# exports.sh - the shared object gives the program exactly the hooks of calls.h, each is really taken, and none is met by
# our own code.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"
LIB=$BUILD/libstandin.so

names()
{
    printf '#define CALL(r, n, p, a) n\n#define CALLV(r, n, p) n\n#define CALLA(n) n
#define ALIAS(n, of) n\n#include "preload/calls.h"\n' |
        gcc -E -P -I"$ROOT" -x c - | tr -s ' \n' '\n' | grep . | sort -u
}
names >"$work/names"

exactly_the_hooks()
{
    nm -D --defined-only "$LIB" | awk '{ print $NF }' | sort -u | diff "$work/names" -
}

# A named version would make the loader skip every hook, silently.
no_version_node()
{
    not grep "Version definition" < <(readelf -V "$LIB")
}

only_libc_is_needed()
{
    not grep -vx libc.so.6 < <(readelf -d "$LIB" | awk -F'[][]' '/NEEDED/ { print $2 }')
    not grep __tls_get_addr < <(nm -D --undefined-only "$LIB")
}

each_is_taken()
{
    # shellcheck disable=SC2046
    LD_PRELOAD=$LIB "$BUILD/tests/preload/probe" $(cat "$work/names")
}

# A weak name would be a hook nobody wrote.
each_has_a_body()
{
    not grep -xFf "$work/names" < <(nm "$LIB" | awk '$2 == "W" { print $3 }')
}

# Only a hook calls a hook, and knows why; everything else goes to libc through `real`, or inline.
no_plain_calls()
{
    local o bad=0
    for o in "$BUILD"/preload/*.o; do
        case ${o##*/} in hook_* | alias.o | signals.o) continue ;; esac
        if nm -u "$o" | awk '{ print $NF }' | grep -xFf "$work/names"; then
            echo "^ called by ${o##*/}"
            bad=1
        fi
    done
    return $bad
}

# libuv and tun meet libc only through renamed calls.
no_plain_calls_below()
{
    not grep -xFf "$work/names" < <(nm -u "$BUILD"/preload/pic/*.a | awk 'NF == 2 { print $2 }' | sort -u)
}

# The table for people names each call.
readme_is_complete()
{
    printf '#define CALL(r, n, p, a) n\n#define CALLV(r, n, p) n\n#define CHK(r, n, p, a)
#include "preload/calls.h"\n' | gcc -E -P -I"$ROOT" -x c - | tr -s ' \n' '\n' | grep . |
        grep -v '^__' | sort >"$work/calls"
    not grep -vxFf <(sed -n '/^## The interposed calls/,$p' preload/README.md | tr -c 'a-zA-Z0-9_' '\n' |
        sort -u) "$work/calls"
}

check "exports are exactly the hooks" exactly_the_hooks
check "no version node" no_version_node
check "libc alone is needed, no dynamic TLS" only_libc_is_needed
check "each hook is taken" each_is_taken
check "each hook has a body" each_has_a_body
check "our own code meets no hook" no_plain_calls
check "libuv and tun meet no hook" no_plain_calls_below
check "the README names each call" readme_is_complete
finish
