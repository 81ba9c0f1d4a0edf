#!/usr/bin/env python3
"""explain_oracle.py STANDIN FOLDER [CAPTURE...] - `standin explain --json` beside tshark: every field of the IP, TCP, UDP and ICMP
headers, every TCP option and the verdict on each checksum must agree, packet by packet.

Besides the captures that are named, packets are made up by a seed (SEED=7): both families, all flags, all options in
any order and padding, odd lengths, some checksums wrong. Closes with "N passed, N failed": a packet is a test.
"""
import json
import os
import random
import struct
import subprocess
import sys

SEED = int(os.environ.get("SEED", "1"))
COUNT = 400

# our key: tshark's field
SAME = {
    "ip.version": "ip.version", "ip.hdr_len": "ip.hdr_len", "ip.dsfield.dscp": "ip.dsfield.dscp",
    "ip.dsfield.ecn": "ip.dsfield.ecn", "ip.len": "ip.len", "ip.id": "ip.id", "ip.flags.rb": "ip.flags.rb",
    "ip.flags.df": "ip.flags.df", "ip.flags.mf": "ip.flags.mf", "ip.frag_offset": "ip.frag_offset", "ip.ttl": "ip.ttl",
    "ip.proto": "ip.proto", "ip.checksum": "ip.checksum", "ip.src": "ip.src", "ip.dst": "ip.dst",
    "ipv6.version": "ipv6.version", "ipv6.tclass.dscp": "ipv6.tclass.dscp", "ipv6.tclass.ecn": "ipv6.tclass.ecn",
    "ipv6.flow": "ipv6.flow", "ipv6.plen": "ipv6.plen", "ipv6.nxt": "ipv6.nxt", "ipv6.hlim": "ipv6.hlim",
    "ipv6.src": "ipv6.src", "ipv6.dst": "ipv6.dst",
    "tcp.srcport": "tcp.srcport", "tcp.dstport": "tcp.dstport", "tcp.seq_raw": "tcp.seq_raw", "tcp.ack_raw": "tcp.ack_raw",
    "tcp.hdr_len": "tcp.hdr_len", "tcp.flags.res": "tcp.flags.res", "tcp.flags.ae": "tcp.flags.ae",
    "tcp.flags.cwr": "tcp.flags.cwr", "tcp.flags.ece": "tcp.flags.ece", "tcp.flags.urg": "tcp.flags.urg",
    "tcp.flags.ack": "tcp.flags.ack", "tcp.flags.push": "tcp.flags.push", "tcp.flags.reset": "tcp.flags.reset",
    "tcp.flags.syn": "tcp.flags.syn", "tcp.flags.fin": "tcp.flags.fin", "tcp.window_size_value": "tcp.window_size_value",
    "tcp.checksum": "tcp.checksum", "tcp.urgent_pointer": "tcp.urgent_pointer",
    "tcp.options.mss_val": "tcp.options.mss_val", "tcp.options.wscale.shift": "tcp.options.wscale.shift",
    "tcp.options.timestamp.tsval": "tcp.options.timestamp.tsval",
    "tcp.options.timestamp.tsecr": "tcp.options.timestamp.tsecr",
    "udp.srcport": "udp.srcport", "udp.dstport": "udp.dstport", "udp.length": "udp.length", "udp.checksum": "udp.checksum",
    "icmp.type": "icmp.type", "icmp.code": "icmp.code", "icmp.checksum": "icmp.checksum",
    "icmpv6.type": "icmpv6.type", "icmpv6.code": "icmpv6.code", "icmpv6.checksum": "icmpv6.checksum",
}
VERDICTS = {"ip.checksum": "ip.checksum.status", "tcp.checksum": "tcp.checksum.status",
            "udp.checksum": "udp.checksum.status", "icmp.checksum": "icmp.checksum.status",
            "icmpv6.checksum": "icmpv6.checksum.status"}
SACK = ("tcp.options.sack_le", "tcp.options.sack_re")


# ---- packets by seed

