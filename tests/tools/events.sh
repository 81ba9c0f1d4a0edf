#!/bin/bash
# events.sh BUILD - what an event costs: the instructions spent on writing records, counted by callgrind while
# tests/unit/event_flow_test.c runs, divided by the records written. Instructions do not vary between runs. An event may
# take 40 ns: 110 instructions even where the processor does no more than one of them a cycle, at 2.75 GHz.
set -euo pipefail

build=${1:-build}
bound=110
test=$build/unit/event_flow_test

if ! command -v valgrind >/dev/null; then
    echo "SKIP: bench-events: valgrind is not installed"
    exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$test" >"$dir/plain" 2>&1 || { cat "$dir/plain"; exit 1; }
sed -n 's/^host/events: host/p' "$dir/plain"

toggles=()
for f in 'tcp_tell_*' tell_call stack_drop udp_record; do
    toggles+=("--toggle-collect=$f")
done
valgrind --tool=callgrind --callgrind-out-file="$dir/out" "${toggles[@]}" "$test" >"$dir/run" 2>&1 ||
    { cat "$dir/run"; exit 1; }
events=$(sed -n 's/^events //p' "$dir/run")
instructions=$(sed -n 's/^==[0-9]*== Collected : //p' "$dir/run")
awk -v n="$events" -v ir="$instructions" -v max="$bound" 'BEGIN {
    per = ir / n
    printf "events: %d records, %.1f instructions each (bound %d)\n", n, per, max
    exit !(n > 0 && per > 5 && per <= max)
}'
