#!/usr/bin/env python3
"""loss.py - goodput over a lossy wire, over real devices: Linux's CUBIC and our stack through the same relay.

    loss.py linux [--seeds N] [--jobs N]   Linux's median goodput for every cell of the grid: tests/sim/linux.txt
    loss.py bench [--seeds N]              six cells live, ours and Linux's alternating, the ratio of each
    loss.py mixed [--flows A,B] [--seconds N] [--stack S]  A of ours beside A of Linux's on one queue of 50 Mbit/s, then
                                           B beside B: Jain's index
    loss.py serve PORT | send HOST PORT BYTES | pour HOST PORT SECONDS FLOWS | drain PORT      the ends

The cells come from build/sim/table --grid, as the simulator's do. As root; each run has network namespaces of its own.
"""
import argparse
import concurrent.futures
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
LIVE = ["loss-0.1-50", "loss-1-10", "loss-1-50", "loss-3-10", "reorder-50", "burst-50"]
PORT = "8001"
# A bottleneck to share. Where nothing jitters, a sender's packets come at fixed times between the departures from a full
# queue, and microseconds decide who finds a place (Floyd, Jacobson: On Traffic Phase Effects, 1992): shown, but no verdict.
SHARED = {"mixed": "delay 10ms jitter 1ms ordered; rate 50mbit queue 100ms", "mixed-phase": "delay 10ms; rate 50mbit queue 100ms"}


def serve(port, tell=False):
    """Reads each connection to its end, then closes it; with `tell` says when which bytes came."""
    listener = socket.create_server(("0.0.0.0", port), backlog=64)

    def drink(conn, peer):
        buf = bytearray(1 << 18)
        total, start = 0, time.monotonic()
        while n := conn.recv_into(buf):
            total += n
            if tell and time.monotonic() - start > 0.1:
                os.write(1, b"%s:%d %d %.3f\n" % (peer[0].encode(), peer[1], total, time.monotonic()))  # a line is one write
                start = time.monotonic()
        conn.close()

    while True:
        conn, peer = listener.accept()
        threading.Thread(target=drink, args=(conn, peer), daemon=True).start()


def send(host, port, count):
    """Prints the seconds from connect to the peer's end of file."""
    data = bytes(count)
    start = time.monotonic()
    conn = socket.create_connection((host, port))
    conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
    while conn.recv(1):
        pass
    print("%.6f" % (time.monotonic() - start))


def pour(host, port, seconds, flows):
    """Sends on so many connections for so long; each begins 300 ms after the one before."""

    def one():
        conn = socket.create_connection((host, port))
        conn.settimeout(seconds + 5)
        while time.monotonic() < until:
            conn.sendall(data)

    data, until = bytes(1 << 16), time.monotonic() + seconds
    threads = []
    for _ in range(flows):
        threads.append(threading.Thread(target=one))
        threads[-1].start()
        time.sleep(0.3)
    for t in threads:
        t.join()


def me(*words):
    return [sys.executable, os.path.abspath(__file__), *words]


def relay(stack, rules, seed, program, server=("serve", PORT), extra=(), timeout=400):
    cmd = [os.path.join(BUILD, "bench/relay_run"), "--stack", stack, "--standin", os.path.join(BUILD, "standin"),
           "--cubic", "--rules", rules, "--seed", str(seed), "--server", "exec " + " ".join(me(*server)), *extra, "--", *program]
    return subprocess.run(cmd, stdout=subprocess.PIPE, check=True, timeout=timeout, text=True).stdout


def goodput(stack, cell, seed):
    """Mbit/s of one transfer."""
    _, count, rules = cell
    seconds = float(relay(stack, rules, seed, me("send", "10.77.0.1", PORT, str(count))))
    return count * 8 / seconds / 1e6


def grid():
    out = subprocess.run([os.path.join(BUILD, "sim/table"), "--grid"], stdout=subprocess.PIPE, check=True, text=True)
    for line in out.stdout.splitlines():
        name, count, rules = line.split("\t")
        yield name, int(count), rules


