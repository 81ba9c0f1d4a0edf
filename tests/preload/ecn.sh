#!/bin/bash
# ECN (RFC 3168) against the kernel, both ways: agreed, and data marked as capable.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

# What TCP_INFO says after 2 MiB each way: whether ECN was agreed, whether a capable packet came, how many of ours were marked.
cat >"$work/talk.py" <<'PY'
import socket, struct, sys, time
how, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
size = 2 << 20
if how == "serve":
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind((host, port))
    l.listen(1)
    s = l.accept()[0]
else:
    for i in range(200):
        s = socket.socket()
        try:
            s.connect((host, port))
            break
        except OSError:
            time.sleep(0.05)
def take():
    n = 0
    while n < size:
        b = s.recv(65536)
        assert b, n
        n += len(b)
if how == "serve":
    take()
    s.sendall(bytes(size))
    s.recv(1)
else:
    s.sendall(bytes(size))
    take()
    time.sleep(0.1)
info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
ce, = struct.unpack_from("I", info, 196)
print(how, "ecn" if info[5] & 8 else "-", "seen" if info[5] & 16 else "-", ce)
PY

active()
{
    start python3 "$work/talk.py" serve 0.0.0.0 9001 >"$work/kernel"
    await 10 listening 9001
    "$STANDIN" run --set tcp_ecn=1 python3 "$work/talk.py" connect "$KERNEL4" 9001 >"$work/ours"
    wait "$last"
    cat "$work/kernel" "$work/ours"
    grep -q '^serve ecn seen 0$' "$work/kernel" && grep -q '^connect ecn seen 0$' "$work/ours"
}

passive()
{
    sysctl -q net.ipv4.tcp_ecn=1
    start "$STANDIN" run python3 "$work/talk.py" serve 0.0.0.0 9001 >"$work/ours"
    python3 "$work/talk.py" connect "$OURS4" 9001 >"$work/kernel"
    wait "$last"
    cat "$work/kernel" "$work/ours"
    grep -q '^serve ecn seen 0$' "$work/ours" && grep -q '^connect ecn seen 0$' "$work/kernel"
}

not_asked()
{
    start python3 "$work/talk.py" serve 0.0.0.0 9001 >"$work/kernel"
    await 10 listening 9001
    "$STANDIN" run python3 "$work/talk.py" connect "$KERNEL4" 9001 >"$work/ours"
    wait "$last"
    cat "$work/kernel" "$work/ours"
    grep -q '^serve - - 0$' "$work/kernel" && grep -q '^connect - - 0$' "$work/ours"
}

check "ecn: we ask, the kernel agrees" active
check "ecn: the kernel asks, we agree" passive
check "ecn: not asked for" not_asked
check "ecn: nothing is left" clean
finish
