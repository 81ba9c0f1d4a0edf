#!/bin/bash
# Unmodified ping over the stack: both families, fragments both ways, time to live, what does not fit, what never answers.
# It is bound to the stack's own address, which no other stack here has. A copy, for ping's file capabilities forbid
# preloading.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v ping >/dev/null; then
    skip ping "not installed"
    finish
fi
cp "$(command -v ping)" "$work/ping"

pings() # EXPECTED OPTION...
{
    local want=$1
    shift
    status_of "$STANDIN" run "$work/ping" -n -i 0.05 "$@" >"$work/said" 2>&1
    cat "$work/said"
    grep -q "$want" "$work/said"
}

too_large()
{
    pings 'message too long, mtu=1500' -I "$OURS4" -c 1 -W 1 -M "do" -s 1473 "$KERNEL4"
    ((rc == 1))
}

silent()
{
    pings '1 packets transmitted, 0 received' -I "$OURS4" -c 1 -W 1 10.77.0.99
    ((rc == 1))
}

# Two at a time: each hears its own echoes only.
two()
{
    "$STANDIN" run sh -c "'$work/ping' -q -n -i 0.01 -c 50 $KERNEL4 >'$work/a' & '$work/ping' -q -n -i 0.01 -c 50 $KERNEL4; wait" \
        >"$work/b"
    grep -q '50 packets transmitted, 50 received, 0% packet loss' "$work/a"
    grep -q '50 packets transmitted, 50 received, 0% packet loss' "$work/b"
}

all='3 packets transmitted, 3 received, 0% packet loss'
check "echoes over IPv4" pings "$all" -I "$OURS4" -c 3 "$KERNEL4"
check "echoes over IPv6" pings "$all" -I "$OURS6" -c 3 "$KERNEL6"
check "in fragments over IPv4" pings "$all" -I "$OURS4" -c 3 -s 20000 "$KERNEL4"
check "in fragments over IPv6" pings "$all" -I "$OURS6" -c 3 -s 20000 "$KERNEL6"
check "the largest that fits, not to be fragmented" pings "$all" -I "$OURS4" -c 3 -M "do" -s 1472 "$KERNEL4"
check "what does not fit is an error" too_large
check "nobody answers" silent
check "to ourselves" pings "$all" -I "$OURS4" -c 3 "$OURS4"
check "a hundred at once" pings ' 0% packet loss' -I "$OURS4" -f -c 100 "$KERNEL4"
check "two side by side" two
check "nothing is left behind" clean
finish
