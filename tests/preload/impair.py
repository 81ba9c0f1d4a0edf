#!/usr/bin/env python3
"""impair.py FILE EXPRESSION - judges what a wire did to packets. FILE is what was seen on the TUN (tcpdump -i any -w FILE), or on both
sides of the wire (relay_run --seen FILE).

In the expression: out, inn: the TCP packets of the connection with the most packets, as they were seen; over a relay: as they came out
of the wire, towards the server and towards the program. Each has t (s), off (of its payload in the stream), n (payload bytes), flags
(letters), ack (stream bytes acknowledged), opts (kinds), mss, wnd, ecn, good (checksums), size (of the IP packet). Further: firsts(p),
the offsets in the order in which each byte range was first seen; gap(p), the longest silence between data; twice(p), how many
payloads were seen again; s, what a full segment carries; data(p).

Over a relay, further: put_out, put_inn, the packets as they went in; all_out, all_inn and all_put_out, all_put_inn: of every connection
and protocol, with proto. Each packet has no, its number in its direction (0: made by the wire), and raw. gone(d), for d "out" or
"inn": the numbers of those that went in and did not come out; lost(d): those of them that cannot be on their way still, since a later
one came out; made(d): the packets that only came out; copies(d): how often each number
came out, where not once; changed(d): for each number that came out different, the names of the fields that are; late(d): for each
number the time on the wire (s), of its first copy; nos(packets); order(d): numbers as they came out."""
import collections
import struct
import sys

Packet = collections.namedtuple("Packet", "t key seq ack_no n flags opts mss wnd ecn good size proto no raw")


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


def parse_ip(t, ip, no=0):
    if ip[0] >> 4 == 4:
        proto = ip[9]
        h, size = (ip[0] & 15) * 4, struct.unpack("!H", ip[2:4])[0]
        src, dst, ecn = ip[12:16], ip[16:20], ip[1] & 3
        ok = fold(ip[:h]) == 0xFFFF
    else:
        proto = ip[6]
        h, size = 40, 40 + struct.unpack("!H", ip[4:6])[0]
        src, dst, ecn, ok = ip[8:24], ip[24:40], ip[1] >> 4 & 3, True
    tcp = ip[h:size]
    if proto != 6 or len(tcp) < 20 or len(ip) < size:
        return Packet(t, (src, 0, dst, 0), 0, 0, 0, "", [], 0, 0, ecn, ok, size, proto, no, ip)
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
    return Packet(t, (src, sport, dst, dport), seq, ack, max(len(tcp) - hdr, 0), flags, opts, mss, wnd, ecn, ok, size, proto, no, ip)


def read_pcap(data):
    """Packets of a pcap file with LINKTYPE_LINUX_SLL2."""
    at = 24
    while at + 16 <= len(data):
        sec, usec, n, _ = struct.unpack("<IIII", data[at:at + 16])
        frame = data[at + 16:at + 16 + n]
        at += 16 + n
        if len(frame) == n and frame[:2] in (b"\x08\x00", b"\x86\xdd"):
            p = parse_ip(sec + usec / 1e6, frame[20:])
            if p.proto == 6 and p.key[1]:
                yield p


def read_relay(data):
    """Records of relay_run: lists of packets, by direction, as they went in and came out."""
    sides = {"put_out": [], "put_inn": [], "out": [], "inn": []}
    at = 0
    while at < len(data):
        when, no, n, d, came_out = struct.unpack("<qQIBB2x", data[at:at + 24])
        sides[("" if came_out else "put_") + ("inn" if d else "out")].append(parse_ip(when / 1e9, data[at + 24:at + 24 + n], no))
        at += 24 + n
    return sides


def one_connection(packets):
    count = collections.Counter()
    for p in packets:
        if p.key[1]:
            a, b = p.key[:2], p.key[2:]
            count[(a, b) if p.key[3] in (8000, 8001) else (b, a)] += 1
    return count.most_common(1)[0][0] if count else (None, None)


def base_of(side):
    for p in side:
        if "S" in p.flags:
            return p.seq + 1
    return None


def firsts(side):
    order = []
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


