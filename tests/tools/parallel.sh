#!/bin/bash
# parallel.sh PROGRAM... - runs test programs that share nothing, as many at a time as there are processors, and prints what each
# said in the order in which they are named. Fails if one fails.
set -euo pipefail

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

n=0
# shellcheck disable=SC2016 # expanded inside
for t in "$@"; do
    printf '%s\0%s\0' "$t" "$out/$n"
    n=$((n + 1))
done | xargs -0 -r -n 2 -P "$(nproc)" sh -c '"$1" >"$2" 2>&1 || echo "$1" >>"$0/failed"' "$out"

for ((i = 0; i < $#; i++)); do
    cat "$out/$i"
done
[[ ! -e $out/failed ]]
