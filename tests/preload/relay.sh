#!/bin/bash
# The emulated wire between two links: a program on the kernel's stack and on ours over the very same relay, each rule with both.
# Judged by the packets as they went into the wire and as they came out, by the list of what fired, and by what the programs at both
# ends say. The last check fails for a word of the language (standin-impair(7)) that no rule here uses on both stacks; impair.sh has
# the like for a session's own wire.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 300000 /dev/urandom >"$work/f"
f=$(sha "$work/f")
sink=(python3 "$ROOT/tests/preload/sink.py")
sets=() # NAME=VALUE for the program's stack

# In $work/fired: "out rule 1 DROPPED data conn 1 offset 2896 len 1448 pkt 5 at 123"; in $work/cap all packets; the program's output in
# $work/said, its time in $ms.
over() # STACK RULES PROGRAM...
{
    local stack=$1 rules=$2 began=${EPOCHREALTIME/./} x set=()
    shift 2
    for x in "${sets[@]}"; do
        set+=(--set "$x")
    done
    echo "$rules" >>"$work/rules.$stack"
    status_of "$BUILD/bench/relay_run" --stack "$stack" --standin "$STANDIN" --cubic "${set[@]}" --rules "$rules" --seed "${SEED:-7}" \
        --firings "$work/fired" --seen "$work/cap" --server "exec ${sink[*]} serve 8001" -- "$@" >"$work/said" 2>"$work/err"
    ms=$(((${EPOCHREALTIME/./} - began) / 1000))
}

judge() { python3 "$ROOT/tests/preload/impair.py" "$work/cap" "$1"; }

up() # STACK RULES [HOST]
{
    over "$1" "$2" "${sink[@]}" send "${3:-$KERNEL4}" 8001 "$work/f"
    cat "$work/err"
    ((rc == 0)) && [[ $(cat "$work/said") == "$f" ]]
}

# The firings without number and time.
fired() { sed -E '/^#/d; s/ pkt .*//' "$work/fired"; }

# $work/cap of a run without rules: once for each stack, setting and program.
plain() # STACK PROGRAM...
{
    local kept
    kept=$work/plain.$(printf '%s\n' "$@" "${sets[@]}" | cksum | tr ' ' -)
    if [[ ! -e $kept ]]; then
        over "$1" "" "${@:2}"
        [[ -z $(fired) ]]
        cp "$work/cap" "$kept"
    fi
    cp "$kept" "$work/cap"
}

# On both stacks everything arrives, and what is said of the packets is so; without the rules it is not.
sees() # RULES EXPRESSION
{
    local stack
    for stack in kernel user; do
        up "$stack" "$1"
        judge "$2" || { echo "$stack" && return 1; }
        plain "$stack" "${sink[@]}" send "$KERNEL4" 8001 "$work/f"
        not judge "$2" >/dev/null
    done
}

# The same with another program, whatever becomes of it.
sees_with() # RULES EXPRESSION PROGRAM...
{
    local stack
    for stack in kernel user; do
        over "$stack" "$1" "${@:3}"
        judge "$2" || { echo "$stack" && cat "$work/err" && return 1; }
        plain "$stack" "${@:3}"
        not judge "$2" >/dev/null
    done
}

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

# A bit of each field: only of that packet, only there, and all is well in the end.
corrupts_fields()
{
    local field n=0 rules='delay 3ms' want=''
    for field in payload ip.checksum ip.length ip.ttl tcp.sport tcp.dport tcp.seq tcp.ack tcp.offset tcp.flags tcp.window tcp.checksum \
        tcp.urgent tcp.options; do
        n=$((n + 2))
        rules+="; out: corrupt data#$n at $field"
        want+="$((n - 1)): ['$field'], "
    done
    sees "$rules" "[{(next(p.off for p in put_out if p.no == no) // s): c for no, c in changed('out').items()} == {$want}, gone('out') == []] == [True, True]"
}