def linux(seeds, jobs):
    cells = list(grid())
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = {(c[0], s): pool.submit(goodput, "kernel", c, s) for s in range(1, seeds + 1) for c in cells}
        for job in concurrent.futures.as_completed(runs.values()):
            job.result()
    print("# Linux %s, CUBIC, over the relay; median of %d seeds" % (os.uname().release.split("-")[0], seeds))
    print("# what-rtt         bytes   Mbit/s   least    most")
    for name, count, _ in cells:
        got = [runs[name, s].result() for s in range(1, seeds + 1)]
        print("%-14s %9d  %7.3f %7.3f %7.3f" % (name, count, statistics.median(got), min(got), max(got)))


def bench(seeds):
    ratios = []
    for cell in grid():
        if cell[0] not in LIVE:
            continue
        ours, theirs = [], []
        for seed in range(1, seeds + 1):
            for stack in ("user", "kernel") if seed % 2 else ("kernel", "user"):
                (ours if stack == "user" else theirs).append(goodput(stack, cell, seed))
        a, b = statistics.median(ours), statistics.median(theirs)
        ratios.append(a / b)
        print("bench %s ours=%.3f kernel=%.3f ratio=%.3f better=more seeds=%d unit=Mbit/s"
              % (cell[0], a, b, a / b, seeds), flush=True)
    print("bench loss median=%.3f least=%.3f cells=%d" % (statistics.median(ratios), min(ratios), len(ratios)))


def mixed(name, seconds, stack, flows):
    """So many flows of each stack (with --stack kernel twice as many of Linux's): the bytes of the last half. CUBIC takes
    tens of seconds to find its share on such a queue. Returns what to print."""
    words = me("pour", "10.77.0.1", PORT, str(seconds), str(flows))
    got = {}
    out = relay(stack, SHARED[name], 1, words, server=("drain", PORT),
                extra=["--beside", " ".join(words)], timeout=seconds + 60)
    for line in out.splitlines():
        who, total, at = line.split()
        got.setdefault(who, []).append((float(at), int(total)))
    if len(got) != 2 * flows:
        sys.exit("loss.py: %d flows of %d got through" % (len(got), 2 * flows))
    begin = min(v[0][0] for v in got.values()) + seconds / 2
    end = min(v[-1][0] for v in got.values())
    x, sides = [], {}
    for who, list_ in got.items():
        late = [n for n in list_ if begin <= n[0] <= end]
        x.append((late[-1][1] - late[0][1]) * 8 / (late[-1][0] - late[0][0]) / 1e6)
        sides.setdefault(stack if who.startswith("10.77.0.2:") else "beside", []).append(x[-1])
    return "bench %s flows=%d %s jain=%.4f" % (
        name, len(x), " ".join("%s=%s" % (k, "+".join("%.2f" % n for n in v)) for k, v in sorted(sides.items(), reverse=True)),
        sum(x) ** 2 / (len(x) * sum(v * v for v in x)))


def main():
    words = sys.argv[1:]
    if words[:1] == ["serve"]:
        serve(int(words[1]))
    elif words[:1] == ["drain"]:
        serve(int(words[1]), True)
    elif words[:1] == ["send"]:
        send(words[1], int(words[2]), int(words[3]))
    elif words[:1] == ["pour"]:
        pour(words[1], int(words[2]), float(words[3]), int(words[4]))
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("what", choices=["linux", "bench", "mixed"])
        parser.add_argument("--seeds", type=int)
        parser.add_argument("--jobs", type=int, default=3)
        parser.add_argument("--seconds", type=int, default=200)
        parser.add_argument("--flows", default="1,2,8", help="of each stack; one run for each number, side by side")
        parser.add_argument("--stack", choices=["user", "kernel"], default="user")
        a = parser.parse_args()
        if a.what == "linux":
            linux(a.seeds or 45, a.jobs)
        elif a.what == "bench":
            bench(a.seeds or 9)
        else:
            flows = [int(n) for n in a.flows.split(",")]
            for name in SHARED:
                with concurrent.futures.ThreadPoolExecutor(len(flows)) as pool:
                    for line in pool.map(lambda n: mixed(name, a.seconds, a.stack, n), flows):
                        print(line, flush=True)


main()
