#!/bin/bash
# selftest.sh DRILL - the runner's own test: scripts that must pass, and scripts that must fail with
# the words of their first line ("// FAIL: words").
set -u
drill=$1
dir=$(dirname "$0")/selftest
passed=0 failed=0

judge() # WHAT COMMAND...
{
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $what"
    fi
}

for f in "$dir"/*.pkt; do
    out=$("$drill" --both "$f")
    judge "$f: $out" [ $? -eq 0 ]
done

fails_so() # FILE
{
    local want out status
    want=$(sed -n '1s,^// FAIL: ,,p' "$1")
    out=$("$drill" -q "$1")
    status=$?
    [[ -n $want && $out == *"$want"* && $status -eq 1 ]] || {
        echo "expected '$want' and status 1, got status $status: $out"
        return 1
    }
}

for f in "$dir"/fail/*.pkt; do
    judge "$f" fails_so "$f"
done

# A run is the same bit for bit: packets, times, timers, windows.
a=$("$drill" -v "$dir"/*.pkt "$dir"/../../tcp/*/*.pkt)
b=$("$drill" -v "$dir"/*.pkt "$dir"/../../tcp/*/*.pkt)
judge "two runs differ" [ "$a" = "$b" ]

# The closing line stands alone, and the exit status tells.
last=$("$drill" "$dir/cleanup.pkt" "$dir/known.pkt" | tail -n 1)
judge "closing line: $last" [ "$last" = "1 passed, 0 failed, 1 skipped" ]
"$drill" --nonesuch >/dev/null 2>&1
judge "a wrong option is not exit status 2" [ $? -eq 2 ]

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
