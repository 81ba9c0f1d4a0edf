#!/bin/bash
# judge.sh [-6] FILE.pkt... - holds scripts against the kernel instead of the stack: runs each with
# google's packetdrill in a network namespace of its own, with CUBIC whatever the kernel's default
# is. As root; PACKETDRILL names the program.
#
# In real time: a script that waits for hours is stopped after JTIME seconds (200). What packetdrill
# cannot say fails here and not there: several connections by their ports, dup, a few constants. A
# wrong time is tried again, five times in all.
set -u
: "${PACKETDRILL:=packetdrill}" "${JTIME:=200}" "${JTOL:=20000}"

options=()
if [ "${1-}" = -6 ]; then
    shift
    options=(--ip_version=ipv6 --mtu=1520 --local_ip=fd3d:0a0b:17d6::1
        --gateway_ip=fd3d:0a0b:17d6:8888::1 --remote_ip=fd3d:fa7b:d17d::1)
fi
options+=("--tolerance_usecs=$JTOL")

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# sysctl refuses a congestion control that is not on the kernel's list; root's setsockopt does not.
cat >"$tmp/cubic.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int socket(int domain, int type, int proto)
{
    int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    int fd = real(domain, type, proto);
    if (fd >= 0 && (domain == AF_INET || domain == AF_INET6) && (type & 15) == SOCK_STREAM) {
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    }
    return fd;
}
C
cc -shared -fPIC -o "$tmp/cubic.so" "$tmp/cubic.c" -ldl || exit 2

once() # FILE
{
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout "$JTIME" unshare -n sh -c \
        'ip link set lo up; export LD_PRELOAD=$1; shift; exec "$@"' sh \
        "$tmp/cubic.so" "$PACKETDRILL" "${options[@]}" "$1" 2>&1
}

passed=0 failed=0
for f in "$@"; do
    for _ in 1 2 3 4 5; do
        out=$(once "$f")
        status=$?
        [[ $status -ne 0 && $out == *"timing error"* ]] || break
    done
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $f: $out"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
