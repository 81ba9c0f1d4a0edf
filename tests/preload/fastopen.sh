#!/bin/bash
# TCP Fast Open (RFC 7413) against the kernel: curl --tcp-fastopen to a kernel server, a kernel client to python on the stack.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

sysctl -q net.ipv4.tcp_fastopen=0x403 # client, server, and every listener
serve
make_file piece 1
piece=$(sha "$work/www/piece")

# A counter of the kernel's, of /proc/net/netstat.
counter() # NAME
{
    awk -v name="$1" '$1 == "TcpExt:" && n { for (i = 2; i <= n; i++) if (h[i] == name) print $i; exit }
        $1 == "TcpExt:" { n = split($0, h) }' /proc/net/netstat
}

# The first curl gets a cookie, the second sends its request with the SYN.
client() # HOST
{
    local before after
    before=$(counter TCPFastOpenPassive)
    "$STANDIN" run sh -c "for i in 1 2 3; do curl --tcp-fastopen -sSf -m 60 -o '$work/got' http://$1:8000/piece || exit 1; done"
    after=$(counter TCPFastOpenPassive)
    echo "opened with data: $((after - before))"
    [[ $(sha "$work/got") == "$piece" ]] && ((after - before == 2))
}

# MSG_FASTOPEN, blocking and not, and by sendmsg.
messages()
{
    "$STANDIN" run python3 - "$KERNEL4" <<'PY'
import errno, socket, sys
peer = (sys.argv[1], 8000)
request = b"HEAD /piece HTTP/1.0\r\n\r\n"
def answer(s):
    got = b""
    while True:
        b = s.recv(4096)
        if not b:
            break
        got += b
    assert got.startswith(b"HTTP/1.1 200"), got
s = socket.socket()
s.setblocking(False)
try:
    s.sendto(request, socket.MSG_FASTOPEN, peer)
    raise SystemExit("no cookie, but it was sent")
except BlockingIOError as e:
    assert e.errno == errno.EINPROGRESS, e
s.setblocking(True)
s.sendall(request)
answer(s)
for way in range(2):
    s = socket.socket()
    if way:
        n = s.sendmsg([request[:4], request[4:]], [], socket.MSG_FASTOPEN, peer)
    else:
        n = s.sendto(request, socket.MSG_FASTOPEN, peer)
    assert n == len(request), n
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert info[5] & 32, "the SYN's data was not taken"
    answer(s)
try:
    s.sendto(request, socket.MSG_FASTOPEN, peer)
    raise SystemExit("sent on a closed connection")
except OSError as e:
    assert e.errno in (errno.EISCONN, errno.EPIPE), e
PY
}

refused()
{
    "$STANDIN" run python3 - "$KERNEL4" <<'PY'
import socket, sys
s = socket.socket()
try:
    s.sendto(b"x", socket.MSG_FASTOPEN, (sys.argv[1], 9))
    raise SystemExit("nobody refused")
except ConnectionRefusedError:
    pass
PY
}

# A loopback address is the kernel's, flag and all.
kernel_side()
{
    "$STANDIN" run python3 - <<'PY'
import socket
s = socket.socket()
n = s.sendto(b"HEAD /piece HTTP/1.0\r\n\r\n", socket.MSG_FASTOPEN, ("127.0.0.1", 8000))
assert n == 24 and s.recv(12) == b"HTTP/1.1 200", n
PY
}

# The stack is the server: the kernel's client sends with its second SYN.
server()
{
    start "$STANDIN" run --set tcp_fastopen=3 python3 -c '
import socket
l = socket.socket()
l.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
l.bind(("", 9000))
l.listen(5)
for i in range(3):
    s = l.accept()[0]
    data = s.recv(100)
    taken = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5] & 32
    s.sendall(data + (b"+" if taken else b"-"))
    s.close()'
    local before after
    await 10 ip addr show to "$KERNEL4"
    before=$(counter TCPFastOpenActive)
    python3 - "$OURS4" <<'PY'
import socket, sys, time
def talk():
    s = socket.socket()
    for i in range(100):
        try:
            s.sendto(b"hello", socket.MSG_FASTOPEN, (sys.argv[1], 9000))
            break
        except OSError:
            s.close()
            s = socket.socket()
            time.sleep(0.05)
    got = b""
    while len(got) < 6:
        b = s.recv(100)
        if not b:
            break
        got += b
    return got
answers = [talk(), talk(), talk()]
print(answers)
assert answers == [b"hello-", b"hello+", b"hello+"]
PY
    after=$(counter TCPFastOpenActive)
    ((after - before == 2))
    wait "$last"
}

check "fastopen: curl to the kernel, IPv4" client "$KERNEL4"
check "fastopen: curl to the kernel, IPv6" client "[$KERNEL6]"
check "fastopen: MSG_FASTOPEN by sendto and sendmsg" messages
check "fastopen: refused" refused
check "fastopen: to the kernel's side" kernel_side
check "fastopen: the kernel's client to the stack" server
check "fastopen: nothing is left" clean
finish
