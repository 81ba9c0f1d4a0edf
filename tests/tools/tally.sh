#!/bin/bash
# tally.sh [VARIABLE=VALUE... --] SUITE... - runs suites (make targets) one after the other and adds up what they say.
#
# A suite's output goes to $BUILD/check/SUITE.log. Counted are cmocka's closing lines and lines of the form
# "N passed, N failed[, N skipped]"; a line "SKIP: what: why" or "skip  what: why" is repeated at the end. A suite that ends badly without
# naming a failure counts as one. T=WORD runs only the suites with WORD in their name; where no suite has it, all of
# them run with T in their environment and choose themselves.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${MAKE:=make}" "${BUILD:=build}" "${T:=}"

vars=()
if [[ " $* " == *" -- "* ]]; then
    while [[ $1 != -- ]]; do
        vars+=("$1")
        [[ $1 == BUILD=* ]] && BUILD=${1#BUILD=}
        shift
    done
    shift
fi
[[ " ${vars[*]-} " == *" BUILD="* ]] || vars+=("BUILD=$BUILD")
suites=("$@")
logs=$BUILD/check
mkdir -p "$logs"
export T

chosen=()
for s in "${suites[@]}"; do
    if [[ -n $T && $s == *"$T"* ]]; then
        chosen+=("$s")
    fi
done
if ((${#chosen[@]} > 0)); then
    suites=("${chosen[@]}")
    T=
elif [[ -n $T ]]; then # each of these is one whole
    for s in "${suites[@]}"; do
        [[ $s =~ ^check-(symbols|tidy|cites)$ ]] || chosen+=("$s")
    done
    suites=("${chosen[@]}")
fi

# Three numbers from a log: passed, failed, skipped.
count()
{
    sed -E 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        /^\[  PASSED  \] [0-9]+ test/ { p += $4 }
        /^\[  FAILED  \] [0-9]+ test/ { f += $4 }
        /^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
        /^[0-9]+ passed, [0-9]+ failed/ {
            p += $1; f += $3
            if ($0 ~ /, [0-9]+ skipped/) { s += $5 }
        }
        END { printf "%d %d %d\n", p, f, s }'
}

passed=0 failed=0 skipped=0
bad=()
for s in "${suites[@]}"; do
    log=$logs/$s.log
    start=$EPOCHREALTIME
    rc=0
    "$MAKE" "${vars[@]}" "$s" >"$log" 2>&1 </dev/null || rc=$?
    read -r p f k < <(count "$log")
    if ((rc != 0 && f == 0)); then
        f=1
        echo "suite $s ended with status $rc and named no failure" >>"$log"
    fi
    took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    line="$p passed, $f failed"
    ((k > 0)) && line+=", $k skipped"
    printf '  %-14s %s (%s s)\n' "$s" "$line" "$took"
    ((passed += p, failed += f, skipped += k)) || true
    ((f > 0)) && bad+=("$s")
done

for s in "${suites[@]}"; do
    grep -hE '^(SKIP: |skip  )' "$logs/$s.log" | sort -u | sed -E 's/^(SKIP: |skip  )/  skipped: /' || true
    grep -h '^again: ' "$logs/$s.log" || true # RETRY=1: passed, if at all, at the second try
done
for s in "${bad[@]}"; do
    echo
    echo "--- $s: what failed, and the end of $logs/$s.log"
    grep -nE '^\[  FAILED  \]|^FAIL|: error:|^not ok|Error [0-9]+$' "$logs/$s.log" | head -40 || true
    tail -n 25 "$logs/$s.log"
done

line="$passed passed, $failed failed"
((skipped > 0)) && line+=", $skipped skipped"
echo "$line"
((failed == 0 && passed > 0))
