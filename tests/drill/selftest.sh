#!/bin/sh
# selftest.sh DRILL - the runner's own test: scripts that must pass, and scripts that must fail with the words of their
# first line ("// FAIL: words").
drill=$1
dir=$(dirname "$0")/selftest
passed=0
failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL $1"; }

for f in "$dir"/*.pkt; do
    if out=$("$drill" --both "$f"); then ok; else bad "$f: $out"; fi
done
for f in "$dir"/fail/*.pkt; do
    want=$(sed -n '1s,^// FAIL: ,,p' "$f")
    out=$("$drill" -q "$f")
    status=$?
    case $out in
    *"$want"*) [ $status -eq 1 ] && ok || bad "$f: exit status $status" ;;
    *) bad "$f: expected '$want' but got: $out" ;;
    esac
done

# A run is the same bit for bit; a packet line printed is the line that was parsed.
a=$("$drill" -v "$dir"/*.pkt)
b=$("$drill" -v "$dir"/*.pkt)
[ "$a" = "$b" ] && ok || bad "two runs differ"

# The closing line stands alone.
last=$("$drill" "$dir/cleanup.pkt" "$dir/known.pkt" | tail -n 1)
[ "$last" = "1 passed, 0 failed, 1 skipped" ] && ok || bad "closing line: $last"
"$drill" --nonesuch >/dev/null 2>&1
[ $? -eq 2 ] && ok || bad "a wrong option is not exit status 2"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
