#!/bin/bash
# run.sh BUILD SECONDS NAME... - runs fuzzers one after the other, from the seeds in corpus/ and what earlier runs left in
# BUILD/corpus. Inputs that broke something are in BUILD/found; the exit status says whether there are any.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 seconds=$2
shift 2

bad=0
for name in "$@"; do
    mkdir -p "$build/corpus/$name" "$build/found/$name"
    log=$build/$name.log
    if "$build/fuzz/$name" -max_total_time="$seconds" -max_len=600 -len_control=0 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$build/found/$name/" "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        runs=$(grep -oE 'number_of_executed_units: [0-9]+' "$log" | grep -oE '[0-9]+')
        echo "  $name: $runs inputs, nothing found"
    else
        bad=$((bad + 1))
        echo "FAIL: fuzzer $name, see $log and $build/found/$name"
        grep -E '^(fuzz|lone|==.*ERROR|SUMMARY|.*runtime error)|CHECK' "$log" | head -5
    fi
done
echo "$(($# - bad)) passed, $bad failed"
((bad == 0))
