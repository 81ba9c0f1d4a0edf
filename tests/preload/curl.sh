#!/bin/bash
# Unmodified curl over the stack: down and up, both families, with and without offload; 64 at once; bare preload.
# FULL=1: 1 GiB and 64 transfers of 16 MiB instead of 64 MiB and 64 of 1 MiB.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

mib=64 piece=1
if ((FULL)); then
    mib=1024 piece=16
fi

serve
make_file big "$mib"
make_file piece "$piece"
big=$(sha "$work/www/big") piece=$(sha "$work/www/piece")

down() # HOST OPTION...
{
    local host=$1
    shift
    "$STANDIN" run "$@" curl -sSf -m 300 -o "$work/got" "http://$host:8000/big"
    [[ $(sha "$work/got") == "$big" ]]
}

up()
{
    local host=$1
    shift
    [[ $("$STANDIN" run "$@" curl -sSf -m 300 -T "$work/www/big" "http://$host:8000/up") == "$big" ]]
}

# Exactly what curl says, nothing of ours.
silent()
{
    "$STANDIN" run curl -sS "http://$KERNEL4:8000/piece" >"$work/got" 2>"$work/err"
    [[ $(sha "$work/got") == "$piece" && ! -s $work/err ]]
}

bare()
{
    LD_PRELOAD=$BUILD/libstandin.so curl -sSf -m 60 -o "$work/got" "http://$KERNEL4:8000/piece"
    [[ $(sha "$work/got") == "$piece" ]]
}

parallel()
{
    mkdir "$work/many"
    "$STANDIN" run curl -sSf -m 300 -Z --parallel-max 64 -o "$work/many/#1" \
        "http://$KERNEL4:8000/piece?n=[1-64]"
    local f n=0
    for f in "$work"/many/*; do
        [[ $(sha "$f") == "$piece" ]]
        n=$((n + 1))
    done
    ((n == 64))
}

refused()
{
    status_of "$STANDIN" run curl -sS -m 20 "http://$KERNEL4:1/"
    ((rc == 7))
}

for offload in on off; do
    check "download over IPv4, offload $offload" down "$KERNEL4" --offload=$offload
    check "upload over IPv4, offload $offload" up "$KERNEL4" --offload=$offload
    check "download over IPv6, offload $offload" down "[$KERNEL6]" --offload=$offload
    check "upload over IPv6, offload $offload" up "[$KERNEL6]" --offload=$offload
done
check "download with a small MTU" down "$KERNEL4" --mtu=1280
check "download with a large MTU" down "$KERNEL4" --mtu=65535
check "download without SACK, timestamps and scaling" down "$KERNEL4" --set tcp_sack=0 \
    --set tcp_timestamps=0 --set tcp_window_scaling=0
check "64 transfers at once" parallel
check "not a byte of ours on stdout or stderr" silent
check "LD_PRELOAD alone" bare
check "a closed port is refused" refused
check "nothing is left behind" clean
finish
