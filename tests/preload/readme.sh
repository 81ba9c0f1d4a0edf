#!/bin/bash
# The README's first screen is a new user's path: its commands, word for word, in this order, and what they promise.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

# The first block of commands, but for the building of what is built here.
steps=$(sed -n '/^As root/,/^Nothing about/{/^    /s/^    //p}' "$ROOT/README.md" | grep -v '^make')
mkdir -p "$work/clone"
cp "$ROOT/README.md" "$work/clone/"
ln -s "$BUILD" "$work/clone/build"
cd "$work/clone"

step() # N
{
    sed -n "$1p" <<<"$steps"
}

four_steps() { (($(wc -l <<<"$steps") == 4)) && [[ $(step 1) == python3* && $(step 4) == chromium* ]]; }

a_server()
{
    # shellcheck disable=SC2086
    start ${1%&} >/dev/null 2>&1
    await 10 curl -sf -o /dev/null http://127.0.0.1:8000/
}

run_curl() { bash -c "$(step 2)" | cmp - README.md; }

compare()
{
    bash -c "$(step 3)" >"$work/out"
    head -n 1 "$work/out" | grep -q '^Same result for the program'
    grep -q '^Page: page.html' "$work/out"
    test -s page.html
}

page()
{
    local command
    command=$(step 4)
    ${command/chromium/chromium --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$work/chromium" --virtual-time-budget=4000 --dump-dom} \
        >"$work/dom" 2>/dev/null
    grep -q 'data-ready="1"' "$work/dom"
}

check "the first screen is four commands" four_steps
a_server "$(step 1)"
check "$(step 2)" run_curl
check "standin compare ..." compare
if command -v chromium >/dev/null; then
    check "the page opens, and is drawn" page
else
    skip "the page opens, and is drawn" "chromium is not installed"
fi
check "nothing is left behind" clean
finish
