#!/bin/bash
# What the outside sees of a connection: its own side in the kernel's table, our segments on the device.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve
make_file big 16

slow_get() { start "$STANDIN" run curl -sS --limit-rate 1M -o /dev/null "http://$KERNEL4:8000/big"; }

locals() { ss -Htn state all | awk '{ print $4 }'; }

established() { ss -Htn state established "sport = :8000" | grep -q "$OURS4"; }

table()
{
    slow_get
    await 10 established
    locals >"$work/locals"
    cat "$work/locals"
    grep -q "$KERNEL4\]*:8000" "$work/locals"
    not grep -q "$OURS4" "$work/locals"
}

capture()
{
    start tcpdump -i any -n -c 4 --immediate-mode -l "host $OURS4 and tcp port 8000"
    local dump=$last
    await 10 grep -q 'listening on' "$work/out"
    "$STANDIN" run curl -sS -o /dev/null "http://$KERNEL4:8000/"
    wait "$dump"
    cp "$work/out" "$work/dump"
    grep -q "$OURS4.*Flags \[S\]" "$work/dump"
    grep -q "$OURS4.*Flags \[\.\]" "$work/dump"
}

check "the kernel's table holds the kernel's side only" table
if command -v tcpdump >/dev/null; then
    check "a capture on the device shows our segments" capture
else
    skip capture "tcpdump is not installed"
fi
check "nothing is left behind" clean
finish
