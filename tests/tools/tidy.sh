#!/bin/bash
# tidy.sh - the form of the sources as a test. Each rule is one test; what breaks it is listed with file and line.
set -euo pipefail
cd "$(dirname "$0")/../.."

passed=0 failed=0
rule() # TEXT; the violations come on stdin
{
    local found
    found=$(cat)
    if [[ -n $found ]]; then
        echo "FAIL: $1"
        head -n 40 <<<"      ${found//$'\n'/$'\n      '}"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}

tracked() # PATTERN...: the files that are there
{
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -co --exclude-standard -- "$@"
    else
        find . -path './build*' -prune -o -type f -print | sed 's|^\./||' | while read -r f; do
            for p in "$@"; do
                # shellcheck disable=SC2053 # a pattern
                [[ $f == $p ]] && echo "$f"
            done
        done
    fi | while read -r f; do [[ -f $f ]] && echo "$f"; done | sort -u
}

mapfile -t c_files < <(tracked '*.c' '*.h')
mapfile -t scripts < <(tracked '*.sh' '.ci/run')

# Where each folder may look: itself and what lies to its right in preload -> tun -> core.
direction()
{
    local f inc top
    for f in "${c_files[@]}"; do
        top=${f%%/*}
        while IFS=: read -r line inc; do
            case "$top/$inc" in
            core/tun/* | core/preload/* | core/tests/* | core/examples/*) ;;
            tun/preload/* | tun/tests/* | tun/examples/*) ;;
            preload/tests/* | preload/examples/*) ;;
            examples/*) ;;
            *) continue ;;
            esac
            echo "$f:$line: includes $inc"
        done < <(grep -nE '^ *# *include +"' "$f" | sed -E 's/^([0-9]+):.*"([^"]+)".*/\1:\2/')
    done
}

# core is C11 with the freestanding headers and string.h; the text form of events may format.
machine()
{
    grep -nE '^ *# *include +<' core/*.[ch] /dev/null | grep -vE \
        '<(std(bool|def|int|arg|align|noreturn)|limits|string|inttypes|sodium(/[a-z0-9_]+)?)\.h>' |
        grep -vE '^core/trace[a-z_]*\.c:[0-9]+:.*<stdio\.h>' || true
}

guards()
{
    local f want
    for f in "${c_files[@]}"; do
        [[ $f == *.h ]] || continue
        want=$(grep -m1 -E '^#ifndef ' "$f" | awk '{ print $2 }' || true)
        if grep -qE '^(CALL|CHK|CELL)\(' "$f"; then
            continue # a list that is included for each use of it
        fi
        if [[ -z $want ]] || ! grep -qE "^#define $want\$" "$f"; then
            echo "$f"
        fi
    done
}

# Every file says what it is for: a comment before the first line of code that is no directive, or in its own header.
says_purpose()
{
    awk '
        /^[ \t]*$/ || /^#/ { next }
        /^[ \t]*(\/\*|\/\/)/ { ok = 1 }
        { exit }
        END { exit !ok }' "$1"
}

purpose()
{
    local f
    for f in "${c_files[@]}"; do
        says_purpose "$f" || { [[ $f == *.c && -f ${f%.c}.h ]] && says_purpose "${f%.c}.h"; } || echo "$f"
    done
}

# A row of a table (two blanks in a row within a comment) may have 120, an entry of the list of calls or cells any length.
columns()
{
    awk '
        length($0) <= 100 || /^(CALL|CHK|CELL|EMPTY)\(/ { next }
        length($0) <= 120 && /^ *(\/\*| \*) .*[^ ]  +[^ ]/ { next }
        { print FILENAME ":" FNR ": " length($0) " columns" }' "${c_files[@]}"
}

blanks()
{
    grep -nP '\t|[ \t]+$' "${c_files[@]}" /dev/null || true
}

unfinished()
{
    grep -nwE 'TODO|FIXME|XXX|HACK' "${c_files[@]}" "${scripts[@]}" | grep -v '^tests/tools/tidy.sh' || true
}

sitting()
{
    awk 'FNR == 1001 { print FILENAME ": over 1000 lines" }' "${c_files[@]}"
}

strict()
{
    local f
    for f in "${scripts[@]}"; do
        grep -qE '^set -euo pipefail|^set -u$|^# sourced' "$f" || echo "$f"
    done
}

# Every verb has a manual page, whose options come from the table.
manual()
{
    local verb
    sed -nE 's/^ *VERB\([A-Z]+, "([a-z]+)".*/\1/p' preload/cmd/verbs.h | while read -r verb; do
        grep -qs "^%OPTIONS $verb%" "preload/cmd/man/standin-$verb.1.scd" || echo "standin-$verb.1.scd"
    done
}

rule "a folder includes only from itself and from folders to its right" < <(direction)
rule "core includes the freestanding headers and string.h only" < <(machine)
rule "every header has a guard" < <(guards)
rule "every source file opens with a comment that says what it is for" < <(purpose)
rule "no line is longer than 100 columns (make format wraps comments)" < <(columns)
rule "no tabs, no blanks at the end of a line" < <(blanks)
rule "nothing is left to do in a comment" < <(unfinished)
rule "a file can be read in one sitting" < <(sitting)
rule "every verb has a manual page with its options" < <(manual)
rule "every script stops at its first error, or judges each (set -euo pipefail, set -u)" < <(strict)

echo "$passed passed, $failed failed"
((failed == 0))
