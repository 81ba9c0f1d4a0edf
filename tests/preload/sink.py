#!/usr/bin/env python3
"""sink.py serve PORT - reads each connection to its end and answers with the SHA-256 of what came.
sink.py send HOST PORT FILE [TIMEOUT [PAUSE]] - the other end: one sendall of the whole file, with a PAUSE (s) behind the first
1000 bytes; prints the answer."""
import hashlib
import socket
import sys
import threading
import time


def drink(conn):
    digest = hashlib.sha256()
    try:
        while piece := conn.recv(1 << 20):
            digest.update(piece)
        conn.sendall(digest.hexdigest().encode())
    except OSError:
        pass
    conn.close()


def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=64, dualstack_ipv6=True)
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=drink, args=(conn,), daemon=True).start()


def send(host, port, path):
    with open(path, "rb") as f:
        data = f.read()
    conn = socket.create_connection((host, port))
    conn.settimeout(float(sys.argv[5]) if len(sys.argv) > 5 else 60)
    if len(sys.argv) > 6:
        conn.sendall(data[:1000])
        time.sleep(float(sys.argv[6]))
        data = data[1000:]
    conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
    print(conn.recv(100).decode())


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), sys.argv[4])
