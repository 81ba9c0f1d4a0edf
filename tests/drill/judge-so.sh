#!/bin/bash
# judge-so.sh [options] FOLDER|FILE.pkt... - google's packetdrill, unmodified, runs its scripts on our stack: build/packetdrill.so.
#
#   --so=FILE     another shared object           --flags=WORD,...  its --so_flags (linux, freebsd, trace, seed=N)
#   --only=FILE   only the scripts listed there, one path within its folder a line
#   -6, --mapped  over IPv6, over IPv4-mapped addresses; a script whose name ends in v6 or v4 is for that alone
#   -q            no line for a script that passes
#
# PACKETDRILL names the program. As root: each script runs in a network namespace of its own, with a device tun0
# on which its commands work, and whose settings the stack reads; no packet passes there. A line a script, then
# "N passed, N failed".
set -u
: "${PACKETDRILL:=packetdrill}" "${JTIME:=60}"
here=$(cd "$(dirname "$0")/../.." && pwd)
so=$here/build/packetdrill.so flags='' only='' version=ipv4 quiet=''
paths=()
for a in "$@"; do
    case $a in
    --so=*) so=$(realpath "${a#*=}") ;;
    --flags=*) flags=${a#*=} ;;
    --only=*) only=${a#*=} ;;
    -6) version=ipv6 ;;
    --mapped) version=ipv4-mapped-ipv6 ;;
    -q) quiet=1 ;;
    -*) echo "judge-so.sh: no such option: $a" >&2; exit 2 ;;
    *) paths+=("$a") ;;
    esac
done

skip() # WHY
{
    echo "SKIP: packetdrill as a judge: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
command -v "$PACKETDRILL" >/dev/null || skip "no packetdrill here (PACKETDRILL=PATH names one)"
[ -e "${paths[0]-}" ] || skip "no scripts (JUDGE_SCRIPTS=FOLDER names google's gtests/net/tcp)"
[ "$(id -u)" = 0 ] || skip "needs root"
unshare -n true 2>/dev/null || skip "no network namespaces here"
PACKETDRILL=$(realpath "$(command -v "$PACKETDRILL")")

version_of() # FILE
{
    case $1 in
    *v6.pkt) echo ipv6 ;;
    *v4.pkt) echo ipv4 ;;
    *) echo "$version" ;;
    esac
}

# What google's runner gives: addresses, but not over a script's own, and words.
options_of() # FILE VERSION
{
    local v4="--local_ip=192.168.0.1 --gateway_ip=192.168.0.1 --netmask_ip=255.255.0.0 --remote_ip=192.0.2.1"
    local v6="--mtu=1520 --local_ip=fd3d:0a0b:17d6::1 --gateway_ip=fd3d:0a0b:17d6:8888::1 --remote_ip=fd3d:fa7b:d17d::1"
    local words4="-D TFO_COOKIE=3021b9d889017eeb -D CODE=host_unreachable"
    grep -q '^--local_ip' "$1" && v4='' v6=--mtu=1520
    case $2 in
    ipv4) echo "$v4 $words4 -D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR" ;;
    ipv6) echo "$v6 -D TFO_COOKIE=c1d1e9742a47a9bc -D CMSG_LEVEL_IP=SOL_IPV6 -D CMSG_TYPE_RECVERR=IPV6_RECVERR" ;;
    *) echo "$v4 $words4 -D CMSG_LEVEL_IP=SOL_IPV6 -D CMSG_TYPE_RECVERR=IPV6_RECVERR" ;;
    esac
}

# The namespace's device is there for the scripts' commands (tc, ip route, ethtool).
# shellcheck disable=SC2016 # expanded by the inner shell
inside='ip link set lo up
ip tuntap add dev tun0 mode tun
ip addr add 192.168.0.1/16 dev tun0
ip -6 addr add fd3d:a0b:17d6::1/48 dev tun0 nodad
ip link set tun0 up
ip route add default dev tun0
ip -6 route add default dev tun0
exec "$@"'

judge() # FILE VERSION
{
    local opts
    read -ra opts < <(options_of "$1" "$2")
    cd "$(dirname "$1")" && timeout "$JTIME" unshare -n sh -c "$inside" sh "$PACKETDRILL" "--ip_version=$2" \
        "${opts[@]}" "--so_filename=$so" ${flags:+"--so_flags=$flags"} "$(basename "$1")" 2>&1
}

list() # two columns: how to find it, how the folder calls it
{
    local p
    for p in "${paths[@]}"; do
        if [ -d "$p" ]; then
            (cd "$p" && find . -name '*.pkt') | sed 's|^\./||' | sort | while read -r f; do
                printf '%s\t%s\n' "${p%/}/$f" "$f"
            done
        else
            printf '%s\t%s\n' "$p" "$p"
        fi
    done
}

# What the shell of a script's own commands complains of is not the verdict.
reason() # OUTPUT STATUS
{
    [ "$2" = 124 ] && echo "stopped after $JTIME s" && return
    grep -vE '^sysctl: |^Error: Specified qdisc|^Cannot |^ERROR:|^$' <<<"$1" | head -n "${JLINES:-2}" | tr '\n' ' ' | cut -c1-300
}

passed=0 failed=0
while IFS=$'\t' read -r f name; do
    [ -z "$only" ] || grep -qxF "$name" "$only" || continue
    v=$(version_of "$f")
    out=$(judge "$f" "$v")
    status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        [ -n "$quiet" ] || echo "pass $f ($v)"
    else
        failed=$((failed + 1))
        echo "FAIL $f ($v): $(reason "$out" "$status")"
    fi
done < <(list)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
