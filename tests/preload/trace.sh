#!/bin/bash
# `standin run --trace` and `standin trace`: what happens, a line an event, while it happens or after.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve
make_file piece 1
URL=http://$KERNEL4:8000
out=$work/trace

traced() # FILTER : a download, its trace in $out
{
    "$STANDIN" run --trace="$1" -o "$out" curl -sSf -o "$work/got" "$URL/piece"
    cmp "$work/got" "$work/www/piece"
    head -n 20 "$out"
}

# Each pattern matches a line behind the one that the pattern before it matched.
in_order() # PATTERN...
{
    local p at=1 n
    for p in "$@"; do
        n=$(tail -n +"$at" "$out" | grep -nE -m 1 "$p" | cut -d : -f 1) || :
        [[ -n $n ]] || { echo "no line $p behind line $at"; return 1; }
        at=$((at + n))
    done
}

everything()
{
    traced ""
    in_order '^\[  0\.000000\] 0 \. process [0-9]+ joined' '1 \. socket\(AF_INET, SOCK_STREAM\) = [0-9]+' \
        '1 = CLOSED -> SYN-SENT' '1 > S 0:0\(0\) win 64240 <mss 1460,sackOK,TS,wscale [0-9]+>' \
        '1 \* rto set, 1\.000000 s' '1 \. connect\([0-9]+, 10\.77\.0\.1:8000\) = -1 EINPROGRESS' \
        '1 < S\. 0:0\(0\) ack 1' '1 = SYN-SENT -> ESTABLISHED' '1 > P\. 1:[0-9]+\([0-9]+\) ack 1' \
        '1 \. send\([0-9]+, \.\.\., [0-9]+\) = [0-9]+' '1 \. recv\([0-9]+, \.\.\., [0-9]+\) = [0-9]+' \
        '1 \. close\([0-9]+\) = 0' '= (FIN-WAIT-2|CLOSING|LAST-ACK) ->'
    grep -q 'process [0-9]* left' "$out"
    not grep -q missing "$out"
}

kinds()
{
    traced state
    not grep -qvE '\] [0-9]+ = ' "$out"
    (($(grep -c . "$out") >= 4))
    traced call,timer
    not grep -qvE '\] [0-9]+ [.*] ' "$out"
    grep -q ' \* ' "$out"
    grep -q ' \. recv' "$out"
    traced '!seg,!call'
    not grep -qE '\] [0-9]+ [<>.] [^p]' "$out"
    grep -q ' = ' "$out"
}

one_of_two() # by port, by connection
{
    start python3 "$ROOT/tests/preload/server.py" 8001 "$work/www" >/dev/null 2>&1
    await 10 listening 8001
    "$STANDIN" run --trace=seg,port=8001 -o "$out" sh -c "curl -sSf -o /dev/null $URL/piece
        curl -sSf -o /dev/null http://$KERNEL4:8001/piece"
    (($(grep -c '> S ' "$out") == 1))
    "$STANDIN" run --trace=seg -o "$out" sh -c "curl -sSf -o /dev/null $URL/piece
        curl -sSf -o /dev/null http://$KERNEL4:8001/piece"
    (($(grep -c '> S ' "$out") == 2))
    "$STANDIN" run --trace=conn=9999 -o "$out" curl -sSf -o /dev/null "$URL/piece"
    [[ ! -s $out ]]
}

on_stderr() # and the program's own words where they were
{
    "$STANDIN" run --trace=state sh -c "curl -sSf $URL/piece | wc -c" >"$work/words" 2>"$out"
    (($(cat "$work/words") == 1 << 20))
    grep -q 'CLOSED -> SYN-SENT' "$out"
}

by_environment()
{
    STANDIN_TRACE=state STANDIN_TRACE_FILE=$work/by-%c "$STANDIN" run curl -sSf -o /dev/null "$URL/piece"
    grep -q 'CLOSED -> SYN-SENT' "$work/by-curl"
    STANDIN_TRACE=state,member STANDIN_TRACE_FILE=$work/bare-%c LD_PRELOAD=$BUILD/libstandin.so \
        curl -sSf -o "$work/got" "$URL/piece"
    cmp "$work/got" "$work/www/piece"
    clean
    cat "$work/bare-curl"
    not grep -qvE '\] [0-9]+ (= |\. process)' "$work/bare-curl"
    grep -q 'CLOSED -> SYN-SENT' "$work/bare-curl"
    grep -q 'process [0-9]* left' "$work/bare-curl"
    STANDIN_TRACE=state LD_PRELOAD=$BUILD/libstandin.so curl -sSf -o /dev/null "$URL/piece" 2>"$work/err"
    clean
    grep -q 'CLOSED -> SYN-SENT' "$work/err"
}

# What a blocking call waits for, and how it ends: with its result, its time over, interrupted.
blocking()
{
    "$STANDIN" run --trace=call -o "$out" python3 - "$KERNEL4" <<'PY'
import signal, socket, struct, sys
s = socket.socket()
s.connect((sys.argv[1], 8000))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 20000))
try:
    s.recv(100)
