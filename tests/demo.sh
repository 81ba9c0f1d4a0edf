#!/bin/bash
# demo.sh - thirty seconds of what this is (`make demo`): unmodified curl and nginx over the stack, the handshake that went over
# the wire, and the speed of both stacks. Runs in a network namespace of its own and leaves nothing behind. MIB: size.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${MIB:=64}"
if [[ ${STANDIN_OWN_NETNS:-} != 1 ]]; then
    exec tests/tools/netns.sh "$0" "$@"
fi
unset STANDIN_SESSION STANDIN_ADDR STANDIN_PEER STANDIN_SET LD_PRELOAD

KERNEL=10.77.0.1 OURS=10.77.0.2 FAR=10.78.0.2
standin=$PWD/$BUILD/standin
work=$(mktemp -d "${TMPDIR:-/tmp}/standin-demo.XXXXXX")
chmod 755 "$work"
started=()

leave()
{
    local p
    if [[ -s $work/ours/nginx.pid ]]; then
        kill "$(cat "$work/ours/nginx.pid")" || :
    fi
    for p in "${started[@]-}"; do
        [[ -z $p ]] || kill "$p" 2>/dev/null || :
    done
    for p in "${started[@]-}"; do
        [[ -z $p ]] || wait "$p" 2>/dev/null || :
    done
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }

# Shown as it would be typed.
show() { printf '   $ %s\n' "$*"; }

start()
{
    "$@" &
    last=$!
    started+=("$last")
}

await()
{
    local tries=0
    until "$@" >/dev/null 2>&1; do
        ((++tries < 500)) || { echo "demo: waited in vain for: $*" >&2; exit 1; }
        sleep 0.02
    done
}

nginx_conf() # FOLDER LISTEN DAEMON
{
    local part
    mkdir -p "$1/html"
    {
        ((EUID != 0)) || echo "user root;"
        echo "worker_processes 1; daemon $3; pid $1/nginx.pid; error_log $1/error.log;"
        echo "events { worker_connections 256; }"
        echo "http { access_log off; sendfile on;"
        for part in client_body proxy fastcgi uwsgi scgi; do
            echo "${part}_temp_path $1/$part;"
        done
        echo "server { listen $2; root $1/html; } }"
    } >"$1/nginx.conf"
}

# "1 234 MB/s (9.9 Gb/s)" from curl's bytes a second
speed() { awk -v b="$1" 'BEGIN { printf "%.0f MB/s (%.1f Gb/s)", b / 1e6, b * 8 / 1e9 }'; }

say "A file of $MIB MiB, and nginx on the kernel's stack to serve it"
nginx_conf "$work/kernel" 8000 off
head -c $((MIB << 20)) /dev/urandom >"$work/kernel/html/file"
sum=$(sha256sum <"$work/kernel/html/file" | cut -d ' ' -f 1)
echo "   SHA-256 $sum"
start nginx -c "$work/kernel/nginx.conf" -e "$work/kernel/error.log"
await curl -sf -o /dev/null -I http://127.0.0.1:8000/file

say "Unmodified curl fetches it over our stack"
start tcpdump -i any -n -l --immediate-mode -c 3 "tcp port 8000 and host $OURS" >"$work/dump" 2>"$work/dump.err"
dump=$last
await grep -q 'listening on' "$work/dump.err"
show "standin run curl -o got http://$KERNEL:8000/file"
"$standin" run curl -sSf -m 120 -o "$work/got" "http://$KERNEL:8000/file"
got=$(sha256sum <"$work/got" | cut -d ' ' -f 1)
echo "   SHA-256 $got"
[[ $got == "$sum" ]] || { echo "demo: the file is not the same" >&2; exit 1; }

say "The handshake on the TUN device, as tcpdump saw it: ours opens, the kernel answers"
await grep -q -c . "$work/dump"
wait "$dump" || :
sed -E 's/^([0-9:.]+) [^ ]+ +(In|Out) +/   \1 /; s/, (options|length)/\n                        \1/' "$work/dump" | cut -c 1-120

say "Unmodified nginx serves it back over our stack, to curl on the kernel's"
nginx_conf "$work/ours" 80 on
cp "$work/got" "$work/ours/html/file"
show "standin run nginx"
"$standin" run nginx -c "$work/ours/nginx.conf" -e "$work/ours/error.log"
await curl -sf -m 1 -o /dev/null -I "http://$OURS/file"
show "curl -o back http://$OURS/file"
curl -sSf -m 120 -o "$work/back" "http://$OURS/file"
back=$(sha256sum <"$work/back" | cut -d ' ' -f 1)
echo "   SHA-256 $back"
[[ $back == "$sum" ]] || { echo "demo: the file is not the same" >&2; exit 1; }
echo "   The kernel's table knows its own side only:"
ss -Htan "dst $OURS or src $OURS" | awk '{ print "   " $1, $4, $5 }' | head -n 3

# The kernel's run: the same curl in a second namespace, across a veth pair.
start unshare --net sleep infinity
far=$last
mine=$(readlink /proc/self/ns/net)
# shellcheck disable=SC2317 # called by await
moved() { [[ $(readlink "/proc/$far/ns/net") != "$mine" ]]; }
await moved
ip link add demo0 type veth peer name demo1 netns "$far"
ip address add 10.78.0.1/24 dev demo0
ip link set demo0 up
nsenter --net="/proc/$far/ns/net" ip address add $FAR/24 dev demo1
nsenter --net="/proc/$far/ns/net" ip link set demo1 up

# Bytes a second to nowhere, the best of five, the three taking turns.
fetch() { curl -sSf -m 120 -o /dev/null -w '%{speed_download}' "$1"; }
export -f fetch
best() { awk -v a="$1" -v b="$2" 'BEGIN { print (a > b) ? a : b }'; }
down=0 served=0 kernel=0
for _ in 1 2 3 4 5; do
    down=$(best "$down" "$("$standin" run bash -c "fetch http://$KERNEL:8000/file")")
    served=$(best "$served" "$(fetch "http://$OURS/file")")
    kernel=$(best "$kernel" "$(nsenter --net="/proc/$far/ns/net" bash -c 'fetch http://10.78.0.1:8000/file')")
done

say "Speed (best of five; make bench measures with care)"
echo "   our stack: $(speed "$down") down, $(speed "$served") served;" \
    "the kernel's, across a veth pair: $(speed "$kernel") down"
