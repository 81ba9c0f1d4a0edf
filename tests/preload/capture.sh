#!/bin/bash
# `standin run -w FILE`: what tshark, capinfos and tcpdump make of the capture; that it is complete when the command ends,
# that nobody waits for it, and that what is missing is said.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v tshark >/dev/null || ! command -v capinfos >/dev/null; then
    skip capture "tshark is not installed"
    finish
fi

serve
make_file piece 1
make_file big 64
URL=http://$KERNEL4:8000
lua=$ROOT/preload/cmd/standin.lua
cap=$work/cap.pcapng

shark() { tshark -n "$@" 2>"$work/shark.err"; }
fields() { shark -X lua_script:"$lua" "$@"; } # with the fields of standin.lua

get() # OPTION... : one small download
{
    "$STANDIN" run -w "$cap" "$@" curl -sSf -o "$work/got" "$URL/piece"
    cmp "$work/got" "$work/www/piece"
}

whole()
{
    get
    capinfos "$cap" >"$work/info"
    cat "$work/info"
    grep -q 'File encapsulation: *Raw IP$' "$work/info"
    grep -q 'nanoseconds' "$work/info"
    grep -q 'Strict time order: *True' "$work/info"
    grep -q "Capture comment: *standin run -w $cap curl" "$work/info"
    grep -q 'Capture application: *standin' "$work/info"
    grep -q 'Number of interfaces in file: 1' "$work/info"
    shark -r "$cap" >"$work/list"
    not grep -qiE 'malformed|cut short|appears to be damaged' "$work/list" "$work/shark.err"
    grep -q 'SYN' "$work/list"
    # The end is there too: our FIN, the peer's, and what acknowledges it.
    (($(shark -r "$cap" -Y 'tcp.flags.fin == 1' | wc -l) == 2))
    tcpdump -n -r "$cap" >"$work/dumped" 2>&1
    (($(grep -c ' IP ' "$work/dumped") == $(wc -l <"$work/list")))
}

comments()
{
    get
    shark -r "$cap" -T fields -e frame.comment -c 3 >"$work/said"
    cat "$work/said"
    sed -n 1p "$work/said" | grep -q '^SYN: opens a connection,ev=tx sock=1 reason=SYN seq=0 len=0 wnd=64240 state=SYN-SENT'
    sed -n 1p "$work/said" | grep -q ' fd=[0-9]* call=connect'
    sed -n 1p "$work/said" | grep -q '1 \. socket(AF_INET, SOCK_STREAM) = [0-9]'
    sed -n 2p "$work/said" | grep -q '^received SYN-ACK; SYN-SENT -> ESTABLISHED,ev=rx sock=1 seq=0 ack=1'
    sed -n 2p "$work/said" | grep -q 'connect([0-9]*, 10.77.0.1:8000) = -1 EINPROGRESS'
    [[ $(shark -r "$cap" -T fields -e frame.packet_flags_direction -c 2 | tr '\n' ' ') == "0x00000002 0x00000001 " ]]
    [[ $(shark -r "$cap" -T fields -e frame.packet_id -c 3 | tr '\n' ' ') == "0 1 2 " ]]
    (($(shark -r "$cap" -Y 'frame.comment contains "call=send"' | wc -l) == 1))
}

lua_fields()
{
    get
    (($(fields -r "$cap" -Y 'standin.reason == "SYN"' | wc -l) == 1))
    (($(fields -r "$cap" -Y 'standin.call == "send" && standin.fd > 2 && tcp.len > 0' | wc -l) == 1))
    (($(fields -r "$cap" -Y 'standin.state == "SYN-SENT"' | wc -l) == 2))
    (($(fields -r "$cap" -Y 'standin.srtt > 0 && standin.srtt < 1 && standin.rto >= 0.2' | wc -l) > 2))
    (($(fields -r "$cap" -Y 'standin.cwnd == 14480 && standin.inflight > 0' | wc -l) > 1))
    fields -r "$cap" -q -z 'io,stat,0,MAX(standin.cwnd)standin.cwnd' >"$work/stat"
    cat "$work/stat"
    grep -qE '<>.*[|] *[0-9]{5,} *[|]' "$work/stat"
}

