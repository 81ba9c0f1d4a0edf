#!/usr/bin/env python3
"""impair.py CAPTURE EXPRESSION - judges what was seen on the TUN (tcpdump -i any -w CAPTURE).

In the expression: out, inn: the TCP packets the stack sent (behind the wire) and the kernel sent (before it), of the connection with
the most packets. Each has t (s), off (of its payload in the stream), n (payload bytes), flags (letters), ack (stream bytes
acknowledged), opts (kinds), mss, wnd, ecn, good (checksums), size (of the IP packet). Further: firsts(p), the offsets in the
order in which each byte range was first seen; gap(p), the longest silence between data; twice(p), how many payloads were seen
again; s, what a full segment carries.
"""
import collections
import struct
import sys

Packet = collections.namedtuple("Packet", "t key seq ack_no n flags opts mss wnd ecn good size")


class Seen:
    def __init__(self, p, base, other):
        self.__dict__.update(p._asdict())
        self.off = (p.seq - base) & 0xFFFFFFFF if base is not None else 0
        self.ack = (p.ack_no - other) & 0xFFFFFFFF if other is not None and "." in p.flags else 0


def fold(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def parse_ip(t, ip):
    if ip[0] >> 4 == 4:
        if ip[9] != 6:
            return None
        h, size = (ip[0] & 15) * 4, struct.unpack("!H", ip[2:4])[0]
        src, dst, ecn = ip[12:16], ip[16:20], ip[1] & 3
        ok = fold(ip[:h]) == 0xFFFF
    else:
        if ip[6] != 6:
            return None
        h, size = 40, 40 + struct.unpack("!H", ip[4:6])[0]
        src, dst, ecn, ok = ip[8:24], ip[24:40], ip[1] >> 4 & 3, True
    tcp = ip[h:size]
    if len(tcp) < 20 or len(ip) < size:
        return None
    sport, dport, seq, ack, off, bits, wnd = struct.unpack("!HHIIBBH", tcp[:16])
    hdr = (off >> 4) * 4
    ok = ok and fold(src + dst + struct.pack("!II", len(tcp), 6) + tcp) == 0xFFFF
    opts, mss, o = [], 0, tcp[20:hdr]
    while o and o[0] != 0:
        if o[0] == 1:
            o = o[1:]
            continue
        if len(o) < 2 or o[1] < 2:
            break
        opts.append(o[0])
        if o[0] == 2:
            mss = struct.unpack("!H", o[2:4])[0]
        o = o[o[1]:]
    flags = "".join(c for i, c in enumerate("FSRP.UEW") if bits >> i & 1)
    return Packet(t, (src, sport, dst, dport), seq, ack, len(tcp) - hdr, flags, opts, mss, wnd, ecn, ok, size)


def read(path):
    """Packets of a pcap file with LINKTYPE_LINUX_SLL2."""
    with open(path, "rb") as f:
        data = f.read()
    at = 24
    while at + 16 <= len(data):
        sec, usec, n, _ = struct.unpack("<IIII", data[at:at + 16])
        frame = data[at + 16:at + 16 + n]
        at += 16 + n
        if len(frame) == n and frame[:2] in (b"\x08\x00", b"\x86\xdd"):
            p = parse_ip(sec + usec / 1e6, frame[20:])
            if p:
                yield p


def one_connection(packets):
    count = collections.Counter()
    for p in packets:
        a, b = p.key[:2], p.key[2:]
        count[(a, b) if p.key[3] in (8000, 8001) else (b, a)] += 1
    (a, b), _ = count.most_common(1)[0]
    return [p for p in packets if p.key == a + b], [p for p in packets if p.key == b + a]


def base_of(side):
    for p in side:
        if "S" in p.flags:
            return p.seq + 1
    return None


def firsts(side):
    seen, order = 0, []
    have = set()
    for p in side:
        if p.n and p.off not in have:
            have.add(p.off)
            order.append(p.off)
    return order


def twice(side):
    count = collections.Counter(p.off for p in side if p.n)
    return sum(c - 1 for c in count.values())


def gap(side):
    times = [p.t for p in side if p.n]
    return max((b - a for a, b in zip(times, times[1:])), default=0)


def main():
    raw_out, raw_in = one_connection(list(read(sys.argv[1])))
    bo, bi = base_of(raw_out), base_of(raw_in)
    out = [Seen(p, bo, bi) for p in raw_out]
    inn = [Seen(p, bi, bo) for p in raw_in]
    mss = min([p.mss for p in out + inn if "S" in p.flags and p.mss] or [1460])
    ts = all(any(8 in p.opts for p in side if "S" in p.flags) for side in (out, inn))
    names = dict(out=out, inn=inn, s=mss - 12 * ts, firsts=firsts, twice=twice, gap=gap,
                 data=lambda side: [p for p in side if p.n])
    if sys.argv[2] == "-":
        print(*firsts(out))
        return
    if not eval(sys.argv[2], names):  # pylint: disable=eval-used
        print("not so:", sys.argv[2], "; out", len(out), "packets, in", len(inn), "over %.3f s," % (max(p.t for p in out + inn) - out[0].t), "gap %.3f" % gap(out), "max", max(p.size for p in out))
        for side, name in ((out, "out"), (inn, "in")):
            for p in side[:4]:
                print(name, "%.6f" % p.t, p.flags, p.off, p.n, "ack", p.ack, "wnd", p.wnd, p.opts,
                      "ecn", p.ecn, "" if p.good else "BAD")
        sys.exit(1)


main()
