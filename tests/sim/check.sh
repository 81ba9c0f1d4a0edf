#!/bin/bash
# check.sh BUILD - the simulations: random networks (SEEDS of them, or the one SEED), fair shares, and the table, which must be
# as it is stored: a change of behaviour is a diff, taken over by `make sim-update`.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?check.sh BUILD}
: "${T:=}"
failed=0

for t in storm_test accecn_test fair_test; do
    [[ -z $T || $t == *"$T"* ]] || continue
    [[ $t != fair_test || -n $T || -n ${SEEDS:-} ]] || continue # long: with `make sim`
    "$build/sim/$t" || failed=1
done
if [[ -z $T || sim-table == *"$T"* ]]; then
    "$build/sim/table" >"$build/sim/table.now"
    if diff -u tests/sim/table.txt "$build/sim/table.now"; then
        echo "1 passed, 0 failed"
    else
        echo "FAIL: the table has changed; if that is right: make sim-update"
        echo "0 passed, 1 failed"
        failed=1
    fi
fi
exit $failed