# Nobody has this address: the copy of the SYN says why it was sent.
unanswered()
{
    status_of "$STANDIN" run -w "$cap" curl -sS -m 1.5 -o /dev/null http://10.77.0.9:80/
    ((rc == 28))
    (($(fields -r "$cap" -Y 'standin.reason == "RTO" && tcp.flags.syn == 1' | wc -l) >= 1))
    shark -r "$cap" -T fields -e frame.comment >"$work/said"
    grep -q 'RETRANSMIT SYN: retransmission timer fired; the next time-out is' "$work/said"
    grep -q '1 \* rto fired' "$work/said"
}

# The emulated wire: what it dropped is in the capture, in either direction, with the rule.
impaired()
{
    "$STANDIN" run --seed 3 --impair 'out: drop data#1' --impair 'in: drop data#2' -w "$cap" \
        curl -sSf -o "$work/got" "$URL/piece"
    cmp "$work/got" "$work/www/piece"
    capinfos "$cap" | grep -q 'curl .*; seed 3; rule 1: out: drop data#1; rule 2: in: drop data#2'
    shark -r "$cap" -T fields -e frame.comment >"$work/said"
    grep -q '^bytes 1-[0-9]*: new data; rule 1: dropped,ev=tx .*reason=DATA .* rule=1' "$work/said"
    grep -qE '^RETRANSMIT bytes 1-[0-9]*: (tail loss probe|retransmission timer fired)' "$work/said"
    grep -qE '^NEVER CAME.*; rule 2: dropped.*,ev=rx reason=IMPAIRED' "$work/said"
    # The second stretch and no more, in however many pieces: what came was cut.
    fields -r "$cap" -Y 'standin.reason == "IMPAIRED" && standin.rule == 2' -T fields -e tcp.seq -e tcp.len |
        awk '{ n += $2; first = !first || $1 < first ? $1 : first } END { exit !(first == 1449 && n == 1448) }'
}

live() # a reader of the pipe sees packets while the program runs
{
    mkfifo "$work/go"
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run -w - sh -c 'curl -sSf -o /dev/null "$0"; echo words of the program; read -r x <"$1"' \
        "$URL/piece" "$work/go" 2>"$work/err" | tshark -n -l -i - >"$work/seen" 2>/dev/null &
    local pipe=$!
    await 10 grep -q 'GET /piece' "$work/seen"
    kill -0 "$pipe"
    echo >"$work/go"
    wait "$pipe"
    cat "$work/err"
    [[ $(cat "$work/err") == "words of the program" ]]
    (($(grep -c . "$work/seen") > 10))
}

all_of_the_pipe() # into a file behind a pipe: the same as into a file
{
    # shellcheck disable=SC2016 # for the inner shell
    sh -c '"$0" run -w - curl -sSf -o "$1" "$2" | cat >"$3"' "$STANDIN" "$work/got" "$URL/piece" "$cap"
    cmp "$work/got" "$work/www/piece"
    (($(shark -r "$cap" -Y 'tcp.flags.fin == 1' | wc -l) == 2))
    capinfos "$cap" >/dev/null
}

reader_goes() # a reader that has seen enough: nothing happens to the program
{
    # shellcheck disable=SC2016 # for the inner shell
    sh -c '"$0" run -w - curl -sSf -o "$1" "$2" 2>"$3" | head -c 2000 >/dev/null' \
        "$STANDIN" "$work/got" "$URL/big" "$work/err"
    cmp "$work/got" "$work/www/big"
    [[ ! -s $work/err ]]
}

not_a_terminal()
{
    python3 - "$STANDIN" run -w - true <<'PY'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
out = b""
try:
    while True:
        piece = os.read(fd, 1000)
        if not piece:
            break
        out += piece
except OSError:
    pass
_, status = os.waitpid(pid, 0)
sys.exit(not (b"not for the terminal" in out and os.waitstatus_to_exitcode(status) == 125))
PY
}

# tcpdump on the device at the same time: the same packets, in the same order.
same_as_tcpdump() # OPTION...
{
    rm -f "$work/dump.pcap.err"
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run -w "$cap" "$@" sh -c 'tcpdump -i standin0 --immediate-mode -s 200 -B 65536 -w "$0" 2>"$0.err" & dump=$!
        until grep -qs "listening on" "$0.err"; do sleep 0.02; done
        curl -sSf -o /dev/null "$1"
        sleep 0.3; kill -INT $dump; wait $dump' "$work/dump.pcap" "$URL/piece"
    local columns=(-e ip.src -e ip.id -e ip.len -e tcp.seq_raw -e tcp.ack_raw -e tcp.flags -e tcp.window_size_value
        -e tcp.len -e tcp.options)
    shark -r "$cap" -Y ip -T fields "${columns[@]}" >"$work/ours"
    shark -r "$work/dump.pcap" -Y ip -T fields "${columns[@]}" >"$work/theirs"
    wc -l "$work/ours" "$work/theirs"
    (($(wc -l <"$work/ours") > 20))
    # Each direction has its order; which of two that cross was first, each side sees for itself.
    for who in "$OURS4" "$KERNEL4"; do
        diff <(grep "^$who" "$work/ours") <(grep "^$who" "$work/theirs")
    done
}

