/*
 * capture.h - the packets of a capture file (pcap, pcapng), through libpcap: bytes from the IP
 * header on, and when they were seen.
 *
 * Link layers that are understood: none (RAW, IPV4, IPV6), Ethernet, Linux cooked (1 and 2), BSD
 * loopback. Packets of anything but IP are counted as packets, with `len` 0.
 */
#ifndef STANDIN_CMD_CAPTURE_H
#define STANDIN_CMD_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;

struct cap_packet {
    uint64_t no;      /* from 1, as in tshark */
    int64_t time_ns;  /* since 1970 */
    const uint8_t *p; /* the IP header; valid until the next call */
    size_t len;       /* bytes that are there */
    size_t wire_len;  /* bytes it had, from the IP header on */
    size_t link_len;  /* bytes of link header before it */
};

/* "-" is the standard input. NULL with a message (msg.h) about what is wrong with the file. */
struct capture *capture_open(const char *path);
void capture_close(struct capture *c);

/* 1: *out is the next packet; 0: the end; -1: the file is damaged from here on, with a message. */
int capture_next(struct capture *c, struct cap_packet *out);

#endif