except BlockingIOError:
    pass
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
class Over(Exception):
    pass
def handler(*_):
    raise Over
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    s.recv(100)
except Over:
    pass
PY
    cat "$out"
    in_order 'connect\([0-9]+, 10\.77\.0\.1:8000\) waits' 'connect\([0-9]+, 10\.77\.0\.1:8000\) = 0' \
        'setsockopt\([0-9]+, SO_RCVTIMEO\) = 0' 'recv\([0-9]+, \.\.\., 100\) waits' 'recv\([0-9]+.*\) = -1 EAGAIN' \
        'recv\([0-9]+, \.\.\., 100\) waits' 'recv\([0-9]+.*\) = -1 EINTR \(interrupted' 'close'
}

wrong_words()
{
    status_of "$STANDIN" run --trace=segs true 2>"$work/err"
    ((rc == 125))
    grep -q 'Did you mean seg?' "$work/err"
    status_of "$STANDIN" run --trace=port=x true 2>"$work/err"
    ((rc == 125))
    grep -q 'a number up to 65535' "$work/err"
    status_of "$STANDIN" run -o "$out" true 2>"$work/err"
    ((rc == 125))
    grep -q 'standin run --trace -o' "$work/err"
    status_of "$STANDIN" run --trace -o "$work/no/such" true 2>"$work/err"
    ((rc == 125))
}

# A session that is there: by the process, by its name, as the only one; from now on, or what it remembers.
attach()
{
    # shellcheck disable=SC2016 # for the inner shell
    start "$STANDIN" run python3 -c 'import socket, sys, time
s = socket.create_connection((sys.argv[1], 8000))
open(sys.argv[2], "w").close()
time.sleep(60)' "$KERNEL4" "$work/up"
    local pid=$last name
    await 10 test -e "$work/up"
    start "$STANDIN" trace -e state,call -o "$work/live" "$pid"
    local tracer=$last
    "$STANDIN" trace --past "$pid" >"$out"
    in_order 'SYN-SENT -> ESTABLISHED'
    name=$(grep -oE '@standin-[0-9a-f]{16}$' /proc/net/unix | head -1)
    "$STANDIN" trace --past "$name" >"$work/named"
    cmp "$out" "$work/named"
    "$STANDIN" trace --past "${name#@}" | cmp "$out"
    "$STANDIN" trace --past | cmp "$out"
    kill -STOP "$pid" # it hangs
    "$STANDIN" trace --past -e state "$pid" | grep -q 'SYN-SENT -> ESTABLISHED'
    await 10 sh -c "ls -l /proc/$tracer/fd | grep -q memfd" # it looks
    kill -CONT "$pid"
    kill -KILL "$pid" # and is dead: the one who looks on sees what the keeper does, and ends with the session
    wait "$tracer"
    cat "$work/live"
    grep -q 'close([0-9]*) = 0' "$work/live"
    grep -q 'ESTABLISHED -> FIN-WAIT-1' "$work/live"
    not grep -q 'SYN-SENT' "$work/live"
}

nobody_there()
{
    status_of "$STANDIN" trace 2>"$work/err"
    ((rc == 2))
    grep -q 'there is no session' "$work/err"
    status_of "$STANDIN" trace @standin-0123456789abcdef 2>"$work/err"
    ((rc == 2))
    grep -q 'does not answer' "$work/err"
    status_of "$STANDIN" trace 1 2>"$work/err"
    ((rc == 2))
    grep -q 'process 1 is in no session' "$work/err"
    status_of "$STANDIN" trace a b 2>"$work/err"
    ((rc == 2))
}

with_capture() # both at once
{
    "$STANDIN" run --trace=seg -o "$out" -w "$work/cap.pcapng" curl -sSf -o /dev/null "$URL/piece"
    (($(tcpdump -n -r "$work/cap.pcapng" 2>/dev/null | grep -c ' IP ') == $(grep -cE '\] [0-9]+ [<>] ' "$out")))
}

status_and_signals()
{
    status_of "$STANDIN" run --trace=state -o "$out" sh -c 'exit 37'
    ((rc == 37))
    # shellcheck disable=SC2016 # for the inner shell
    status_of "$STANDIN" run --trace=state -o "$out" sh -c 'kill -TERM $$'
    ((rc == 143))
}

check "every kind of event, in order" everything
check "filters by kind" kinds
check "filters by port and connection" one_of_two
check "on stderr, beside the program's output" on_stderr
check "STANDIN_TRACE and STANDIN_TRACE_FILE" by_environment
check "calls that wait, and how they end" blocking
check "a wrong filter or file is refused" wrong_words
check "trace and capture at once" with_capture
check "exit status and signals" status_and_signals
check "standin trace: running, stopped, killed" attach
check "nothing is left behind" clean
check "no session, no trace" nobody_there
finish
