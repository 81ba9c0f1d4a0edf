#!/bin/bash
# all.sh - every end-to-end test of this folder, one after the other.
set -euo pipefail
cd "$(dirname "$0")"
: "${T:=}"

status=0
for script in exports.sh same.sh hooks.sh command.sh errors.sh curl.sh fastopen.sh ecn.sh impair.sh relay.sh mtu.sh ping.sh \
    seen.sh capture.sh trace.sh nginx.sh programs.sh family.sh explain.sh ss.sh compare.sh readme.sh valgrind.sh; do
    echo "=== $script"
    "$PWD/$script" || status=1
done
exit $status
