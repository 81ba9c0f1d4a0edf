#!/bin/bash
# standin ss, ls, doctor: a session seen from outside, while its program runs, is stopped, and has died.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve

cat >"$work/peer.py" <<'PY'
import socket, time
s = socket.create_server(("", 7000))
print("ready", flush=True)
c, _ = s.accept()
time.sleep(600)
PY
cat >"$work/prog.py" <<'PY'
import socket, sys, time
listener = socket.create_server(("10.77.0.2", 9999), backlog=7)
full = socket.create_connection(("10.77.0.1", 7000))
full.setblocking(False)
try:
    while True:
        full.send(b"x" * 1000000)
except BlockingIOError:
    pass
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("10.77.0.2", 5353))
kernel = socket.create_connection(("127.0.0.1", 8000))
print("ready", flush=True)
time.sleep(600)
PY

begin_session()
{
    start python3 "$work/peer.py" >"$work/peer.out"
    await 10 grep -q ready "$work/peer.out"
    start "$STANDIN" run python3 "$work/prog.py" >"$work/prog.out"
    prog=$last
    await 10 grep -q ready "$work/prog.out"
}

shows() # PATTERN ARGUMENT...
{
    local pattern=$1
    shift
    "$STANDIN" ss "$@" >"$work/out" 2>&1
    grep -Eq -- "$pattern" "$work/out" || { head -n 30 <"$work/out"; return 1; }
}

json() # PYTHON-EXPRESSION ON d ARGUMENT...
{
    local test=$1
    shift
    "$STANDIN" "$@" --json | python3 -c "import json, sys; d = json.load(sys.stdin); assert $test, d"
}

stuck_sender="[r for r in d if r['peer']['port'] == 7000][0]"

stopped()
{
    kill -STOP "$prog"
    shows 'ESTAB .*10\.77\.0\.1:7000' -t
    kill -CONT "$prog"
}

# Its keeper stays while bytes are owed to the peer; the socket is nobody's then.
died()
{
    kill -9 "$prog"
    wait "$prog" 2>/dev/null || :
    await 10 json "any(r['peer']['port'] == 7000 and not r['processes'] for r in d)" ss -ta
    shows 'FIN-WAIT-1' -t
}

exits() # STATUS TEXT COMMAND...
{
    local want=$1 text=$2 rc=0
    shift 2
    "$@" >"$work/out" 2>&1 || rc=$?
    ((rc == want)) && { [[ -z $text ]] || grep -qF -- "$text" "$work/out"; } || { echo "exit $rc"; head -n 20 <"$work/out"; return 1; }
}

check "no session: a clear word, exit 2" exits 2 'no session' "$STANDIN" ss
check "ls: none, exit 1" exits 1 '' "$STANDIN" ls
begin_session # a listener, a connection that is full, a datagram socket, one with the kernel
check "ls names it, its addresses and its program" json "d[0]['members'][0]['comm'] == 'python3' and '10.77.0.2/24' in d[0]['addresses']" ls
check "without letters: connections, with their queues" shows 'tcp +ESTAB +0 +[1-9][0-9]+ +10\.77\.0\.2:[0-9]+ +10\.77\.0\.1:7000'
check "-l: those that wait" shows 'LISTEN +0 +7 +10\.77\.0\.2:9999' -l
check "-u: datagram sockets" shows 'UNCONN .*10\.77\.0\.2:5353' -ua
check "-p: process and descriptor" shows 'users:\(\("python3",pid=[0-9]+,fd=[0-9]+\)\)' -tp
check "-i: ss's names" shows 'cubic wscale:[0-9]+,[0-9]+ rto:[0-9.]+ .*rtt:[0-9.]+/[0-9.]+ .*mss:1448 .*cwnd:[0-9]+ .*bytes_acked:[0-9]+' -ti
check "the peer's window limits the sender" json "${stuck_sender}['limit'] == 'RWND'" ss -t
check "a persist timer runs" json "'persist' in ${stuck_sender}['timers_us']" ss -t
check "its last call was send" json "${stuck_sender}['last_call']['name'] == 'send'" ss -t
check "why a socket is with the kernel" json "[r for r in d if r['stack'] == 'kernel' and r['peer']['port'] == 8000][0]['why'] == 'loopback'" ss -t
check "the descriptor is the one the kernel shows" json "__import__('os').readlink('/proc/%d/fd/%d' % (${stuck_sender}['processes'][0]['pid'], ${stuck_sender}['processes'][0]['fd'])) == 'socket:[%d]' % ${stuck_sender}['inode']" ss -t
check "a filter" json "len(d) == 1 and d[0]['state'] == 'LISTEN'" ss state listening
check "a wrong filter, exit 2" exits 2 'is no filter' "$STANDIN" ss stat listening
check "a wrong interval, exit 2" exits 2 'a time with its unit' "$STANDIN" ss --watch=5
check "a program that is stopped" stopped
check "a program that has died" died
check "doctor finds nothing wrong here" exits 0 'ok    device' "$STANDIN" doctor curl
check "doctor finds a static program" exits 1 'WRONG program' "$STANDIN" doctor "$BUILD/standin-keeper"
finish
