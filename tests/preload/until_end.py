#!/usr/bin/env python3
"""until_end.py PORT FILE - accepts one connection, waits until it ends in whatever way, then makes FILE."""
import socket
import sys

with socket.create_server(("", int(sys.argv[1]))) as listener:
    conn, _ = listener.accept()
    try:
        while conn.recv(4096):
            pass
    except OSError:
        pass
open(sys.argv[2], "w", encoding="ascii").close()