FIELDS4 = [(1, 2, "tos"), (2, 4, "ip.length"), (4, 8, "ip.id"), (8, 9, "ip.ttl"), (10, 12, "ip.checksum"), (20, 22, "tcp.sport"),
           (22, 24, "tcp.dport"), (24, 28, "tcp.seq"), (28, 32, "tcp.ack"), (32, 33, "tcp.offset"), (33, 34, "tcp.flags"),
           (34, 36, "tcp.window"), (36, 38, "tcp.checksum"), (38, 40, "tcp.urgent")]


def differing(a, b):
    """The names of the fields (IPv4, TCP) in which two packets differ, in order."""
    if len(a) != len(b):
        return ["size"]
    names = []
    header = 20 + (a[32] >> 4) * 4 if a[9] == 6 and len(a) > 32 else 20
    for i in (i for i in range(len(a)) if a[i] != b[i]):
        name = next((f for lo, hi, f in FIELDS4 if lo <= i < hi), "tcp.options" if i < header else "payload")
        if name not in names:
            names.append(name)
    return names


def of_relay(sides, names):
    came = {d: collections.defaultdict(list) for d in ("out", "inn")}
    for d, by_no in came.items():
        for p in sides[d]:
            by_no[p.no].append(p)
    names.update(
        all_out=sides["out"], all_inn=sides["inn"], all_put_out=sides["put_out"], all_put_inn=sides["put_inn"],
        gone=lambda d: [p.no for p in sides["put_" + d] if p.no not in came[d]],
        lost=lambda d: [p.no for p in sides["put_" + d] if p.no not in came[d] and p.no < max(came[d])],
        made=lambda d: came[d][0],
        copies=lambda d: {no: len(c) for no, c in came[d].items() if no and len(c) != 1},
        changed=lambda d: {p.no: differing(p.raw, came[d][p.no][0].raw) for p in sides["put_" + d]
                           if p.no in came[d] and came[d][p.no][0].raw != p.raw},
        late=lambda d: {p.no: min(c.t for c in came[d][p.no]) - p.t for p in sides["put_" + d] if p.no in came[d]},
        order=lambda d: [p.no for p in sides[d]], nos=lambda side: [p.no for p in side])


def main():
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    relay = data[:4] != b"\xd4\xc3\xb2\xa1"
    sides = read_relay(data) if relay else {}
    every = sides["put_out"] + sides["put_inn"] if relay else list(read_pcap(data))
    a, b = one_connection(every)
    bases = [base_of([p for p in every if p.key == key]) for key in ((a or ()) + (b or ()), (b or ()) + (a or ()))]

    def side(packets, way):
        key = ((a or ()) + (b or ()), (b or ()) + (a or ()))[way]
        return [Seen(p, bases[way], bases[1 - way]) for p in packets if p.key == key]

    out, inn = side(sides["out"] if relay else every, 0), side(sides["inn"] if relay else every, 1)
    mss = min([p.mss for p in out + inn if "S" in p.flags and p.mss] or [1460])
    ts = all(any(8 in p.opts for p in way if "S" in p.flags) for way in (out, inn))
    names = dict(out=out, inn=inn, s=mss - 12 * ts, firsts=firsts, twice=twice, gap=gap, data=lambda way: [p for p in way if p.n])
    if relay:
        of_relay(sides, names)
        names.update(put_out=side(sides["put_out"], 0), put_inn=side(sides["put_inn"], 1))
    if sys.argv[2] == "-":
        print(*firsts(out))
        return
    if not eval(sys.argv[2], names):  # pylint: disable=eval-used
        times = [p.t for p in out + inn]
        print("not so:", sys.argv[2], "; out", len(out), "packets, in", len(inn), "over %.3f s," % (max(times, default=0) - min(times, default=0)),
              "gap %.3f" % gap(out), "max", max((p.size for p in out), default=0))
        if relay:
            for d in ("out", "inn"):
                print(d, "gone", names["gone"](d), "copies", names["copies"](d), "changed", str(names["changed"](d))[:300], "made", len(names["made"](d)))
        for way, name in ((out, "out"), (inn, "in")):
            for p in way[:4]:
                print(name, p.no, "%.6f" % p.t, p.flags, p.off, p.n, "ack", p.ack, "wnd", p.wnd, p.opts, "ecn", p.ecn, "" if p.good else "BAD")
        sys.exit(1)


main()
