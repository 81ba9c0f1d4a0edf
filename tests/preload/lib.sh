# sourced by the scripts of this folder: what they share.
# shellcheck shell=bash disable=SC2034
#
#   begin                      own network namespace, a folder in $work, everything ended at the end
#   check NAME COMMAND...      one test: the command succeeds
#   skip NAME WHY
#   await SECONDS COMMAND...   until it succeeds
#   start COMMAND...           in the background, ended at the end; its id in $last
#   finish                     the closing line, and the exit status
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${BUILD:=build}" "${FULL:=0}" "${T:=}"
ROOT=$PWD
[[ $BUILD == /* ]] || BUILD=$ROOT/$BUILD
STANDIN=$BUILD/standin

if [[ ${STANDIN_OWN_NETNS:-} != 1 ]]; then
    exec "$ROOT/tests/tools/netns.sh" "$0" "$@"
fi
unset STANDIN_SESSION STANDIN_ADDR STANDIN_PEER STANDIN_SET LD_PRELOAD

KERNEL4=10.77.0.1 KERNEL6=fd77::1 OURS4=10.77.0.2 OURS6=fd77::2
passed=0 failed=0 skipped=0
started=()
last=
work=$(mktemp -d "${TMPDIR:-/tmp}/standin-test.XXXXXX")
chmod 755 "$work"

end_started()
{
    local p
    for p in "${started[@]-}"; do
        [[ -z $p ]] || kill -CONT "$p" 2>/dev/null || :
        [[ -z $p ]] || kill "$p" 2>/dev/null || :
    done
    for p in "${started[@]-}"; do
        [[ -z $p ]] || wait "$p" 2>/dev/null || :
    done
}

end_all()
{
    end_started
    rm -rf "$work"
}
trap end_all EXIT
trap 'exit 130' INT TERM

start()
{
    "$@" &
    last=$!
    started+=("$last")
}

await()
{
    local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((${EPOCHREALTIME/./} > end)); then
            return 1
        fi
        sleep 0.02
    done
}

# In a subshell that stops at the first failure; what the command starts ends with it. In $rc.
attempt()
{
    set +e
    (
        set -e
        started=()
        trap end_started EXIT
        "$@"
    ) >"$work/out" 2>&1 </dev/null
    rc=$?
    set -e
}

check_said() { tail -n 12 "$work/out" | cut -c 1-300 | awk '{ print "      " $0 }'; }

# With RETRY=1 a test that failed gets one more chance, and both are told: the machine may have been too busy for it.
check()
{
    local name=$1 rc
    shift
    if [[ -n $T && "$0 $name" != *"$T"* ]]; then
        return 0
    fi
    attempt "$@"
    if ((rc != 0)) && [[ ${RETRY:-0} == 1 ]]; then
        echo "again: $name (status $rc)"
        check_said
        attempt "$@"
    fi
    if ((rc == 0)); then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL: $name (status $rc)"
        check_said
    fi
}

# For set -e: a failure of `! command` would not count, one of `not command` does.
not() { ! "$@"; }

# The exit status of a command, in $rc.
status_of()
{
    rc=0
    "$@" || rc=$?
}

skip()
{
    skipped=$((skipped + 1))
    echo "SKIP: $1: $2"
}

finish()
{
    local line="$passed passed, $failed failed"
    ((skipped == 0)) || line+=", $skipped skipped"
    echo "$line"
    ((failed == 0))
    exit
}

listening() # PORT
{
    ss -Hltn "sport = :$1" | grep -q .
}

# Nothing of a session in this namespace: no device, no socket.
nothing_left()
{
    ! ip -o link show type tun 2>/dev/null | grep -q . && ! grep -q '@standin' /proc/net/unix
}

# The keeper goes when nothing is owed.
clean()
{
    await 10 nothing_left || {
        ip -o link show type tun
        grep '@standin' /proc/net/unix
        return 1
    }
}

# A kernel-side HTTP server on port 8000: GET of the files in $work/www, PUT answers with the SHA-256 of the body.
serve()
{
    mkdir -p "$work/www"
    start python3 "$ROOT/tests/preload/server.py" 8000 "$work/www" >/dev/null 2>&1
    await 10 listening 8000
}

# A file of $2 MiB that does not compress and is the same each time.
make_file() # NAME MIB
{
    mkdir -p "$work/www"
    python3 - "$work/www/$1" "$2" <<'PY'
import random, sys
rnd = random.Random(77)
with open(sys.argv[1], "wb") as f:
    for _ in range(int(sys.argv[2])):
        f.write(rnd.randbytes(1 << 20))
PY
}

sha() { sha256sum <"$1" | cut -d ' ' -f 1; }

# nginx in $work/NAME with its own configuration: nginx_conf NAME LISTEN... (addresses with ports)
nginx_conf()
{
    local name=$1 l
    shift
    mkdir -p "$work/$name/html" "$work/$name/logs"
    head -c 1024 /dev/zero | tr '\0' x >"$work/$name/html/index.html"
    {
        ((EUID != 0)) || echo "user nobody nogroup;"
        echo "worker_processes ${WORKERS:-2};"
        echo "pid $work/$name/nginx.pid;"
        echo "error_log $work/$name/logs/error.log;"
        echo "events { worker_connections 1024; accept_mutex ${ACCEPT_MUTEX:-off}; }"
        echo "http { access_log off; sendfile on; keepalive_requests 10000000;"
        for l in client_body proxy fastcgi uwsgi scgi; do
            echo "${l}_temp_path $work/$name/$l;"
        done
        echo "server {"
        for l in "$@"; do
            echo "listen $l;"
        done
        echo "root $work/$name/html; } }"
    } >"$work/$name/nginx.conf"
}

nginx_args() # NAME
{
    args=(-c "$work/$1/nginx.conf" -e "$work/$1/logs/error.log")
}
