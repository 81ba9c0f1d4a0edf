#!/bin/bash
# all.sh - every end-to-end test of this folder, one after the other; relay.sh, which mostly waits, beside those that do not need
# the whole machine either.
set -euo pipefail
cd "$(dirname "$0")"
: "${T:=}"

status=0
aside=$(mktemp)
trap 'rm -f "$aside"' EXIT

run()
{
    local script
    for script in "$@"; do
        echo "=== $script"
        "$PWD/$script" || status=1
    done
}

run exports.sh same.sh hooks.sh command.sh errors.sh curl.sh fastopen.sh ecn.sh
env -u STANDIN_OWN_NETNS "$PWD/relay.sh" >"$aside" 2>&1 & # in namespaces of its own
run impair.sh mtu.sh ping.sh seen.sh capture.sh trace.sh explain.sh
echo "=== relay.sh"
wait $! || status=1
cat "$aside"
run nginx.sh programs.sh family.sh ss.sh compare.sh readme.sh valgrind.sh
exit $status