snap_length()
{
    get --snaplen=80
    (($(stat -c %s "$cap") < 200000))
    [[ $(shark -r "$cap" -T fields -e frame.cap_len | sort -n | tail -1) == 80 ]]
    (($(shark -r "$cap" -T fields -e frame.len | sort -n | tail -1) > 1000))
    status_of "$STANDIN" run -w "$cap" --snaplen=12 true 2>"$work/err"
    ((rc == 125))
    grep -q 'from 60 to 262144' "$work/err"
}

# A reader that takes its time: the program is not held up, what is lost is counted, said on stderr, in the file at the gap
# and at its end.
overflow()
{
    mkfifo "$work/slow"
    # shellcheck disable=SC2016 # for the inner shell
    start sh -c 'exec <"$0"; until [ -e "$1" ]; do sleep 0.05; done; cat >"$2"' "$work/slow" "$work/done" "$cap"
    local reader=$last
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run -w "$work/slow" sh -c 'curl -sSf -m 60 -o "$0" "$1"; touch "$2"' \
        "$work/got" "$URL/big" "$work/done" 2>"$work/err"
    wait "$reader"
    cat "$work/err"
    cmp "$work/got" "$work/www/big"
    grep -qE 'the capture misses [0-9]+ of [0-9]+ packets' "$work/err"
    capinfos "$cap" >"$work/info"
    shark -r "$cap" -T fields -e frame.comment >"$work/said"
    grep -qE '^[0-9]+ PACKETS BEFORE THIS ONE ARE MISSING' "$work/said"
    local lost
    lost=$(sed -nE 's/.*misses ([0-9]+) of.*/\1/p' "$work/err")
    (($(fields -r "$cap" -T fields -e standin.lost | awk '{ n += $1 } END { print n }') == lost))
}

full_disk() # the program goes on, and the command says so
{
    status_of "$STANDIN" run -w /dev/full sh -c "curl -sSf -o $work/got $URL/piece; exit 6" 2>"$work/err"
    cat "$work/err"
    ((rc == 6))
    cmp "$work/got" "$work/www/piece"
    grep -q 'the capture is not complete: No space left on device' "$work/err"
}

cannot_write()
{
    status_of "$STANDIN" run -w "$work/no/such/folder" touch "$work/ran" 2>"$work/err"
    cat "$work/err"
    ((rc == 125))
    [[ ! -e $work/ran ]]
    grep -q 'cannot write the capture to .*/no/such/folder: No such file' "$work/err"
}

names()
{
    "$STANDIN" run -w "$work/%c-%p.pcapng" sh -c "echo \$\$ >$work/pid"
    [[ -s $work/sh-$(cat "$work/pid").pcapng ]]
    (cd "$work" && "$STANDIN" run -w here.pcapng true)
    [[ -s $work/here.pcapng ]]
    status_of "$STANDIN" run -w "$work/%x" true
    ((rc == 125))
}

by_environment()
{
    STANDIN_PCAP=$work/env-%c.pcapng "$STANDIN" run curl -sSf -o /dev/null "$URL/piece"
    (($(shark -r "$work/env-curl.pcapng" -Y 'tcp.flags.fin == 1' | wc -l) == 2))
    STANDIN_PCAP=$work/bare-%c-%p.pcapng LD_PRELOAD=$BUILD/libstandin.so curl -sSf -o "$work/got" "$URL/piece"
    cmp "$work/got" "$work/www/piece"
    clean
    (($(shark -r "$(echo "$work"/bare-curl-*.pcapng)" -Y 'tcp.flags.fin == 1' | wc -l) == 2))
}

