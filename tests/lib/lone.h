/*
 * lone.h - one host without a network: what it sends is kept, what it receives a test writes by
 * hand.
 *
 * 10.77.0.2/24 and fd77::2/64, MTU 1500. Every whole packet the host sends is judged: its length,
 * its header checksum and its transport checksum (a partial one must hold the pseudo-header's sum,
 * and is then completed). The peer of most tests is 10.77.0.1 or fd77::1.
 */
#ifndef STANDIN_TESTS_LONE_H
#define STANDIN_TESTS_LONE_H

#include "core/ip.h"
#include "core/stack.h"
#include "tests/lib/heap.h"

#define LONE_OUT_MAX 2048u

struct lone_pkt {
    uint8_t *p;
    size_t len;
    uint16_t gso_size;
    bool partial; /* the link was to finish the checksum */
};

struct lone {
    struct heap heap; /* first */
    struct stack *st;
    struct lone_pkt out[LONE_OUT_MAX];
    uint32_t nout;  /* kept */
    uint32_t taken; /* seen by the test */
    uint64_t emitted;
};

void lone_init(struct lone *h, uint32_t caps, void (*tune)(struct stack_config *cfg));

/* 0; -1, with a text on stderr, unless all invariants hold and no object is left. */
int lone_fini(struct lone *h);

/* The same on the heap. */
struct lone *lone_new(uint32_t caps, void (*tune)(struct stack_config *cfg));
int lone_free(struct lone *h);

/* As if the holder of the lock had died; the invariants hold afterwards. */
void lone_recover(struct lone *h);

struct env *lone_env(struct lone *h);

/* A packet from the link, and the end of the batch. Its bytes lie at the end of a buffer of their
 * own. */
void lone_in(struct lone *h, const void *p, size_t len);

/* The next packet that was sent, or NULL. */
const struct lone_pkt *lone_take(struct lone *h);
void lone_forget(struct lone *h); /* all of them */

/* Runs the timers until then. */
void lone_wait(struct lone *h, nsec until);

struct addr lone_addr(const char *text);
struct endpoint lone_at(const char *text, uint16_t port);

/* What the program would see in errno for an -ERR_*; 0 for anything else. */
int lone_errno(int err);

/* Packets with right lengths and checksums. They return the length; `buf` has room for 65600 bytes.
 */
#define LONE_PKT_MAX 65600u
size_t lone_ip(uint8_t *buf, const char *src, const char *dst, uint8_t proto, const void *upper,
               size_t len);
size_t lone_udp(uint8_t *buf, const char *src, uint16_t sport, const char *dst, uint16_t dport,
                const void *data, size_t len);
size_t lone_icmp(uint8_t *buf, const char *src, const char *dst, uint8_t type, uint8_t code,
                 uint32_t rest, const void *data, size_t len);

/* One fragment of an upper-layer packet (header and all): its bytes [from, from + n). */
size_t lone_frag(uint8_t *buf, const char *src, const char *dst, uint8_t proto, uint32_t id,
                 const uint8_t *upper, size_t from, size_t n, bool more);

/* Makes the checksums of a packet right again after it was changed. */
void lone_fix(uint8_t *p, size_t len);

/* sock_create, held by member 0; sock_send of a string; what sock_recv gives. */
struct sock *lone_sock(struct lone *h, int family, int type);
int lone_bind(struct lone *h, struct sock *s, const char *at, uint16_t port);
int lone_connect(struct lone *h, struct sock *s, const char *to, uint16_t port);
int64_t lone_send(struct lone *h, struct sock *s, const void *p, size_t len, const char *to,
                  uint16_t port);
int64_t lone_recv(struct lone *h, struct sock *s, void *p, size_t len, uint32_t flags,
                  struct recv_info *info);
void lone_close(struct lone *h, struct sock *s);

#endif
