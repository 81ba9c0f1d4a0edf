#!/bin/bash
# Unmodified nginx in its default shape on the stack: daemon, master, two workers, sendfile; load from the kernel's side by
# wrk while it is reloaded, while a worker is killed and while one is stopped. SECONDS_EACH: length of one load.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

if ((FULL)); then
    : "${SECONDS_EACH:=10}"
fi
: "${SECONDS_EACH:=4}"
url=http://$OURS4:8080/

if ! command -v nginx >/dev/null || ! command -v wrk >/dev/null; then
    skip nginx "nginx or wrk is not installed"
    finish
fi

answers() { curl -sf -m 2 -o /dev/null "$url"; }

up() # NAME
{
    nginx_args "$1"
    "$STANDIN" run nginx "${args[@]}" # daemon on: returns when the daemon has been started
    await 10 answers
}

reload()
{
    nginx_args "$1"
    nginx "${args[@]}" -s reload
}

down()
{
    nginx_args "$1"
    nginx "${args[@]}" -s stop
    await 10 test ! -e "$work/$1/nginx.pid"
}

workers() # NAME: the pids of the workers that are not on their way out
{
    pgrep -P "$(cat "$work/$1/nginx.pid")" -f 'nginx: worker process$'
}

load() # FILE OPTION...: wrk in the background
{
    local out=$1
    shift
    start wrk -t2 -c64 -d"$SECONDS_EACH" "$@" "$url" >"$out" 2>&1
    wrk_pid=$last
}

no_errors() # FILE
{
    cat "$1"
    grep -q 'requests in' "$1"
    not grep -qE 'Socket errors|Non-2xx' "$1"
    (($(awk '/requests in/ { print $1 }' "$1") > 0))
}

errors_of() # FILE: how many
{
    awk '/Socket errors/ { gsub(",", ""); n += $4 + $6 + $8 + $10 } /Non-2xx/ { n += $NF } END { print n + 0 }' "$1"
}

reloads_while() # NAME: three of them, spread over the load
{
    for _ in 1 2 3; do
        sleep "$(awk -v s="$SECONDS_EACH" 'BEGIN { print s / 4 }')"
        reload "$1"
    done
}

close_with_reloads()
{
    load "$work/wrk" -H 'Connection: close'
    reloads_while ours
    wait "$wrk_pid"
    no_errors "$work/wrk"
}

keepalive()
{
    load "$work/wrk"
    wait "$wrk_pid"
    no_errors "$work/wrk"
}

least() { printf '%s\n' "$@" | sort -n | head -n 1; } # NUMBER...

errors_with_reloads() # NAME: of one load
{
    load "$work/wrk"
    reloads_while "$1"
    wait "$wrk_pid"
    errors_of "$work/wrk"
}

# Keep-alive connections of an old worker end when it ends: the kernel's own count is the measure. Now and then, on either
# stack, one connects again to a worker that has not heard of the reload yet and ends twice: hence the least of three.
keepalive_with_reloads()
{
    local ours=() theirs=()
    for _ in 1 2 3; do
        ours+=("$(errors_with_reloads ours)")
    done
    nginx_conf kernel 127.0.0.1:8081
    nginx_args kernel
    nginx "${args[@]}"
    await 10 curl -sf -o /dev/null http://127.0.0.1:8081/
    url=http://127.0.0.1:8081/
    for _ in 1 2 3; do
        theirs+=("$(errors_with_reloads kernel)")
    done
    down kernel
    echo "errors: ours ${ours[*]}, the kernel's ${theirs[*]}"
    (($(least "${ours[@]}") <= $(least "${theirs[@]}")))
}

twenty()
{
    local n=0
    for _ in {1..20}; do
        if answers; then
            n=$((n + 1))
        fi
    done
    echo "$n of 20 answered"
    ((n == 20))
}

two_workers() { (($(workers ours | wc -l) == 2)); }

killed_worker()
{
    load "$work/wrk"
    sleep 0.5
    kill -9 "$(workers ours | head -n 1)"
    twenty
    wait "$wrk_pid"
    (($(awk '/requests in/ { print $1 }' "$work/wrk") > 0))
    await 5 two_workers
}

stopped_worker()
{
    local pid
    load "$work/wrk"
    sleep 0.5
    pid=$(workers ours | head -n 1)
    kill -STOP "$pid"
    status_of twenty
    kill -CONT "$pid"
    wait "$wrk_pid"
    ((rc == 0))
}

same_bytes()
{
    head -c 3000000 /dev/urandom >"$work/ours/html/big"
    chmod 644 "$work/ours/html/big"
    curl -sf -m 20 "http://$1:8080/big" | cmp - "$work/ours/html/big"
}

only_peer_in_kernel() # no socket of ours in the kernel's table
{
    load "$work/wrk"
    sleep 0.3
    ss -Htn | awk '{ print $4 }' >"$work/local"
    wait "$wrk_pid"
    grep -q "^$KERNEL4:" "$work/local"
    not grep -q "^$OURS4:" "$work/local"
}

nginx_conf ours 8080 '[::]:8080'
check "nginx starts as a daemon, with one command" up ours
check "a file by sendfile, IPv4" same_bytes "$OURS4"
check "a file by sendfile, IPv6" same_bytes "[$OURS6]"
check "keep-alive load: no error" keepalive
check "one connection for each request, three reloads: no error" close_with_reloads
check "keep-alive load, three reloads: no more errors than on the kernel" keepalive_with_reloads
check "a worker is killed under load: the others serve" killed_worker
check "a worker is stopped under load: the others serve" stopped_worker
check "the kernel sees its own side only" only_peer_in_kernel
check "nginx stops" down ours
check "nothing is left behind" clean

ACCEPT_MUTEX=on nginx_conf ours 8080
check "with accept_mutex: starts" up ours
check "with accept_mutex: no error over three reloads" close_with_reloads
check "with accept_mutex: stops" down ours
check "nothing is left behind after it" clean
finish