# The checksum says nothing: the damage reaches the other program.
corrupts_unseen()
{
    local stack
    for stack in kernel user; do
        over "$stack" 'out: corrupt data#2 at payload fixed' "${sink[@]}" send "$KERNEL4" 8001 "$work/f"
        [[ $rc == 0 && $(cat "$work/said") =~ ^[0-9a-f]{64}$ && $(cat "$work/said") != "$f" ]]
        judge 'list(changed("out").values()) == [["tcp.checksum", "payload"]] and sum(p.off == s for p in data(out)) == 1 and all(p.good for p in out)'
        judge '[p.off for p in put_out if p.no in changed("out")] == [s]'
    done
}

resets()
{
    local stack
    for stack in kernel user; do
        over "$stack" 'delay 3ms; rst after 50KiB' "${sink[@]}" send "$KERNEL4" 8001 "$work/f"
        ((rc != 0))
        grep -qE 'ConnectionResetError|BrokenPipeError' "$work/err"
        [[ $(fired | grep -c RESET) -ge 1 ]]
        judge '["R" in p.flags for p in made("out")] == [True] and 50 * 1024 <= [p.off for p in out if p.no == 0][0] < 50 * 1024 + s'
        over "$stack" 'in: rst' "${sink[@]}" send "$KERNEL4" 8001 "$work/f"
        ((rc != 0))
        # behind the SYN,ACK: before the program has sent anything
        judge '["R" in p.flags for p in made("inn")] == [True] and order("inn").index(0) == 1'
    done
}

forgets()
{
    local stack
    for stack in kernel user; do
        over "$stack" 'idle 200ms' "${sink[@]}" send "$KERNEL4" 8001 "$work/f" 2 .5
        ((rc != 0))
        grep -q TimeoutError "$work/err"
        fired | grep -q 'FORGOTTEN data conn 1 offset 1000 '
        judge 'max(p.off + p.n for p in data(out)) == 1000 and set(nos(p for p in put_out if p.off >= 1000 and p.n)) <= set(gone("out"))'
    done
}

lowers_mtu()
{
    local stack
    sees 'out: mtu 1200 icmp=sent' 'max(p.size for p in out) == 1200 and [p.proto for p in made("inn")].count(1) >= 1 and made("out") == []'
    for stack in kernel user; do
        over "$stack" 'out: mtu 1200 icmp=silent' "${sink[@]}" send "$KERNEL4" 8001 "$work/f" 3
        ((rc != 0))
        grep -q TimeoutError "$work/err"
        judge 'max(p.size for p in all_out) <= 1200 and made("inn") == [] and gone("out")'
    done
}

# Six datagrams of ECN-capable transport.
cat >"$work/udp.py" <<PY
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 2)
for i in range(6):
    s.sendto(b"%d" % i, ("$KERNEL4", 9))
import time
time.sleep(.1)
PY
# A connection that is reset from here.
cat >"$work/linger.py" <<PY
import socket, struct
s = socket.create_connection(("$KERNEL4", 8001))
s.sendall(b"x" * 100)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
import time
time.sleep(.1)
PY
# A SYN that asks for a Fast Open cookie, and one that is signed.
cat >"$work/open.py" <<PY
import socket, struct, sys
s = socket.socket()
s.settimeout(.5)
if sys.argv[1] == "md5":
    s.setsockopt(socket.IPPROTO_TCP, 14, struct.pack("HH4s120xxxHI80s", 2, 0, socket.inet_aton("$KERNEL4"), 3, 0, b"key")[:216].ljust(216, b"\0"))
    try:
        s.connect(("$KERNEL4", 8001))
    except OSError:
        pass
else:
    s.sendto(b"x", socket.MSG_FASTOPEN, ("$KERNEL4", 8001))
    s.close()
