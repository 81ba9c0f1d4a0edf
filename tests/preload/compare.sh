#!/bin/bash
# standin compare: the same program on both stacks over the same wire; the verdict, the JSON document, the captures, the page.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/www"
head -c 300000 /dev/urandom >"$work/www/f"
SERVER="cd $work/www; exec python3 -m http.server 8000"
URL=http://$KERNEL4:8000/f

compare()
{
    "$STANDIN" compare "$@"
}

# The command of the README, with the seed, twice.
twice()
{
    local i
    for i in 1 2; do
        compare -n 2 --server "$SERVER" --impair 'delay 10ms; in: drop data#3; loss 2%' --seed 7 --keep "$work/run$i" --json \
            --report "$work/page$i.html" -- curl -sS -o /dev/null "$URL" >"$work/run$i.json"
    done
    python3 - "$work/run1.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
assert d["same_result"], d["differences"]
assert not [x for x in d["differences"] if x["class"] == "bug"], d["differences"]
assert d["rules"][1] == "in: drop data#3", d["rules"]
assert {(r["stack"], r["run"]) for r in d["runs"]} == {(s, n) for s in ("kernel", "user") for n in (1, 2)}
for r in d["runs"]:
    assert r["exit"] == 0 and r["in"]["new_bytes"] > 300000 and r["out"]["bad_checksums"] == 0, r
    assert r["handshake"]["program"]["mss"] == 1460 and r["connect_ms"] > 19
PY
}

