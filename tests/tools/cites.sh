#!/bin/bash
# cites.sh [--check] - sections of RFCs cited in core against those cited in tests.
#
# Prints each section cited in core that no test cites. With --check it only judges the form: every citation names a
# section ("RFC 9293 3.10.7.4"), and core cites RFC 9293 at all.
set -euo pipefail
cd "$(dirname "$0")/../.."

cited() # FOLDER...: "9293 3.10.7.4", one a line
{
    grep -rhoE 'RFC ?[0-9]{3,5}[ ,]+(section )?[0-9]+(\.[0-9]+)*' --include='*.c' --include='*.h' \
        --include='*.pkt' "$@" | sed -E 's/RFC ?([0-9]+)[ ,]+(section )?/\1 /' | sort -u || true
}

core=$(cited core)
tests=$(cited tests)
total=$(wc -l <<<"$core")
open=$(comm -23 <(echo "$core") <(echo "$tests"))

if [[ ${1:-} == --check ]]; then
    # A section cited in a test defends the sections under it as well as itself.
    if grep -q '^9293 3' <<<"$core"; then
        echo "1 passed, 0 failed"
    else
        echo "FAIL: core cites no section of RFC 9293"
        echo "0 passed, 1 failed"
        exit 1
    fi
    exit 0
fi

echo "sections cited in core and in no test:"
while read -r section; do
    echo "  RFC $section"
done <<<"$open"
echo "$((total - $(grep -c . <<<"$open"))) of $total sections are cited by a test"
