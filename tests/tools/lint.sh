#!/bin/bash
# lint.sh - clang-tidy, cppcheck and shellcheck over everything, then the form (tidy.sh). Each tool is one test; one that is
# not installed is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${JOBS:=$(nproc)}"

passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

judge() # NAME STATUS
{
    if (($2 == 0)); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL: $1"
        grep -E '(error|warning|portability):' "$log" | sort -u | head -n 100 || true
        head -n 100 "$log"
    fi
}

missing() # NAME
{
    echo "SKIP: $1: not installed"
    skipped=$((skipped + 1))
}

mapfile -t sources < <(git ls-files '*.c')
mapfile -t scripts < <(git ls-files '*.sh' '.ci/run')
# Names that the fragments give on the command line.
flags=(-std=c11 -I. -fno-strict-aliasing '-DKEEPER=""' '-DJUDGE_SO=""' '-DSTANDIN_BUILD_ID=""' '-DBUILD_ID=""')

tidy() # FLAG...: the sources come on stdin
{
    # shellcheck disable=SC2016 # expanded by the inner shell
    xargs -r -P "$JOBS" -n 4 sh -c \
        'flags=$1; shift; clang-tidy --quiet "$@" -- $flags 2>/dev/null' sh "${flags[*]} $*"
}

# core is plain C11; everything else sees all of libc, by a flag or by a #define of its own.
tidy_all()
{
    local rc=0
    printf '%s\n' "${sources[@]}" | grep -E '^core/' | tidy || rc=1
    # the conformance programs do on purpose what it warns of: null addresses, negative counts
    printf '%s\n' "${sources[@]}" | grep -vE '^(core|tests/conform)/' |
        tidy -D_GNU_SOURCE -Wno-macro-redefined || rc=1
    return $rc
}

if command -v clang-tidy >/dev/null; then
    rc=0
    tidy_all >"$log" 2>&1 || rc=$?
    judge clang-tidy "$rc"
else
    missing clang-tidy
fi

if command -v cppcheck >/dev/null; then
    rc=0
    # one process: with several it does not look across files
    cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr -I. -D__x86_64__ -D_GNU_SOURCE \
        --enable=warning,portability --suppressions-list=tests/tools/cppcheck.txt \
        "${sources[@]}" >"$log" 2>&1 || rc=$?
    judge cppcheck "$rc"
else
    missing cppcheck
fi

if command -v shellcheck >/dev/null; then
    rc=0
    shellcheck -x --severity=warning "${scripts[@]}" >"$log" 2>&1 || rc=$?
    judge shellcheck "$rc"
else
    missing shellcheck
fi

rc=0
tests/tools/tidy.sh >"$log" 2>&1 || rc=$?
judge tidy.sh "$rc"

if ((skipped)); then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
((failed == 0))