PY
# A SYN with options that neither stack sends to this server: AccECN's (only to who speaks it) and one of RFC 4727. The kernel's raw
# sockets only.
cat >"$work/raw.py" <<PY
import socket, struct
opts = bytes([172, 5, 1, 2, 3, 253, 4, 0xf9, 0x89, 2, 4, 5, 180, 1, 1, 1])
src, dst = socket.inet_aton("$OURS4"), socket.inet_aton("$KERNEL4")
tcp = struct.pack("!HHIIBBHHH", 5555, 8001, 1000, 0, (20 + len(opts)) // 4 << 4, 2, 1000, 0, 0) + opts
total = sum(struct.unpack("!%dH" % ((12 + len(tcp)) // 2), src + dst + struct.pack("!HH", 6, len(tcp)) + tcp))
while total >> 16:
    total = (total & 0xffff) + (total >> 16)
tcp = tcp[:16] + struct.pack("!H", total ^ 0xffff) + tcp[18:]
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + src + dst + tcp, ("$KERNEL4", 0))
import time
time.sleep(.2)
PY

strips()
{
    sees 'out: strip mss,wscale,sack,timestamps on syn' \
        '[p.opts for p in put_out if "S" in p.flags] != [[]] == [p.opts for p in out if "S" in p.flags] and list(changed("out")) == [1] and all(p.good for p in out)'
    sees 'strip all on all' 'not any(p.opts for p in out + inn) and list(changed("out")) == [1] and list(changed("inn")) == [1]'
    sees_with 'out: strip fastopen' '[sorted(p.opts) for p in out if "S" in p.flags] == [[2, 3, 4, 8]]' python3 "$work/open.py" fast
    sees_with 'out: strip md5 on all' '[19 in p.opts for p in put_out if "S" in p.flags][:1] == [True] and not any(19 in p.opts for p in out)' python3 "$work/open.py" md5
}

strips_others()
{
    over kernel 'out: strip accecn' python3 "$work/raw.py"
    judge '[(p.opts, q.opts) for p, q in zip(put_out, out)][0] == ([172, 253, 2], [253, 2]) and out[0].good'
    over kernel 'out: strip other,timestamps on syn' python3 "$work/raw.py"
    judge '[(p.opts, q.opts) for p, q in zip(put_out, out)][0] == ([172, 253, 2], [172, 2]) and out[0].good'
}

# What TCP that has agreed on ECN does: the receiver echoes the mark (ECE), the sender says that it heard (CWR).
marks()
{
    sets=(tcp_ecn=1)
    sees 'delay 5ms; out: ecn-mark data#5' \
        '[(p.off, p.ecn) for p in put_out if p.no in changed("out")] == [(4 * s, 2)] and [p.ecn for p in out if p.no in changed("out")] == [3] and any("E" in p.flags for p in inn if "S" not in p.flags) and any("W" in p.flags for p in out if "S" not in p.flags)'
    sees 'delay 5ms; out: ecn-mark 5%' '0 < len(changed("out")) < len(put_out) / 5 and set(map(tuple, changed("out").values())) == {("tos", "ip.checksum")} and lost("out") == []'
    sees 'delay 5ms; out: ecn-bleach' 'any(p.ecn for p in put_out) and not any(p.ecn for p in out) and all(p.good for p in out) and set(map(tuple, changed("out").values())) == {("tos", "ip.checksum")}'
    sees 'delay 10ms; out: rate 2mbit aqm codel ecn' \
        'lost("out") == [] and any(p.ecn == 3 for p in out) and {p.ecn for p in put_out if p.no in changed("out")} == {2} and any("E" in p.flags for p in inn if "S" not in p.flags)'
}

datagrams()
{
    local udp=(python3 "$work/udp.py")
    cp "$(command -v ping)" "$work/ping" # without its file capabilities
    sees_with 'out: drop udp#2' 'len(all_put_out) >= 6 and gone("out") == nos(p for p in all_put_out if p.proto == 17)[1:2]' "${udp[@]}"
    sees_with 'out: drop udp#2..3' 'gone("out") == nos(p for p in all_put_out if p.proto == 17)[1:3]' "${udp[@]}"
    sees_with 'out: drop udp#3+' 'gone("out") == nos(p for p in all_put_out if p.proto == 17)[2:]' "${udp[@]}"
    sees_with 'out: drop udp#2+2' 'gone("out") == nos(p for p in all_put_out if p.proto == 17)[1::2]' "${udp[@]}"
    sees_with 'out: dup 100% of udp' 'copies("out") == {p.no: 2 for p in all_put_out if p.proto == 17} != {}' "${udp[@]}"
    sees_with 'out: ecn-mark udp#2' 'list(changed("out")) == nos(p for p in all_put_out if p.proto == 17)[1:2] and gone("out") == []' "${udp[@]}"
    sees_with 'out: drop icmp#1' 'gone("out") == nos(p for p in all_put_out if p.proto == 1)[:1] != []' "$work/ping" -c 2 -i .2 -W 1 "$KERNEL4"
    sees_with 'out: drop rst#1' 'nos(p for p in put_out if "R" in p.flags)[0] in gone("out") and len(gone("out")) == 1' python3 "$work/linger.py"
}

drops()
{
    sees 'delay 3ms; out: drop any#3' 'gone("out") == [3] and gone("inn") == []'
    sees 'delay 3ms; out: drop ack#1' 'gone("out") == nos(p for p in put_out if p.flags == "." and not p.n)[:1]'
    sees 'delay 3ms; in: drop ack#2+3' 'gone("inn") == nos(p for p in put_inn if p.flags == "." and not p.n)[1::3]'
    sees 'delay 3ms; out: drop data#3..5' '[p.off for p in put_out if p.no in gone("out")] == [2 * s, 3 * s, 4 * s]'
    sees 'delay 3ms; in: drop fin#1' 'gone("inn") == nos(p for p in put_inn if "F" in p.flags)[:1]'
    sees 'delay 3ms; out: drop data#3; out: drop retransmit#1' '[p.off for p in put_out if p.no in gone("out")] == [2 * s, 2 * s]'
    sees 'delay 3ms; in: loss 30% of ack' 'gone("inn") and set(gone("inn")) <= set(nos(p for p in put_inn if p.flags == "." and not p.n)) and gone("out") == []'
}

delays()
{
    sees 'in: delay 200ms' 'min(late("inn").values()) >= .2 > max(late("out").values())'
    sees 'out: delay 60ms jitter 50ms' 'min(late("out").values()) >= .01 and max(late("out").values()) >= .1 and order("out") != sorted(order("out"))'
    sees 'out: delay 60ms jitter 50ms ordered' 'min(late("out").values()) >= .01 and max(late("out").values()) >= .1 and order("out") == sorted(order("out"))'
    # within 50 to 70 ms; beyond on both sides; never below 54 ms, and far beyond
    sees 'out: delay 60ms jitter 10ms dist uniform' '.05 <= min(late("out").values()) < .052'
    sees 'out: delay 60ms jitter 10ms dist normal' '.02 < min(late("out").values()) < .05 and max(late("out").values()) > .075'
    sees 'out: delay 60ms jitter 10ms dist pareto' '.054 <= min(late("out").values()) < .056 and max(late("out").values()) > .08'
    sees 'delay 20ms; out: delay 30ms of data#3' 'late("out")[nos(p for p in put_out if p.off == 2 * s and p.n)[0]] >= .05 > sorted(late("out").values())[len(out) // 2]'
}

reorders()
{
    sees 'delay 3ms; out: reorder data#2 after data#4' 'firsts(out)[:5] == [0, 2 * s, 3 * s, s, 4 * s]'
    sees 'delay 3ms; out: reorder data#2 by 100ms' '[no for no, t in late("out").items() if t >= .1] == nos(p for p in put_out if p.off == s and p.n)[:1] and order("out") != sorted(order("out"))'
    sees 'delay 3ms; out: reorder 10% by 100ms' '0 < sum(t >= .1 for t in late("out").values()) < len(put_out) / 3 and order("out") != sorted(order("out"))'
}

queues()
{
    sees 'out: rate 2mbit queue 24KiB' 'lost("out") and .09 < max(late("out").values()) < .4'
    sees 'out: rate 2mbit queue 50ms' 'lost("out") and .04 < max(late("out").values()) < .3'
    sees 'out: rate 2mbit queue 20p aqm droptail' 'lost("out") and .1 < max(late("out").values()) < .5 and max(p.t for p in out) - min(p.t for p in out) >= 1.1'
}

holes()
{
    sees 'delay 3ms; out: blackhole after 50KiB for 1s' 'gap(out) >= .9 and min(p.off + p.n for p in put_out if p.no in gone("out") and p.n) > 50 * 1024 and gone("inn") == []'
    sees 'delay 20ms; blackhole after 60ms for 400ms' \
        'lost("out") and all(.06 <= p.t - all_put_out[0].t < .46 for p in all_put_out if p.no in lost("out")) and gap(out) >= .3'
}

big() { echo "out rule 2 $1 data conn 1 offset $2 len 1448"; }

# Every word of the language was used, on both stacks. What ours does not send here cannot be taken out of it: those two are shown with the
# kernel's raw sockets.
words()
{
    "$BUILD/impairdoc" --words >"$work/words"
    python3 "$ROOT/tests/preload/words.py" "$work/rules.kernel" <"$work/words"
    grep -vxE 'option (accecn|other)' "$work/words" | python3 "$ROOT/tests/preload/words.py" "$work/rules.user"
}

check "both families, both stacks" both_families
check "drop data#3" exactly 'out: drop data#3' "$(big DROPPED 2896)"
check "drop and loss of each kind" drops
check "datagrams, ICMP, resets; the numbers behind #" datagrams
check "dup data#2 x3" exactly 'out: dup data#2 x3' "$(big DUPLICATED 1448)"
check "dup: three copies come out" sees 'delay 3ms; out: dup data#2 x3' 'list(copies("out").items()) == [(no, 3) for no in nos(p for p in put_out if p.off == s)]'
check "corrupt data#2" exactly 'out: corrupt data#2 at tcp.checksum' "$(big CORRUPTED 1448)"
check "corrupt: any bit" sees 'delay 3ms; out: corrupt data#2; out: corrupt 3% of data#5+' '[len(c) for c in changed("out").values()] == [1] * len(changed("out")) and len(changed("out")) > 2 and [p.off for p in put_out if p.no in changed("out")][0] == s'
check "corrupt: each field" corrupts_fields
check "corrupt, the checksum made right" corrupts_unseen
check "reorder data#2 after data#4" exactly 'out: reorder data#2 after data#4' "$(big REORDERED 1448)"
check "reorder: what comes out" reorders
check "drop syn#1" exactly 'out: drop syn#1' "out rule 2 DROPPED syn conn 1 offset 0 len 0"
check "drop syn+ack#1" exactly 'in: drop syn+ack#1' "in rule 2 DROPPED syn+ack conn 1 offset 0 len 0"
check "strip sack" exactly 'out: strip sack' "out rule 2 STRIPPED syn conn 1 offset 0 len 0"
check "strip each option" strips
check "strip what neither stack sends" strips_others
check "mss" exactly 'out: mss 1300' "out rule 2 CLAMPED syn conn 1 offset 0 len 0"
check "mss: of the SYN alone" sees 'out: mss 1300' '[p.mss for p in out if "S" in p.flags] == [1300] and changed("out") == {1: ["tcp.checksum", "tcp.options"]} and all(p.good for p in out)'
check "delay" at_least 300 'delay 40ms jitter 1ms; out: dup syn#1' 'DUPLICATED syn'
check "delay, jitter, distributions" delays
check "rate, droptail" at_least 1100 'rate 2mbit queue 20p' QUEUE
check "rate: how long a queue is" queues
check "CoDel" at_least 1100 'delay 10ms; rate 2mbit aqm codel' CODEL
check "ecn-mark, ecn-bleach, CoDel's marks: with TCP that agreed on ECN" marks
check "loss in bursts" sees 'delay 3ms; out: loss ge p=2% r=40% bad=90% good=1%' 'any(b - a == 1 for a, b in zip(gone("out"), gone("out")[1:])) and len(gone("out")) < len(put_out) / 4'
check "blackhole" holes
check "window 0" sees 'delay 3ms; in: window 0 after 50KiB for 1s' 'gap(out) >= .8 and set(map(tuple, changed("inn").values())) == {("tcp.window", "tcp.checksum")} and min(p.ack for p in put_inn if p.no in changed("inn")) >= 50 * 1024'
check "mtu, with ICMP and without" lowers_mtu
check "rst" resets
check "idle" forgets
check "profile" at_least 0 'profile lossy' LOST
check "the seed's bytes on both stacks, in every run" same_bytes
check "data#3 of small writes" cut_out
[[ -n $T ]] || check "no word of the language without a rule here, on either stack" words
finish