killed() # the keeper says goodbye for it, and that is in the file
{
    # shellcheck disable=SC2016 # for the inner shell
    status_of "$STANDIN" run -w "$cap" python3 -c 'import os, signal, socket, sys
s = socket.create_connection((sys.argv[1], 8000))
s.send(b"GET /")
os.kill(os.getpid(), signal.SIGKILL)' "$KERNEL4"
    ((rc == 137))
    (($(shark -r "$cap" -Y 'tcp.flags.fin == 1 && ip.src == 10.77.0.2' | wc -l) == 1))
    shark -r "$cap" -T fields -e frame.comment | grep -q 'process [0-9]* left'
}

# The keeper is killed: the next one goes on with the file, in a section of its own.
keeper_killed()
{
    "$STANDIN" run -w "$cap" python3 - "$KERNEL4" <<'PY'
import os, signal, socket, subprocess, sys, time
def get():
    s = socket.create_connection((sys.argv[1], 8000))
    s.send(b"GET /piece HTTP/1.0\r\n\r\n")
    while s.recv(65536):
        pass
    return s
def keeper():
    """When the latest was started, and its pid; another session's may be there, and still owe something."""
    def started(pid):
        try:
            return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[19])
        except OSError:
            return 0
    pids = subprocess.run(["pidof", "standin-keeper"], capture_output=True, text=True).stdout.split()
    return max(((started(p), int(p)) for p in pids), default=(0, 0))
first = get()
old = keeper()
os.kill(old[1], signal.SIGKILL)
end = time.time() + 20
while keeper() <= old and time.time() < end:
    time.sleep(0.02)
assert keeper() > old
get()
PY
    capinfos "$cap" >/dev/null
    shark -r "$cap" >"$work/list"
    not grep -qiE 'cut short|damaged' "$work/shark.err"
    (($(shark -r "$cap" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' | wc -l) == 2))
    (($(shark -r "$cap" -Y 'tcp.flags.fin == 1' | wc -l) == 4))
    shark -r "$cap" -T fields -e frame.packet_id | awk '$1 != n++ { exit 1 }' # none twice, none missing
}

family() # --wait: what daemons do is in it too
{
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run --wait -w "$cap" sh -c '(sleep 0.3; curl -sSf -o /dev/null "$0") >/dev/null 2>&1 & exit 0' "$URL/piece"
    (($(shark -r "$cap" -Y 'tcp.flags.fin == 1' | wc -l) == 2))
    # shellcheck disable=SC2016 # for the inner shell
    status_of "$STANDIN" run -w "$cap" sh -c '(curl -sSf "$0"; sleep 20) >/dev/null 2>&1 & echo $! >"$1"; sleep 0.3; exit 4' \
        "$URL/piece" "$work/pid"
    ((rc == 4))
    kill "$(cat "$work/pid")"
}

datagrams_and_ourselves()
{
    "$STANDIN" run -w "$cap" python3 - "$KERNEL4" "$OURS4" <<'PY'
import socket, sys
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.sendto(b"hello", (sys.argv[1], 9))
l = socket.socket()
l.bind((sys.argv[2], 7000))
l.listen()
c = socket.create_connection((sys.argv[2], 7000))
c.send(b"to ourselves")
PY
    (($(fields -r "$cap" -Y 'udp && standin.reason == "DGRAM"' | wc -l) == 1))
    (($(fields -r "$cap" -Y 'standin.ev == "loop" && tcp.port == 7000' | wc -l) > 3))
}

nothing_without_w() # one process, no parent of ours
{
    [[ $("$STANDIN" run sh -c 'ps -o comm= -p $PPID') != standin ]]
}

check "a capture that every tool reads, complete when the command ends" whole
check "comments say why" comments
check "fields by standin.lua" lua_fields
check "a retransmission says so" unanswered
check "what the emulated wire did" impaired
check "live through a pipe" live
check "the pipe's file is complete" all_of_the_pipe
check "a reader that goes away" reader_goes
check "not to a terminal" not_a_terminal
check "the packets that tcpdump sees" same_as_tcpdump
check "the packets that tcpdump sees, no offload" same_as_tcpdump --offload=off
check "snap length" snap_length
check "a slow reader holds up nobody; the gap is told" overflow
check "a full disk" full_disk
check "a file that cannot be written" cannot_write
check "names with %p and %c" names
check "STANDIN_PCAP, with the command and without" by_environment
check "a killed program's last packets" killed
check "a keeper that is killed" keeper_killed
check "daemons" family
check "datagrams, and packets to ourselves" datagrams_and_ourselves
check "no parent without it" nothing_without_w
check "nothing is left behind" clean
finish
