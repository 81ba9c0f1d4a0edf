#!/usr/bin/env python3
"""run.py - our stack against the kernel's, measured side by side. `make bench` runs it in a network namespace of its own.

    bench NAME ours=X kernel=Y ratio=R better=more|less iqr=A..B pairs=N unit=U

One server process on the kernel's stack is the far end of both. Kernel's run: the client in a second network namespace,
across a veth pair. Our run: the same client binary under LD_PRELOAD in the server's namespace, across the TUN. Each pair
is one run of each, the order changing from pair to pair; the first pair is a warm-up. ratio is the median of the pairs'
ratios, ours and kernel the figures of that pair, iqr the middle half of the ratios. nginx-1 turns it round: nginx with one worker is the program on
the stack, wrk the kernel-side client.

Environment: QUICK=1 five shorter pairs; T=NAME one measurement; PAIRS=N; PLACE=split|one: both ends on two CPUs (the
default where there are two) or on one.
"""
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
QUICK = os.environ.get("QUICK", "") not in ("", "0")
PAIRS = int(os.environ.get("PAIRS", "5" if QUICK else "15"))
ONLY = os.environ.get("T", "")
MILLIS = 150 if QUICK else 400
PORT = "9000"
HTTP = "8080"

OURS_SERVER, OURS_SELF = "10.77.0.1", "10.77.0.2"  # the kernel's end of the TUN, and the stack
VETH_SERVER, VETH_SELF = "10.78.0.1", "10.78.0.2"

# name, what bench_client is asked for, unit, better, is idle polling held
CLIENT = [
    ("bulk-send", "send", "Gb/s", "more", True),
    ("bulk-recv", "recv", "Gb/s", "more", True),
    ("rtt", "rtt", "us", "less", True),
    ("rtt-idle", "rtt", "us", "less", False),
    ("connect", "connect", "1/s", "more", True),
]

children = []
folder = tempfile.mkdtemp(prefix="standin-bench-")


def say(text):
    print(text, flush=True)


def fail(text):
    sys.exit("bench: " + text)


def sh(*args, **kw):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True, **kw).stdout


def spawn(*args, **kw):
    child = subprocess.Popen(args, **kw)
    children.append(child)
    return child


def finish():
    for child in reversed(children):
        if child.poll() is None:
            child.terminate()
    for child in reversed(children):
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    shutil.rmtree(folder, ignore_errors=True)