def rfc1071(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def options(r):
    out = b""
    while r.random() < 0.7:
        kind = r.choice(["nop", "mss", "ws", "sackok", "sack", "ts", "other"])
        new = {
            "nop": b"\x01",
            "mss": b"\x02\x04" + r.randbytes(2),
            "ws": b"\x03\x03" + bytes([r.randrange(15)]),
            "sackok": b"\x04\x02",
            "sack": b"",
            "ts": b"\x08\x0a" + r.randbytes(8),
            "other": bytes([r.choice([77, 99]), 6]) + r.randbytes(4),
        }[kind]
        if kind == "sack":
            n = r.randrange(1, 4)
            new = bytes([5, 2 + 8 * n]) + r.randbytes(8 * n)
        if len(out) + len(new) > 40 or (kind not in ("nop", "other") and kind in [k for k, _ in seen(out)]):
            break
        out += new
    return out + b"\0" * (-len(out) % 4)


def seen(data):
    names = {1: "nop", 2: "mss", 3: "ws", 4: "sackok", 5: "sack", 8: "ts"}
    at = 0
    while at < len(data) and data[at]:
        if data[at] == 1:
            at += 1
            continue
        yield names.get(data[at], "other"), at
        at += data[at + 1]


def upper(r, proto, v6, src, dst, payload):
    """The upper layer with its checksum; now and then a wrong one."""
    if proto == 6:
        opts = options(r)
        flags = r.randrange(512)
        head = struct.pack(">HHIIHHHH", r.randrange(1, 65536), r.randrange(1, 65536), r.getrandbits(32), r.getrandbits(32),
                           (5 + len(opts) // 4) << 12 | flags, r.randrange(65536), 0,
                           r.randrange(65536) if flags & 0x20 else 0)
        head += opts
        at = 16
    elif proto == 17:
        head = struct.pack(">HHHH", r.randrange(40000, 65536), r.randrange(40000, 65536), 8 + len(payload), 0)
        at = 6
    else:
        types = [128, 129] if v6 else [0, 8, 3]
        kind = r.choice(types)
        head = struct.pack(">BBHI", kind, r.randrange(4) if kind == 3 else 0, 0, r.getrandbits(32))
        at = 2
    whole = bytearray(head + payload)
    pseudo = b""
    if proto != 1:
        pseudo = src + dst + (struct.pack(">IHBB", len(whole), 0, 0, proto) if v6 else
                              struct.pack(">BBH", 0, proto, len(whole)))
    csum = rfc1071(pseudo + bytes(whole))
    if proto == 17 and csum == 0:
        csum = 0xffff
    if r.random() < 0.2:
        csum ^= 1 << r.randrange(16)
    whole[at:at + 2] = struct.pack(">H", csum)
    return bytes(whole)


def packet(r):
    v6 = r.random() < 0.4
    proto = r.choices([6, 17, 58 if v6 else 1], [8, 2, 1])[0]
    payload = r.randbytes(r.choice([0, 0, 1, 7, 100, 555]))
    tos = r.choice([0, 0, r.randrange(256)])
    src = bytes([0xfd, 0x77] + [0] * 13 + [2]) if v6 else bytes([10, 77, 0, 2])
    dst = bytes([0xfd, 0x77] + [0] * 13 + [1]) if v6 else bytes([10, 77, 0, 1])
    body = upper(r, proto, v6, src, dst, payload)
    if v6:
        word = 6 << 28 | tos << 20 | r.getrandbits(20)
        return struct.pack(">IHBB", word, len(body), proto, r.randrange(1, 256)) + src + dst + body
    head = bytearray(struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(body), r.getrandbits(16), r.choice([0, 0x4000]),
                                 r.randrange(1, 256), proto, 0) + src + dst)
    csum = rfc1071(bytes(head))
    if r.random() < 0.1:
        csum ^= 0x0100
    head[10:12] = struct.pack(">H", csum)
    return bytes(head) + body


def make_capture(path):
    r = random.Random(SEED)
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for n in range(COUNT):
            p = packet(r)
            f.write(struct.pack("<IIII", 1700000000 + n, n, len(p), len(p)) + p)


# ---- both readings

def by_tshark(path):
    fields = sorted(set(SAME.values()) | set(VERDICTS.values()) | set(SACK) | {"frame.number"})
    args = ["tshark", "-n", "-r", path, "-T", "json"]
    for pref in ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"):
        args += ["-o", pref + ":TRUE"]
    args += ["-o", "tcp.relative_sequence_numbers:FALSE", "-o", "ip.defragment:FALSE"]
    for f in fields:
        args += ["-e", f]
    out = subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return [p["_source"]["layers"] for p in json.loads(out)]


def by_us(standin, path):
    return json.loads(subprocess.run([standin, "explain", "--json", path], check=True, stdout=subprocess.PIPE).stdout)


def number(text):
    text = str(text)
    if text in ("True", "true"):
        return 1
    if text in ("False", "false"):
        return 0
    try:
        return int(text, 0)
    except ValueError:
        return text


def differences(ours, theirs):
    fields = [f for layer in ours["layers"] for f in layer["fields"]]
    for f in fields:
        name = SAME.get(f["key"])
        if name is None or name not in theirs:
            continue
        value = f["shown"] if f["key"].endswith((".src", ".dst")) else f["value"]
        if number(theirs[name][0]) != value:
            yield f"{f['key']}: we say {value}, tshark {theirs[name][0]}"
    shown = {f["key"] for f in fields}
    for ours_key, name in SAME.items():
        if name in theirs and ours_key not in shown and name != "ip.version":  # tshark gives it to IPv6, too
            yield f"{name}: tshark has {theirs[name][0]}, we have none"
    blocks = [f["shown"] for f in fields if f["key"] == "tcp.options.sack"]
    wanted = [f"{a}-{b}" for a, b in zip(theirs.get(SACK[0], []), theirs.get(SACK[1], []))]
    if blocks != wanted:
        yield f"SACK blocks: we say {blocks}, tshark {wanted}"
    for s in ours["checksums"]:
        status = theirs.get(VERDICTS[s["key"]])
        good = {"good": 1, "bad": 0, "partial": 0}.get(s["verdict"])
        if status and good is not None and number(status[0]) in (0, 1) and number(status[0]) != good:
            yield f"{s['key']}: we say {s['verdict']}, tshark {status[0]}"


def main():
    standin, folder, captures = sys.argv[1], sys.argv[2], sys.argv[3:]
    made = os.path.join(folder, "made.pcap")
    make_capture(made)
    passed = failed = good = bad = 0
    for path in [made, *captures]:
        ours, theirs = by_us(standin, path), by_tshark(path)
        if len(ours) != len(theirs):
            print(f"FAIL: {path}: {len(ours)} packets, tshark {len(theirs)}")
            failed += 1
            continue
        for n, (a, b) in enumerate(zip(ours, theirs), 1):
            wrong = list(differences(a, b))
            for text in wrong:
                print(f"FAIL: {os.path.basename(path)} packet {n} (SEED={SEED}): {text}")
            good += sum(s["verdict"] == "good" for s in a["checksums"])
            bad += sum(s["verdict"] == "bad" for s in a["checksums"])
            passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"checksums: {good} good, {bad} bad, in both readings")
    if not good or not bad or passed < 200:
        print("FAIL: too little was compared")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
