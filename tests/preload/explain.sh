#!/bin/bash
# standin explain: its fields and checksums beside tshark's, the sentences about a connection, both languages, bad input.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve
make_file piece 1

# Everything that passes between us and the kernel while curl does its work; the handshake is what tcpdump waits for.
record()
{
    "$STANDIN" run sh -c '
        tcpdump -U --immediate-mode -Kqni any -w "$1" "host $2 or host $3" 2>"$1.err" &
        until grep -q listening "$1.err" 2>/dev/null; do sleep 0.02; done
        curl -sSf -o /dev/null "http://$2:8000/piece"
        curl -s -o /dev/null "http://$2:9/" || :
        curl -sg -o /dev/null "http://[$3]:9/" || :
        until [ "$(tcpdump -r "$1" "tcp[tcpflags] & tcp-rst != 0" 2>/dev/null | wc -l)" -ge 1 ]; do sleep 0.05; done
        kill $!; wait $! || :' sh "$work/seen.pcap" "$KERNEL4" "$KERNEL6"
    test -s "$work/seen.pcap"
}

agrees()
{
    "$ROOT/tests/preload/explain_oracle.py" "$STANDIN" "$work" "$work/seen.pcap" | tail -n 12
}

explain()
{
    "$STANDIN" explain "$@" 2>&1
}

says() # TEXT ARGUMENT...
{
    local text=$1
    shift
    explain "$@" >"$work/out"
    grep -qF -- "$text" "$work/out" || { head -n 60 "$work/out"; return 1; }
}

refuses() # TEXT ARGUMENT...: exit 2, one clear line
{
    local text=$1 rc=0
    shift
    explain "$@" >"$work/out" || rc=$?
    ((rc == 2)) && grep -qF -- "$text" "$work/out" || { echo "exit $rc"; head -n 20 <"$work/out"; return 1; }
}

handshake_told()
{
    explain --lang en "$work/seen.pcap" 1-3 >"$work/out"
    grep -q 'Opens the connection (active open)' "$work/out"
    grep -q 'Answers the opening (passive open)' "$work/out"
    grep -q 'Completes the three-way handshake' "$work/out"
    grep -q 'The window is [0-9]* bytes: [0-9]* x 2^[0-9]* (scale from packet 1)' "$work/out"
}

refusal_told()
{
    explain --lang en "$work/seen.pcap" >"$work/out"
    grep -q 'Refuses the connection' "$work/out"
    grep -Eq 'Acknowledges bytes [0-9]+-[0-9]+, sent .* ago \(packet [0-9]+\)' "$work/out"
    grep -q 'Has no more data: closes its direction (active closer)' "$work/out"
}

# A 40-byte SYN, its sums worked out by hand.
SYN='4500 0028 0001 0000 4006 0000 0a4d 0002 0a4d 0001  d431 1f40 0000 0001 0000 0000 5002 ffff 0000 0000'

sums_by_hand()
{
    # 4500+28+1+4006+a4d+2+a4d+1 = 99cc -> 6633
    explain --lang en --depth 3 --hex "$SYN" >"$work/out"
    grep -q 'sum 0x99cc' "$work/out"
    grep -q "one's complement: 0x6633" "$work/out"
    grep -q 'wrong; the packet was damaged' "$work/out"
    explain --lang en --hex "${SYN/4006 0000/4006 6633}" >"$work/out"
    grep -q 'the field holds 0x6633: right' "$work/out"
}

check "a capture of both families" record
if command -v tshark >/dev/null; then
    check "every field and checksum agrees with tshark" agrees
else
    skip "every field and checksum agrees with tshark" "tshark is not installed"
fi
check "the handshake in words" handshake_told
check "acknowledgment, close and refusal in words" refusal_told
check "a checksum worked out by hand" sums_by_hand
check "Korean" says '능동 개방, Active Open' --lang ko "$work/seen.pcap" 1
check "Korean by the locale" env LC_ALL=ko_KR.UTF-8 bash -c '"$1" explain --hex "$2" | grep -q 시퀀스' _ "$STANDIN" "$SYN"
check "JSON" bash -c '"$1" explain --json "$2" 1 | python3 -c "import json,sys; d=json.load(sys.stdin); assert d[0][\"packet\"]==1"' _ "$STANDIN" "$work/seen.pcap"
check "a file that is no capture" refuses 'as a capture' "$ROOT/Makefile"
head -c 500 "$work/seen.pcap" >"$work/cut.pcap"
check "a capture that is cut off" refuses 'is damaged after packet' "$work/cut.pcap"
check "a packet that is not there" refuses 'there is no packet 999999' "$work/seen.pcap" 999999
check "bad hex" refuses 'no pair of hexadecimal digits' --hex '45 0g'
check "a bad range" refuses 'no packet number' "$work/seen.pcap" 5-3
check "an unknown language" refuses 'en and ko' --lang fr "$work/seen.pcap"
check "nothing is left behind" clean
finish
