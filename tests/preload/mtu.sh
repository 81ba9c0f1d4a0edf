#!/bin/bash
# A path that takes less than the device: unmodified curl uploads over the emulated wire, where ICMP tells of it (RFC 1191, 8201)
# and where it does not (RFC 4821: a black hole is survived).
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve
make_file big 4
big=$(sha "$work/www/big")

up() # HOST OPTION...
{
    local host=$1
    shift
    [[ $("$STANDIN" run "$@" curl -sSf -m 60 -T "$work/www/big" "http://$host:8000/up") == "$big" ]]
}

for host in "$KERNEL4" "[$KERNEL6]"; do
    check "$host: told by ICMP" up "$host" --impair 'mtu 1300'
    for mode in 1 2; do
        check "$host: a black hole, tcp_mtu_probing=$mode" up "$host" --set tcp_mtu_probing=$mode --impair 'mtu 1300 icmp=silent'
    done
done
check "a black hole below tcp_base_mss" up "$KERNEL4" --set tcp_mtu_probing=1 --impair 'mtu 700 icmp=silent'
check "below what ICMP may tell: without DF" up "$KERNEL4" --impair 'mtu 400'
check "nothing is left behind" clean
finish
