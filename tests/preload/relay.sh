#!/bin/bash
# The emulated wire between two links: a program on the kernel's stack and on ours over the very same relay, each rule with both.
# What fired is in a list; what it did is seen by the programs at both ends.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 300000 /dev/urandom >"$work/f"
f=$(sha "$work/f")

# In $work/fired: "out rule 1 DROPPED data conn 1 offset 2896 len 1448 pkt 5 at 123"; the program's output in $work/said, its time in $ms.
over() # STACK RULES PROGRAM...
{
    local stack=$1 rules=$2 began=${EPOCHREALTIME/./}
    shift 2
    status_of "$BUILD/bench/relay_run" --stack "$stack" --standin "$STANDIN" --cubic --rules "$rules" --seed "${SEED:-7}" \
        --firings "$work/fired" --server "exec python3 $ROOT/tests/preload/sink.py serve 8001" -- "$@" >"$work/said" 2>"$work/err"
    ms=$(((${EPOCHREALTIME/./} - began) / 1000))
}

up() # STACK RULES [HOST]
{
    over "$1" "$2" python3 "$ROOT/tests/preload/sink.py" send "${3:-$KERNEL4}" 8001 "$work/f"
    cat "$work/err"
    ((rc == 0)) && [[ $(cat "$work/said") == "$f" ]]
}

# The firings without number and time.
fired() { sed -E '/^#/d; s/ pkt .*//' "$work/fired"; }

# The rule fires exactly so on both stacks, and everything arrives.
exactly() # RULES FIRING...
{
    local stack rules=$1 want
    shift
    want=$(printf '%s\n' "$@")
    for stack in kernel user; do
        up "$stack" "delay 3ms; $rules"
        [[ $(fired) == "$want" ]] || { echo "$stack: $(fired)" && return 1; }
    done
}

# It fires on both, everything arrives, and it takes at least so long.
at_least() # MS RULES WORD
{
    local stack
    for stack in kernel user; do
        up "$stack" "$2"
        fired | grep -q "$3"
        ((ms >= $1))
        up "$stack" ""
        [[ -z $(fired) ]]
    done
}

both_families()
{
    local stack
    for stack in kernel user; do
        up "$stack" 'delay 2ms; loss 2%; dup 2%; corrupt 1%' "$KERNEL6"
    done
}

# The same seed takes the same bytes of the stream, in every run and on both stacks; another seed takes others.
same_bytes()
{
    local stack first='' got
    for _ in 1 2; do
        for stack in kernel user; do
            up "$stack" 'delay 5ms; out: loss 5%'
            got=$(fired | grep ' data ')
            first=${first:-$got}
            [[ $got == "$first" ]] || { diff <(echo "$first") <(echo "$got") && return 1; }
        done
    done
    SEED=8
    up user 'delay 5ms; out: loss 5%'
    [[ $(fired | grep ' data ') != "$first" ]]
}

# Small writes, unlike segments: data#3 is cut out of them.
cut_out()
{
    local stack
    for stack in kernel user; do
        over "$stack" 'delay 3ms; out: drop data#3' python3 - "$KERNEL4" <<'PY'
import socket, sys
s = socket.create_connection((sys.argv[1], 8001))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for i in range(30):
    s.sendall(bytes(333))
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())
PY
        ((rc == 0))
        [[ $(cat "$work/said") == $(head -c 9990 /dev/zero | sha256sum | cut -d ' ' -f 1) ]]
        # one after the other, without a gap, from 2 * 1448 to 3 * 1448
        fired | awk '$4 != "DROPPED" || $9 != at + 2896 { exit 1 } { at += $11 } END { exit at != 1448 }'
    done
}

resets()
{
    local stack
    for stack in kernel user; do
        over "$stack" 'delay 3ms; rst after 50KiB' python3 "$ROOT/tests/preload/sink.py" send "$KERNEL4" 8001 "$work/f"
        ((rc != 0))
        grep -qE 'ConnectionResetError|BrokenPipeError' "$work/err"
        [[ $(fired | grep -c RESET) -ge 1 ]]
    done
}

forgets()
{
    local stack
    for stack in kernel user; do
        over "$stack" 'idle 200ms' python3 "$ROOT/tests/preload/sink.py" send "$KERNEL4" 8001 "$work/f" 2 .5
        ((rc != 0))
        grep -q TimeoutError "$work/err"
        fired | grep -q 'FORGOTTEN data conn 1 offset 1000 '
    done
}

lowers_mtu()
{
    local stack
    for stack in kernel user; do
        up "$stack" 'out: mtu 1200'
        fired | grep -q 'MTU data conn 1 offset 0 len 1448'
    done
}

big() { echo "out rule 2 $1 data conn 1 offset $2 len 1448"; }

check "both families, both stacks" both_families
check "drop data#3" exactly 'out: drop data#3' "$(big DROPPED 2896)"
check "dup data#2 x3" exactly 'out: dup data#2 x3' "$(big DUPLICATED 1448)"
check "corrupt data#2" exactly 'out: corrupt data#2 at tcp.checksum' "$(big CORRUPTED 1448)"
check "reorder data#2 after data#4" exactly 'out: reorder data#2 after data#4' "$(big REORDERED 1448)"
check "drop syn#1" exactly 'out: drop syn#1' "out rule 2 DROPPED syn conn 1 offset 0 len 0"
check "drop syn+ack#1" exactly 'in: drop syn+ack#1' "in rule 2 DROPPED syn+ack conn 1 offset 0 len 0"
check "strip sack" exactly 'out: strip sack' "out rule 2 STRIPPED syn conn 1 offset 0 len 0"
check "mss" exactly 'out: mss 1300' "out rule 2 CLAMPED syn conn 1 offset 0 len 0"
check "delay" at_least 300 'delay 40ms jitter 1ms; out: dup syn#1' 'DUPLICATED syn'
check "rate, droptail" at_least 1100 'rate 2mbit queue 20p' QUEUE
check "CoDel" at_least 1100 'delay 10ms; rate 2mbit aqm codel' CODEL
check "loss in bursts" at_least 0 'delay 3ms; out: loss ge p=2% r=40%' LOST
check "blackhole" at_least 1000 'delay 3ms; out: blackhole after 50KiB for 1s' HOLE
check "window 0" at_least 1000 'delay 3ms; in: window 0 after 50KiB for 1s' WINDOW
check "mtu" lowers_mtu
check "rst" resets
check "idle" forgets
check "the seed's bytes on both stacks, in every run" same_bytes
check "data#3 of small writes" cut_out
finish