def await_(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            fail("waited in vain for " + what)
        time.sleep(0.01)


def cpus():
    allowed = sorted(os.sched_getaffinity(0))
    place = os.environ.get("PLACE", "split" if len(allowed) > 1 else "one")
    if place == "one" or len(allowed) == 1:
        return "one", allowed[0], allowed[0]
    return "split", allowed[0], allowed[1]


PLACE, CPU_SELF, CPU_PEER = cpus()


def pinned(cpu, *args):
    return ["taskset", "-c", str(cpu), *args]


class Idle:
    """/dev/cpu_dma_latency held open with 0 keeps idle CPUs polling."""

    def __init__(self, hold):
        self.fd = None
        if hold:
            try:
                self.fd = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
                os.write(self.fd, struct.pack("i", 0))
            except OSError:
                self.fd = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.fd is not None:
            os.close(self.fd)


def cubic(where, device):
    """The sysctl of a namespace refuses what the host has not allowed; a route's own algorithm is always taken."""
    for family in ("-4", "-6"):
        for route in sh(*where, "ip", family, "route", "show", "dev", device).splitlines():
            if "congctl" not in route:
                sh(*where, "ip", family, "route", "replace", *route.split(), "dev", device,
                   "congctl", "cubic")


def device_of(address):
    return re.search(r" dev (\S+)|$", sh("ip", "-o", "route", "get", address)).group(1)


class Kernel:
    """The second namespace, across a veth pair."""

    def __init__(self):
        holder = spawn("unshare", "--net", "sleep", "infinity")
        mine = os.readlink("/proc/self/ns/net")
        ns = f"/proc/{holder.pid}/ns/net"
        await_("a second namespace", lambda: os.readlink(ns) != mine)
        self.enter = ["nsenter", f"--net={ns}", "--"]
        sh("ip", "link", "add", "veth-peer", "type", "veth", "peer", "name", "veth-self", "netns",
           str(holder.pid))
        sh("ip", "address", "add", VETH_SERVER + "/24", "dev", "veth-peer")
        sh("ip", "link", "set", "veth-peer", "up")
        sh(*self.enter, "ip", "address", "add", VETH_SELF + "/24", "dev", "veth-self")
        sh(*self.enter, "ip", "link", "set", "veth-self", "up")
        sh(*self.enter, "ip", "link", "set", "lo", "up")
        cubic([], "veth-peer")
        cubic(self.enter, "veth-self")
        self.env = None
        self.server, self.self_ = VETH_SERVER, VETH_SELF


class Ours:
    """A session that lives as long as the bench: a shell under `standin run` that waits for its input to end."""

    def __init__(self):
        holder = spawn(f"{BUILD}/standin", "run", "sh", "-c",
                       'echo "$STANDIN_SESSION"; echo "$LD_PRELOAD"; read -r _ || :',
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        session, preload = holder.stdout.readline().strip(), holder.stdout.readline().strip()
        if not session or not preload:
            fail("standin run gave no session")
        self.env = dict(os.environ, STANDIN_SESSION=session, LD_PRELOAD=preload)
        self.enter = []
        cubic([], device_of(OURS_SELF))
        self.server, self.self_ = OURS_SERVER, OURS_SELF


def one_client(side, what):
    # taskset before the library: only the client itself is preloaded
    args = [*side.enter, *pinned(CPU_SELF, "env")]
    if side.env:
        args += [f"LD_PRELOAD={side.env['LD_PRELOAD']}",
                 f"STANDIN_SESSION={side.env['STANDIN_SESSION']}"]
    args += [f"{BUILD}/bench/bench_client", what, side.server, PORT, str(MILLIS)]
    try:
        return float(sh(*args, timeout=30))
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, ValueError) as e:
        fail(f"{what} on the {'stack' if side.env else 'kernel'}: {e}")


NGINX_CONF = """
user root;
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{ listen {listen}:{port}; root {dir}/html; }}
}}
"""


def start_nginx(side, name):
    here = os.path.join(folder, name)
    os.makedirs(here + "/html")
    with open(here + "/html/index.html", "w", encoding="ascii") as f:
        f.write("x" * 612)
    with open(here + "/nginx.conf", "w", encoding="ascii") as f:
        f.write(NGINX_CONF.format(dir=here, listen=side.self_, port=HTTP))
    args = [*side.enter, *pinned(CPU_SELF, "env")]
    if side.env:
        args += [f"LD_PRELOAD={side.env['LD_PRELOAD']}",
                 f"STANDIN_SESSION={side.env['STANDIN_SESSION']}"]
    spawn(*args, "nginx", "-c", here + "/nginx.conf", "-e", here + "/error.log")
    url = f"http://{side.self_}:{HTTP}/"
    probe = ["curl", "-sf", "-m", "1", "-o", "/dev/null", url]
    await_("nginx", lambda: subprocess.run(probe, check=False).returncode == 0, 20)
    return url


def one_wrk(url):
    seconds = "1"
    out = sh(*pinned(CPU_PEER, "wrk", "-t1", "-c16", "-d" + seconds, url), timeout=60)
    if "Socket errors" in out or "Non-2xx" in out:
        fail("wrk saw errors:\n" + out)
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1))


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


def measure(name, unit, better, hold, ours, kernel):
    pairs = []  # (ratio, ours, kernel)
    with Idle(hold) as idle:
        for pair in range(PAIRS + 1):
            if pair % 2:
                x, y = ours(), kernel()
            else:
                y, x = kernel(), ours()
            if pair:
                pairs.append((x / y, x, y))
        note = "" if idle.fd is not None or not hold else " note=no-dma-latency"
    ratio, x, y = sorted(pairs)[len(pairs) // 2]
    low, _, high = quartiles([p[0] for p in pairs])
    say(f"bench {name} ours={x:.4g} kernel={y:.4g} ratio={ratio:.3f} better={better} "
        f"iqr={low:.3f}..{high:.3f} pairs={len(pairs)} unit={unit}{note}")


def wanted(name):
    return not ONLY or ONLY == name


def main():
    if not os.environ.get("STANDIN_OWN_NETNS"):
        os.execv("tests/tools/netns.sh", ["tests/tools/netns.sh", sys.argv[0]])
    kernel = Kernel()
    ours = Ours()
    peer = spawn(*pinned(CPU_PEER, f"{BUILD}/bench/bench_peer", PORT), stdout=subprocess.PIPE, text=True)
    if peer.stdout.readline() != "ready\n":
        fail("the peer did not start")
    say(f"# {PAIRS} pairs of {MILLIS} ms, A B then B A, after one that is not counted; cubic on both; program on "
        f"CPU {CPU_SELF}, peer on CPU {CPU_PEER}; /dev/cpu_dma_latency held at 0 (rtt-idle: not)")
    for name, what, unit, better, hold in CLIENT:
        if wanted(name):
            measure(name, unit, better, hold, lambda w=what: one_client(ours, w),
                    lambda w=what: one_client(kernel, w))
    if wanted("nginx-1"):
        url_ours, url_kernel = start_nginx(ours, "ours"), start_nginx(kernel, "kernel")
        measure("nginx-1", "requests/s", "more", True, lambda: one_wrk(url_ours),
                lambda: one_wrk(url_kernel))


if __name__ == "__main__":
    try:
        main()
    finally:
        finish()
