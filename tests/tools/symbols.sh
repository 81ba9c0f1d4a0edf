#!/bin/bash
# symbols.sh LIB.A [OTHER.A...] - core is a machine, and so is the wire (which may use core): the symbols they need from
# outside are on a short list.
#
# Each object of the archive is a test: what it leaves undefined must be another object's, or on the list.
set -euo pipefail

lib=${1:?symbols.sh LIB.A [OTHER.A...]}
# bcmp is what clang makes of memcmp(...) == 0
allowed='^(memcpy|memmove|memset|memcmp|strlen|strcmp|strncmp|bcmp|crypto_shorthash[a-z0-9_]*)$'
helpers='^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(u?div|u?mod)(ti|di)3|__popcountdi2)$'
text='^(v?snprintf)$' # trace.o only
passed=0 failed=0

defined=$(mktemp)
trap 'rm -f "$defined"' EXIT
nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }' | sort -u >"$defined"

while read -r object; do
    bad=()
    while read -r symbol; do
        if [[ $symbol =~ $allowed || $symbol =~ $helpers ]] || grep -qxF "$symbol" "$defined"; then
            continue
        fi
        if [[ $object == trace.o && $symbol =~ $text ]]; then
            continue
        fi
        bad+=("$symbol")
    done < <(nm -A -u "$lib" 2>/dev/null | awk -v o="$object" '
        { n = split($1, part, ":"); if (part[n - 1] == o || part[n] == o) print $NF }' | sort -u)
    if ((${#bad[@]})); then
        echo "FAIL: $object needs ${bad[*]}"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
done < <(ar t "$lib")

echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
