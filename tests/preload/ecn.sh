#!/bin/bash
# ECN (RFC 3168) against the kernel, both ways: agreed, and data marked as capable. AccECN (RFC 9768), which this
# kernel may not have, between two sessions with the kernel as the router between their TUNs.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

# What TCP_INFO says after 2 MiB each way: whether ECN was agreed, whether a capable packet came, how many of ours were marked.
cat >"$work/talk.py" <<'PY'
import socket, struct, sys, threading, time
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
both = len(sys.argv) > 4 # at the same time
if both:
    sender = threading.Thread(target=s.sendall, args=(bytes(size),))
    sender.start()
    take()
    sender.join()
    s.recv(1) if how == "serve" else time.sleep(0.3)
elif how == "serve":
    take()
    s.sendall(bytes(size))
    s.recv(1)
else:
    s.sendall(bytes(size))
    take()
    time.sleep(0.1)
info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280)
ce, = struct.unpack_from("I", info, 196)
print(how, "ecn" if info[5] & 8 else "-", "seen" if info[5] & 16 else "-", ce)
if both:
    # Marks received, told by the peer, and their bytes; how feedback goes: 2 is AccECN, then what is not relied on.
    received, = struct.unpack_from("I", info, 248)
    last, = struct.unpack_from("I", info, 276)
    open(sys.argv[4], "w").write(f"{received} {ce} {last & 3} {last >> 4 & 15}\n")
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

# Two stacks in two network namespaces, their kernels as routers between the TUNs; with offload off the second one cuts
# super-segments. Every fifth segment of the server is marked, so that the client's counter moves through all of its values
# while it sends.
far= # the second namespace's process
far()
{
    nsenter -t "$far" -n "$@"
}

two_namespaces()
{
    ip link del near 2>/dev/null || :
    start unshare -n sleep 1000
    far=$last
    await 5 far ip link set lo up
    ip link add near type veth peer name far netns "$far"
    ip addr add 10.78.0.1/24 dev near
    ip link set near up
    far ip addr add 10.78.0.2/24 dev far
    far ip link set far up
    sysctl -q net.ipv4.ip_forward=1
    far sysctl -q net.ipv4.ip_forward=1
    ip route replace 10.77.200.0/24 via 10.78.0.2
    far ip route add 10.77.0.0/17 via 10.78.0.1
}

accurate() # OFFLOAD
{
    clean # what a session before may still owe
    two_namespaces
    start far "$STANDIN" run --addr 10.77.200.2/24 --offload="$1" --set tcp_ecn=3 --impair 'out: ecn-mark data#3+5' \
        python3 "$work/talk.py" serve 0.0.0.0 9001 "$work/server"
    local server=$last
    await 10 far ip -4 route get 10.77.200.2
    "$STANDIN" run --addr 10.77.0.2/16 --set tcp_ecn=3 python3 "$work/talk.py" connect 10.77.200.2 9001 "$work/client"
    wait "$server"
    cat "$work/server" "$work/client"
    local got told mode fail his_got his_told his_mode his_fail
    read -r got told mode fail <"$work/client"
    read -r his_got his_told his_mode his_fail <"$work/server"
    ((mode == 2 && his_mode == 2 && fail == 0 && his_fail == 0))
    ((got > 20 && got == his_told && his_got == 0 && told == 0))
}

check "ecn: we ask, the kernel agrees" active
check "ecn: the kernel asks, we agree" passive
check "ecn: not asked for" not_asked
for offload in on off; do
    check "accecn: two stacks and the kernel between them, offload $offload" accurate $offload
done
check "ecn: nothing is left" clean
finish
