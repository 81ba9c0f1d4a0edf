#!/bin/bash
# The emulated wire between the stack and its TUN: each impairment with an unmodified program over it, judged by what is seen on
# the TUN (what the stack sends has the wire behind it there, what the kernel sends has it still before it) and by what it says.
# The last check fails for a word of the language (standin-impair(7)) that no rule here uses; relay.sh has the like for both stacks.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve
mkdir -p "$work/www"
head -c 300000 /dev/urandom >"$work/www/f"
f=$(sha "$work/www/f")
start python3 "$ROOT/tests/preload/sink.py" serve 8001
await 10 listening 8001
# One write of everything: full segments from the first byte on.
send=(python3 "$ROOT/tests/preload/sink.py" send "$KERNEL4" 8001 "$work/www/f")
# Every rule is written down.
cat >"$work/standin" <<SH
#!/bin/bash
[[ \${STANDIN_IMPAIR-} ]] && echo "\$STANDIN_IMPAIR" >>"$work/rules"
for ((i = 1; i < \$#; i++)); do
    case \${!i} in
        --impair) j=\$((i + 1)) && echo "\${!j}" ;;
        --profile) j=\$((i + 1)) && echo "profile \${!j}" ;;
    esac
done >>"$work/rules"
exec "$STANDIN" "\$@"
SH
chmod 755 "$work/standin"
STANDIN=$work/standin
# The kernel forgets what it learned of a path.
echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save

judge() { python3 "$ROOT/tests/preload/impair.py" "$work/cap" "$1"; }

# The command with everything in $work/cap. tcpdump is asked whether it has begun by its own words.
captured() # COMMAND...
{
    local dump rc=0
    rm -f "$work/cap"
    tcpdump -i any --immediate-mode -U -s 0 -B 16384 -w "$work/cap" tcp or udp 2>"$work/dump" &
    dump=$!
    await 10 grep -q listening "$work/dump"
    "$@" || rc=$?
    await 10 nothing_left
    kill -INT "$dump"
    wait "$dump" || :
    return "$rc"
}

up() # OPTION...: all arrives
{
    [[ $("$STANDIN" run "$@" "${send[@]}") == "$f" ]]
}

down()
{
    "$STANDIN" run "$@" curl -sSf -m 60 -o "$work/got" "http://$KERNEL4:8000/f"
    [[ $(sha "$work/got") == "$f" ]]
}

# What cannot be delivered is owed for minutes: ends the session (of this network namespace) that owes it. One before it may just
# be leaving.
end_session()
{
    local p
    for p in $(pgrep -x standin-keeper); do
        [[ $(readlink "/proc/$p/ns/net") != "$(readlink /proc/self/ns/net)" ]] || kill "$p"
    done
    await 10 nothing_left
}