# What the rules did to new data is the same, firing by firing, in every run of both stacks and in both comparisons.
same_firings()
{
    python3 - "$work/run1.json" "$work/run2.json" <<'PY'
import json, sys
lists = []
for path in sys.argv[1:]:
    for r in json.load(open(path))["runs"]:
        # by stretches of 1448 bytes: where a server cuts its writes differs from run to run
        lists.append([sorted({(f["rule"], f["what"], f["offset"] // 1448) for f in r["firings"][d] if f["kind"] == "data"})
                      for d in ("out", "in")])
        assert any(f[0] == 2 for f in lists[-1][1]) and any(f[0] == 3 for f in lists[-1][1]), lists[-1]
for x in lists:
    print(x)
assert len(lists) == 8 and all(x == lists[0] for x in lists)
PY
}

# The same from the captures, by another reader: data#3 is the third stretch of MSS bytes of the stream, whoever sends it.
same_bytes()
{
    local f first='' got
    for f in "$work"/run?/*.pcapng; do
        got=$(tshark -n -r "$f" -Y 'frame.comment contains "rule 2"' -T fields -e tcp.seq -e tcp.len -e ip.src -e frame.comment 2>/dev/null)
        [[ $got == *'dropped by rule 2: in: drop data#3'* ]] || { echo "$f: $got"; return 1; }
        first=${first:-$got}
        [[ $got == "$first" ]] || { echo "$f: $got, first: $first"; return 1; }
    done
    [[ $first == "2897"$'\t'* ]] # 2 * 1448 + 1
    (($(find "$work"/run? -name '*.pcapng' | wc -l) == 8))
}

page_draws()
{
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$work/chromium" --virtual-time-budget=4000 --dump-dom \
        "file://$work/page1.html" >"$work/dom" 2>/dev/null
    grep -q 'data-ready="1"' "$work/dom"
    python3 - "$work/dom" <<'PY'
import re, sys
dom = open(sys.argv[1]).read()
for plot, least in (("sequence", 2), ("window", 4), ("rtt", 4)):
    m = re.search(r'id="%s" data-drawn="(\d+)"' % plot, dom)
    assert m and int(m.group(1)) >= least, plot
    assert dom.count("<canvas") == 3
rest = re.sub(r"<script.*?</script>", "", dom, flags=re.S)
assert not re.findall(r"https?://(?!10\.77\.0\.1:8000)", rest)
assert dom.count('class="diverges"') <= 1
PY
}

page_is_alone()
{
    grep -q "default-src 'none'" "$work/page1.html"
    not grep -Eq '<(link|img|iframe)|src=' "$work/page1.html"
    grep -q '<noscript>' "$work/page1.html"
}

table()
{
    compare -n 1 --warmup 0 --server "$SERVER" --seed 3 --keep "$work/t" --impair 'in: drop data#3; out: drop data#9' --report "$work/t.html" -- curl -sS -o /dev/null "$URL" >"$work/out"
    head -1 "$work/out" | grep -q '^Same result for the program'
    grep -q '^Again: standin compare -n 1 --seed 3 --warmup 0 ' "$work/out"
    grep -Eq '^    in: drop data#3 +[1-9] +[1-9]$' "$work/out"
    grep -q '^Rule 2, out: drop data#9, never fired' "$work/out"
    grep -q 'never: no such packet passed' "$work/t.html"
    grep -Eq "^  how it ended +FIN both ways +FIN both ways$" "$work/out"
    grep -Eq "^    closed first( +the (server|program)'s side){2}$" "$work/out" # curl stops when it has all: either may be first
    grep -Eq '^    offered +SACK, timestamps, no ECN +SACK, timestamps, no ECN$' "$work/out"
    grep -Eq '^  bytes of new data +[0-9]+ out, [0-9]+ in +[0-9]+ out, [0-9]+ in$' "$work/out"
}

exits() # STATUS TEXT ARGUMENT...
{
    local want=$1 text=$2 rc=0
    shift 2
    compare "$@" >"$work/out" 2>&1 || rc=$?
    ((rc == want)) && grep -qF -- "$text" "$work/out" || { echo "exit $rc"; head -n 20 <"$work/out"; return 1; }
}

stopped_in_time()
{
    compare -n 1 --warmup 0 --timeout 300ms --keep "$work/k" --json -- sleep 60 >"$work/out"
    python3 -c 'import json, sys; assert all(r["timed_out"] for r in json.load(open(sys.argv[1]))["runs"])' "$work/out"
}

# A program that, where it is told to, sends after its end on one stack alone; it prints the same on both. It also asks for a
# connection that is refused, without blocking.
cat >"$work/calls.py" <<'PY'
import os, select, socket, sys
stack = "user" if os.environ.get("STANDIN_SESSION") else "kernel"
s = socket.create_connection(("10.77.0.1", 8000))
s.sendall(b"GET / HTTP/1.0\r\n\r\n")
s.shutdown(socket.SHUT_WR)
if sys.argv[1] == stack:
    try:
        s.sendall(b"more")
    except OSError:
        pass
while s.recv(65536):
    pass
s.close()
s = socket.socket()
s.setblocking(False)
s.connect_ex(("10.77.0.1", 81))
select.select([], [s], [])
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
PY

# The errno of one stack alone is named with socket and call, whichever stack it is.
errno_differs()
{
    local stack
    for stack in kernel user; do
        status_of compare -n 2 --warmup 0 --keep "$work/e" --server "$SERVER" --json -- python3 "$work/calls.py" "$stack" >"$work/e.json"
        ((rc == 1))
        python3 - "$work/e.json" "$stack" <<'PY'
import json, sys
d, stack = json.load(open(sys.argv[1])), sys.argv[2]
assert d["same_result"], d["differences"]
bugs = [x for x in d["differences"] if x["class"] == "bug"]
assert [x["what"] for x in bugs] == ["send, connection to 10.77.0.1:8000"], bugs
both = {"kernel": bugs[0]["kernel"], "user": bugs[0]["ours"]}
assert both.pop(stack) == "ok, EPIPE" and list(both.values()) == ["ok"], bugs
PY
    done
}

# Nothing planted: no difference; the refused connection's error is seen on both, where the program asked for it.
errno_agrees()
{
    compare -n 2 --warmup 0 --keep "$work/e" --server "$SERVER" --json -- python3 "$work/calls.py" nowhere >"$work/e.json"
    python3 - "$work/e.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
assert not [x for x in d["differences"] if x["class"] == "bug"], d["differences"]
seen = {(c["socket"], c["call"], c["result"]): (c["kernel_runs"], c["our_runs"]) for c in d["calls"]}
refused = "connection to 10.77.0.1:81"
assert seen[(refused, "connect", "EINPROGRESS")] == (2, 2), seen
assert seen[(refused, "getsockopt SO_ERROR", "ECONNREFUSED")] == (2, 2), seen
assert seen[("connection to 10.77.0.1:8000", "recv", "end of stream")] == (2, 2), seen
assert all(r["sockets"] == 2 and r["calls"] > 8 and r["calls_unseen"] == 0 for r in d["runs"]), d["runs"]
PY
}

# Children by fork and by exec: their calls are seen.
family()
{
    compare -n 1 --warmup 0 --keep "$work/e" --server "$SERVER" --json -- \
        sh -c "curl -so /dev/null $URL; curl -so /dev/null $URL & curl -so /dev/null $URL; wait" >"$work/e.json"
    python3 - "$work/e.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
assert [r["sockets"] for r in d["runs"]] == [3, 3], [r["sockets"] for r in d["runs"]]
assert {c["nth"] for c in d["calls"] if c["call"] == "connect"} == {1, 2, 3}, d["calls"]
PY
}

# Each stack's own count of what it sent again is that of the wire.
own_counts()
{
    compare -n 1 --warmup 0 --keep "$work/e" --server "exec python3 $ROOT/tests/preload/sink.py serve 8001" --seed 7 \
        --impair 'delay 5ms; out: drop data#3; out: drop data#50..52' --json -- \
        python3 "$ROOT/tests/preload/sink.py" send "$KERNEL4" 8001 "$work/www/f" >"$work/e.json"
    python3 - "$work/e.json" <<'PY'
import json, sys
for r in json.load(open(sys.argv[1]))["runs"]:
    wire = sum(r["out"]["retransmissions"].values())
    assert r["own_retransmissions"] == wire >= 4, (r["stack"], r["own_retransmissions"], r["out"])
PY
}

# The watching library changes nothing: programs that print what each call answers print the same with it, on both stacks.
transparent()
{
    local names="fault iov rst_seen shut_rd eintr dup_fork fork_server names opt_tcp poll_states" f
    truncate -s $((64 + 65536 * 64)) "$work/log"
    printf '\x73\x74\x57\x61\x74\x63\x68\x00\x00\x00\x01\x00\x01\x00\x00\x00' >"$work/head"
    dd if="$work/head" of="$work/log" conv=notrunc status=none
    chmod 666 "$work/log"
    # shellcheck disable=SC2086 # words
    "$ROOT/tests/conform/run.sh" "$BUILD/conform" "$BUILD/libstandin.so" "$BUILD/standin-keeper" "$work/plain" $names
    # shellcheck disable=SC2086
    env LD_PRELOAD="$BUILD/libstandin-watch.so" STANDIN_WATCH="$work/log" "$ROOT/tests/conform/run.sh" "$BUILD/conform" \
        "$BUILD/libstandin-watch.so:$BUILD/libstandin.so" "$BUILD/standin-keeper" "$work/watched" $names
    for f in "$work"/plain/*.test "$work"/plain/*.peer; do
        cmp "$f" "$work/watched/${f##*/}"
    done
    (($(od -An -t u8 -j 16 -N 8 "$work/log") > 500)) # it was there
}

unwatched()
{
    compare -n 1 --warmup 0 --keep "$work/e" -- true >"$work/out"
    grep -q '^No socket call was seen' "$work/out"
}

# shellcheck disable=SC2016
TELLTALE='echo "${STANDIN_SESSION:+on the stack}"'

nothing_left()
{
    not pgrep -f "$work/www"
    not pgrep -x standin-keeper
    not grep -q standin /proc/net/dev
}

check "two comparisons with one seed: same result, no bug" twice
check "the same firings on data in all eight runs" same_firings
if command -v tshark >/dev/null; then
    check "the captures say the same" same_bytes
else
    skip "the captures say the same" "tshark is not installed"
fi
if command -v chromium >/dev/null; then
    check "the page draws in a browser" page_draws
else
    skip "the page draws in a browser" "chromium is not installed"
fi
check "the page is one file and asks for nothing" page_is_alone
check "an errno of one stack alone is a bug, with its socket and call" errno_differs
check "where nothing differs, nothing is told" errno_agrees
check "the calls of a family" family
check "what is sent again, by the stacks' own count" own_counts
check "what cannot be watched is said" unwatched
check "watching changes nothing" transparent
check "the table, with the command to repeat it" table
check "another output is a bug, exit 1" exits 1 '[bug] output' -n 1 --warmup 0 --keep "$work/k" -- sh -c "$TELLTALE"
check "unless another class is asked for" exits 0 '[bug] output' -n 1 --warmup 0 --fail-on timing --keep "$work/k" -- sh -c "$TELLTALE"
check "a wrong rule, exit 2, with its place" exits 2 '^' -n 1 --impair 'out: dorp data#3' -- true
check "a server that ends, exit 2" exits 2 'ended before it listened' -n 1 --server 'exit 3' -- true
check "a program that is not there, exit 127" exits 127 'not' -n 1 -- no-such-program
check "a static program, exit 126" exits 126 '' -n 1 -- "$BUILD/standin-keeper"
check "a run that takes too long is stopped, and told" stopped_in_time
check "nothing is left behind" nothing_left
finish
