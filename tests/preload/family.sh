#!/bin/bash
# Programs that are families: shells and what they start, servers that fork, members that are killed. The examples on the
# stack, against the kernel's side and against each other.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

examples=$BUILD/examples

shell_family() # a child of a child, with a pipe between
{
    serve
    make_file piece 1
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run sh -c 'curl -sSf "$0" | cat' "http://$KERNEL4:8000/piece" >"$work/got"
    cmp "$work/got" "$work/www/piece"
}

echo_client()
{
    start "$examples/echo_server" 7000
    await 5 listening 7000
    [[ $(echo hello | "$STANDIN" run "$examples/echo_client" "$KERNEL4" 7000) == hello ]]
    [[ $(echo hello | "$STANDIN" run "$examples/echo_client" "$KERNEL6" 7000) == hello ]]
}

says_hello() # HOST PORT
{
    [[ $(echo hello | timeout 5 "$examples/echo_client" "$1" "$2") == hello ]]
}

echo_server() # forks for each connection
{
    start "$STANDIN" run "$examples/echo_server" 7000
    await 10 says_hello "$OURS4" 7000
    says_hello "$OURS6" 7000
    for _ in {1..20}; do
        says_hello "$OURS4" 7000
    done
}

fanout()
{
    start "$examples/echo_server" 7000
    await 5 listening 7000
    "$STANDIN" run "$examples/fanout_epoll" "$KERNEL4" 7000 200 20
}

threaded()
{
    start "$examples/echo_server" 7000
    await 5 listening 7000
    "$STANDIN" run "$examples/threads" "$KERNEL4" 7000 8 2048
}

threaded_against_ours()
{
    start "$STANDIN" run "$examples/echo_server" 7000
    await 10 says_hello "$OURS4" 7000
    "$examples/threads" "$OURS4" 7000 8 1024
    "$examples/fanout_epoll" "$OURS4" 7000 100 10
}

http_get()
{
    serve
    make_file piece 1
    "$STANDIN" run "$examples/http_get" "$KERNEL4" 8000 /piece >"$work/got"
    cmp "$work/got" "$work/www/piece"
}

chat()
{
    start "$STANDIN" run "$examples/chat_poll" 7001
    await 10 timeout 1 bash -c "exec 3<>/dev/tcp/$OURS4/7001"
    timeout 20 bash -c "
        exec 3<>/dev/tcp/$OURS4/7001 4<>/dev/tcp/$OURS4/7001
        read -r -u 3 line; echo \"\$line\"
        echo hello >&4
        until [[ \$line == hello ]]; do read -r -u 3 line; done"
}

both_ends() # client and server in one session: inside the stack
{
    # shellcheck disable=SC2016 # for the inner shell
    timeout 30 "$STANDIN" run sh -c '
        "$0/echo_server" 7000 & server=$!
        trap "kill $server" EXIT
        n=0
        until echo hello | "$0/echo_client" "$1" 7000 >"$2" 2>/dev/null; do
            n=$((n + 1)); [ $n -lt 100 ] || exit 1
            sleep 0.05
        done
        grep -qx hello "$2"' "$examples" "$OURS4" "$work/both"
}

killed_client() # the peer sees the connection end
{
    start python3 "$ROOT/tests/preload/until_end.py" 7002 "$work/ended"
    await 5 listening 7002
    start "$STANDIN" run python3 -c "
import socket, time
s = socket.create_connection(('$KERNEL4', 7002))
time.sleep(60)"
    local client=$last
    await 10 sh -c "ss -Htn state established sport = :7002 | grep -q ."
    kill -9 "$client"
    await 5 test -e "$work/ended"
}

loopback_stays() # 127.0.0.1 is the kernel's
{
    serve
    "$STANDIN" run curl -sSf -o /dev/null http://127.0.0.1:8000/
    "$STANDIN" run curl -sSf -o /dev/null 'http://[::1]:8000/'
}

python_server()
{
    mkdir -p "$work/www"
    make_file piece 1
    start "$STANDIN" run python3 -m http.server 8000 --bind :: --directory "$work/www"
    await 10 curl -sf -m 2 -o /dev/null "http://$OURS4:8000/piece"
    curl -sSf -m 20 "http://$OURS4:8000/piece" | cmp - "$work/www/piece"
}

check "a shell, its child, a pipe" shell_family
check "echo_client on the stack" echo_client
check "echo_server on the stack, a child for each connection" echo_server
check "fanout_epoll on the stack: 200 connections, edge-triggered" fanout
check "threads on the stack: two threads on each socket" threaded
check "threads and fanout_epoll against a server on the stack" threaded_against_ours
check "http_get on the stack: non-blocking connect" http_get
check "chat_poll on the stack" chat
check "both ends in one session" both_ends
check "a killed client's connection ends" killed_client
check "loopback stays with the kernel" loopback_stays
check "python's http.server on the stack" python_server
check "nothing is left behind" clean
finish