# An upload that ends by this exception.
fails_with() # NAME OPTION...
{
    local name=$1
    shift
    ((${#send[@]} > 6)) || send+=(3)
    not "$STANDIN" run "$@" "${send[@]}" >/dev/null 2>"$work/err"
    nothing_left || end_session
    grep -q "^$name" "$work/err"
}

seen() # EXPRESSION COMMAND...
{
    captured "${@:2}"
    judge "$1"
}

both() # EXPRESSION COMMAND...: the wire makes it so, and without it it is not so
{
    seen "$1" "${@:2}"
    captured "$2"
    not judge "$1"
}

delays()
{
    both 'min(p.t for p in out if "S" not in p.flags) - min(p.t for p in out) >= .2' up --impair 'in: delay 200ms'
    seen 'min(p.t for p in out if "S" not in p.flags) - min(p.t for p in out) >= .2' up --impair 'out: delay 1ms; in: delay 200ms'
    both 'firsts(out).index(s) > 3' up --impair 'out: delay 5ms; out: delay 60ms of data#2'
}

# With a jitter packets overtake each other, unless they are ordered: then the first flight comes in its order, stretched.
jitters()
{
    both 'firsts(out) != sorted(firsts(out))' up --impair 'out: delay 60ms jitter 50ms dist uniform'
    both 'firsts(out) != sorted(firsts(out))' up --impair 'out: delay 60ms jitter 20ms dist normal'
    both 'firsts(out) != sorted(firsts(out))' up --impair 'out: delay 60ms jitter 20ms dist pareto'
    both 'firsts(out) == sorted(firsts(out)) and gap(out) >= .03' up --impair 'out: delay 60ms jitter 50ms ordered'
}

drops_data()
{
    # Everything in its order but the third stretch, which comes once, late, and whole.
    seen 'firsts(out).index(2 * s) > firsts(out).index(3 * s) and [o for o in firsts(out) if o != 2 * s] == sorted(o for o in firsts(out) if o != 2 * s) and 2 * s not in [p.off + i * s for p in out[:5] if p.n for i in range(p.n // s)]' \
        up --impair 'out: delay 5ms; out: drop data#3'
}

drops_synack()
{
    both 'len([p for p in inn if "S" in p.flags]) == 3' down --impair 'in: drop syn+ack#1..2'
    both 'len([p for p in inn if "S" in p.flags]) == 2' down --impair 'in: loss 100% of syn+ack#1'
}

drops_fin()
{
    both 'min(p.t for p in out if "F" in p.flags) - max(p.t for p in out if p.n and p.off < 200000) >= .2' \
        up --impair 'delay 5ms; out: drop fin#1..2'
}

# The losses of a seed are the same bytes in every run.
loses()
{
    local a b c
    captured up --impair 'delay 5ms; out: loss 5%' --seed 11
    judge 'twice(out) == 0 and firsts(out) != sorted(firsts(out))'
    a=$(late)
    captured up --impair 'delay 7ms; out: loss 5%' --seed 11
    b=$(late)
    captured up --impair 'delay 5ms; out: loss 5%' --seed 12
    c=$(late)
    echo "lost with seed 11: $a / $b; with 12: $c"
    [[ -n $a && $a == "$b" && $a != "$c" ]]
}

# What was first seen behind something later: it had been lost before.
late() { python3 "$ROOT/tests/preload/impair.py" "$work/cap" - | tr ' ' '\n' | awk '$1 < top { print $1 } $1 > top { top = $1 }' | sort -n | tr '\n' ' '; }

loses_bursts() { both 'firsts(out) != sorted(firsts(out))' up --impair 'delay 5ms; out: loss ge p=2% r=40% bad=90% good=1%'; }

repeats() { seen 'len([p for p in out if p.n and p.off == s]) == 3 and len([p for p in out if p.n and p.off == 2 * s]) == 1' up --impair 'delay 5ms; out: dup data#2 x3'; }

reorders() { seen 'firsts(out)[:5] == [0, 2 * s, 3 * s, s, 4 * s]' up --impair 'delay 5ms; out: reorder data#2 after data#4'; }

holds_back()
{
    both 'firsts(out).index(s) > 3' up --impair 'delay 5ms; out: reorder data#2 by 50ms'
    both 'firsts(out) != sorted(firsts(out))' up --impair 'delay 5ms; out: reorder 10% by 20ms'
}

corrupts()
{
    seen '[p.off for p in out if not p.good] == [s] and len([p for p in out if p.off == s and p.n]) == 2' \
        up --impair 'delay 5ms; out: corrupt data#2 at tcp.checksum'
}

# The checksum says nothing of it: the damage reaches the other program.
corrupts_unseen()
{
    local got
    captured upload --impair 'delay 5ms; out: corrupt data#2 at payload fixed'
    got=$(cat "$work/answer")
    [[ $got =~ ^[0-9a-f]{64}$ && $got != "$f" ]]
    judge 'all(p.good for p in out) and sum(p.off == s for p in data(out)) == 1'
}

upload() { "$STANDIN" run "$@" "${send[@]}" >"$work/answer"; }

corrupts_in() { seen 'any(p.n for p in inn)' down --impair 'in: corrupt 3%'; }

limits_rate()
{
    both 'max(p.t for p in out) - min(p.t for p in out) >= 1' up --impair 'out: rate 2mbit queue 100ms'
    both 'max(p.t for p in out) - min(p.t for p in out) >= 1 and firsts(out) != sorted(firsts(out))' up --impair 'delay 5ms; out: rate 2mbit queue 8KiB aqm droptail'
    both 'max(p.t for p in out) - min(p.t for p in out) >= 1 and firsts(out) != sorted(firsts(out))' up --impair 'delay 5ms; out: rate 2mbit queue 5p'
}

# TCP that has agreed on ECN: what is marked is echoed (ECE), and that is heard (CWR); nothing is lost.
marks_tcp()
{
    local echoed='any("E" in p.flags for p in inn if "S" not in p.flags) and any("W" in p.flags for p in out if "S" not in p.flags)'
    both "[p.off for p in out if p.ecn == 3] == [4 * s] and $echoed" up --set tcp_ecn=1 --impair 'delay 5ms; out: ecn-mark data#5'
    both "any(p.ecn == 3 for p in out) and $echoed" up --set tcp_ecn=1 --impair 'delay 5ms; out: ecn-mark 5%'
    both "any(p.ecn == 3 for p in out) and $echoed" up --set tcp_ecn=1 --impair 'delay 5ms; out: rate 2mbit aqm codel ecn'
    seen 'not any(p.ecn for p in out)' up --set tcp_ecn=1 --impair 'delay 5ms; out: ecn-bleach'
    captured up --set tcp_ecn=1
    judge 'any(p.ecn for p in out)'
}

swallows() { both 'gap(out) >= .9' up --impair 'delay 2ms; out: blackhole after 100KiB for 1s'; }

lowers_mtu()
{
    # The stack is told, and sends smaller ones: all of them go through.
    both 'max(p.size for p in out) == 1200' up --impair 'out: mtu 1200 icmp=sent'
    seen 'max(p.size for p in out) <= 1200 and not any(p.n for p in out if p.off > 10 * s)' \
        fails_with TimeoutError --impair 'out: mtu 1200 icmp=silent'
}

strips()
{
    both 'not any(k in p.opts for p in out + inn if "S" in p.flags for k in (3, 4, 5))' up --impair 'out: strip sack,wscale on syn'
    both 'not any(8 in p.opts for p in out)' up --impair 'strip timestamps on all'
}

clamps() { both 'max(p.n for p in inn) == 700 - 12' down --offload off --impair 'out: mss 700'; }

# Datagrams that say they know ECN, as a program may; the codepoints seen, in order.
datagrams() # OPTION...
{
    captured "$STANDIN" run "$@" python3 - "$KERNEL4" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 2)
for i in range(4):
    s.sendto(b"%d" % i, (sys.argv[1], 9))
PY
    tcpdump -nvr "$work/cap" 'udp port 9 and ip' 2>/dev/null | grep -oE 'tos 0x[0-9a-f]+' | cut -d ' ' -f 2 | tr '\n' ' '
}

marks()
{
    [[ $(datagrams) == "0x2 0x2 0x2 0x2 " ]]
    [[ $(datagrams --impair 'out: ecn-mark udp#2') == "0x2 0x3 0x2 0x2 " ]]
    [[ $(datagrams --impair 'out: ecn-mark udp#3+') == "0x2 0x2 0x3 0x3 " ]]
    [[ $(datagrams --impair 'out: ecn-bleach') == "0x0 0x0 0x0 0x0 " ]]
}

resets()
{
    seen 'len([p for p in out if "R" in p.flags]) >= 1 and 50 * 1024 <= [p.off for p in out if "R" in p.flags][0] <= 50 * 1024 + s' \
        fails_with ConnectionResetError --impair 'delay 5ms; rst after 50KiB'
}

closes_window()
{
    both 'gap(out) >= .8' up --impair 'delay 2ms; in: window 0 after 50KiB for 1s'
}

forgets()
{
    send+=(2 .5)
    seen 'max(p.off + p.n for p in data(out)) == 1000' fails_with TimeoutError --impair 'idle 200ms'
}

# Super-segments are cut before the wire: what arrives are segments with whole checksums.
cuts()
{
    seen 'max(p.size for p in out) <= 1500 and all(p.good for p in out)' up --impair 'ecn-bleach'
    captured up
    judge 'max(p.size for p in out) > 1500'
}

both_families()
{
    "$STANDIN" run --impair 'delay 2ms; loss 2%; dup 2%' curl -sSf -m 60 -o "$work/got" "http://[$KERNEL6]:8000/f"
    [[ $(sha "$work/got") == "$f" ]]
}

profiles()
{
    local p
    for p in lte wifi strip-all mss-clamp; do
        down --profile "$p"
    done
}

# STANDIN_IMPAIR and STANDIN_SEED, with the library alone.
bare()
{
    captured env STANDIN_IMPAIR='delay 5ms; out: drop data#2' STANDIN_SEED=3 LD_PRELOAD="$BUILD/libstandin.so" \
        "${send[@]}"
    judge 'firsts(out).index(s) > firsts(out).index(2 * s)'
}

# Members that are killed while packets are on their way: the others go on over the same wire.
survives()
{
    cat >"$work/family.sh" <<SH
for i in 1 2 3 4 5 6; do
    curl -s -o /dev/null -T "$work/www/f" "http://$KERNEL4:8000/up" & a=\$!
    curl -s -o /dev/null "http://$KERNEL4:8000/f" & b=\$!
    sleep .0\$i; kill -9 \$a; sleep .0\$i; kill -9 \$b; wait
done 2>/dev/null
exec curl -sSf -m 60 -T "$work/www/f" "http://$KERNEL4:8000/up"
SH
    [[ $("$STANDIN" run --impair 'delay 20ms jitter 10ms; loss 2%; dup 5%' bash "$work/family.sh") == "$f" ]]
    clean
}

refuses()
{
    status_of "$STANDIN" run --impair 'delay 20ms; out: drpo data#3' true 2>"$work/err"
    ((rc == 125))
    grep -q '^ *delay 20ms; out: drpo data#3$' "$work/err"
    grep -q '^ *\^\^\^\^$' "$work/err"
    grep -q 'did you mean drop?' "$work/err"
    status_of "$STANDIN" run --profile wify true 2>"$work/err"
    ((rc == 125))
    grep -q 'did you mean wifi?' "$work/err"
    status_of "$STANDIN" run --seed x true 2>"$work/err"
    ((rc == 125))
}

words()
{
    "$BUILD/impairdoc" --words | python3 "$ROOT/tests/preload/words.py" --forms "$work/rules"
}

check "delay" delays
check "jitter and its distributions" jitters
check "drop data#3" drops_data
check "drop syn+ack#1..2" drops_synack
check "drop fin#1" drops_fin
check "loss: the seed's bytes, in every run" loses
check "loss in bursts" loses_bursts
check "dup data#2 x3" repeats
check "reorder data#2 after data#4" reorders
check "reorder by a time" holds_back
check "corrupt data#2 at tcp.checksum" corrupts
check "corrupt, the checksum made right" corrupts_unseen
check "corrupt 3% towards us" corrupts_in
check "rate and queue" limits_rate
check "blackhole" swallows
check "mtu, with ICMP and without" lowers_mtu
check "strip options" strips
check "mss" clamps
check "ecn-mark, ecn-bleach" marks
check "ecn-mark, ecn-bleach, CoDel's marks: with TCP that agreed on ECN" marks_tcp
check "rst" resets
check "window 0" closes_window
check "idle" forgets
check "super-segments are cut" cuts
check "IPv6" both_families
check "profiles" profiles
check "bare preload" bare
check "members killed over a wire" survives
check "errors with their place" refuses
[[ -n $T ]] || check "no form of a rule without one here" words
finish
