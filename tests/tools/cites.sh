#!/bin/bash
# cites.sh [--check] - what of the RFCs core cites and tests defend.
#
# First the requirements of RFC 9293, appendix B (tests/tcp/rfc9293/requirements.txt): which are cited by code, which
# by a test, which are deliberately not done, and why. Then each section of any RFC cited in core that no test cites.
#
# With --check it judges: a MUST or SHLD has a test or a reason, every id that is cited exists, the table is complete,
# and core cites RFC 9293 at all.
set -euo pipefail
cd "$(dirname "$0")/../.."

table=tests/tcp/rfc9293/requirements.txt
id='(MUST|SHLD|MAY|REC)-[0-9]+'

ids() # FOLDER...: the ids cited in its sources
{
    grep -rhoE "\b$id\b" --include='*.c' --include='*.h' --include='*.pkt' "$@" | sort -u || true
}

cited() # FOLDER...: "9293 3.10.7.4", one a line
{
    grep -rhoE 'RFC ?[0-9]{3,5}[ ,]+(section )?[0-9]+(\.[0-9]+)*' --include='*.c' --include='*.h' \
        --include='*.pkt' "$@" | sed -E 's/RFC ?([0-9]+)[ ,]+(section )?/\1 /' | sort -u || true
}

# ID|code or -|test or -|wording|reason
requirements()
{
    awk -F ' *[|] *' -v code="$(ids core tun preload)" -v tests="$(ids tests)" '
        BEGIN {
            n = split(code, a, "\n"); for (i = 1; i <= n; i++) in_code[a[i]] = 1
            n = split(tests, a, "\n"); for (i = 1; i <= n; i++) in_test[a[i]] = 1
        }
        /^#/ || NF < 2 { next }
        {
            print $1 "|" (in_code[$1] ? "code" : "-") "|" (in_test[$1] ? "test" : "-") "|" $2 "|" $3
        }' "$table"
}

check()
{
    local bad=0 known
    known=$(requirements)
    while IFS='|' read -r name _ test _ reason; do
        if [[ $name =~ ^(MUST|SHLD) && $test == - && -z $reason ]]; then
            echo "FAIL: $name of RFC 9293 has neither a test nor a reason why not"
            bad=$((bad + 1))
        fi
    done <<<"$known"
    while read -r name; do
        if ! grep -q "^$name|" <<<"$known"; then
            echo "FAIL: $name is cited, but RFC 9293 has no such requirement"
            bad=$((bad + 1))
        fi
    done < <(ids core tun preload tests)
    for level in MUST:69 SHLD:31 MAY:18 REC:1; do
        if (($(grep -c "^${level%:*}-" <<<"$known") != ${level#*:})); then
            echo "FAIL: $table does not have ${level#*:} of ${level%:*}"
            bad=$((bad + 1))
        fi
    done
    if ! cited core | grep -q '^9293 3'; then
        echo "FAIL: core cites no section of RFC 9293"
        bad=$((bad + 1))
    fi
    # Each requirement, each level's number, and the last are a test.
    echo "$((119 + 4 + 1 - bad)) passed, $bad failed"
    ((bad == 0))
}

if [[ ${1:-} == --check ]]; then
    check
    exit
fi

echo "RFC 9293, appendix B:"
requirements | awk -F '|' '
    {
        printf "  %-8s %-4s %-4s %s\n", $1, $2, $3, $4
        if ($5 != "") printf "  %-8s           not done: %s\n", "", $5
        split($1, p, "-"); all[p[1]]++
        code[p[1]] += $2 == "code"; test[p[1]] += $3 == "test"; not[p[1]] += $5 != ""
    }
    END {
        n = split("MUST SHLD MAY REC", level, " ")
        for (i = 1; i <= n; i++) {
            l = level[i]
            printf "%s: %d, %d cited in code, %d by a test, %d not done or not wholly\n", \
                l, all[l], code[l], test[l], not[l]
        }
    }'

core=$(cited core)
open=$(comm -23 <(echo "$core") <(cited tests))
total=$(wc -l <<<"$core")
echo
echo "sections cited in core and in no test:"
while read -r section; do
    echo "  RFC $section"
done <<<"$open"
echo "$((total - $(grep -c . <<<"$open"))) of $total sections are cited by a test"
