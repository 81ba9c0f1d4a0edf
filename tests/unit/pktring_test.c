/*
 * pktring_test.c - packets through the ring of a capture: in order and whole, cut to the snap
 * length, counted when they are overwritten, read by another process while they are written; and
 * what is said of them.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/tcp.h"
#include "tests/lib/rig.h"
#include "tun/pktnote.h"

static struct pktring *ring;
static struct rig *rig;
static uint8_t buf[PKTRING_SNAPLEN];
static uint8_t payload[65536];

static int setup(void **state)
{
    (void)state;
    ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    rig = rig_new(1, 0, NULL);
    return ring == MAP_FAILED;
}

static int teardown(void **state)
{
    (void)state;
    rig_free(rig);
    return munmap(ring, sizeof *ring);
}

/* Packet number n: its length and every byte of it follow from n. */
static size_t length_of(uint64_t n)
{
    return 40 + n * 7919 % 3000;
}

static void put(uint64_t n)
{
    struct pkt_out p = {.hdr_len = 40, .nspan = 2, .proto = LX_IPPROTO_TCP, .reason = TX_DATA};
    size_t rest = length_of(n) - 40;
    memset(p.hdr, (int)(n & 0xff), 40);
    memset(payload, (int)(n & 0xff), rest);
    p.span[0] = (struct span){payload, rest / 3};
    p.span[1] = (struct span){payload + rest / 3, rest - rest / 3};
    pktring_out(ring, rig->host[0].st, rig_env(rig, 0), &p, false, 1);
}

static void verify(const struct pktrec *rec, uint64_t n, uint32_t snaplen)
{
    assert_int_equal(rec->no, n);
    assert_int_equal(rec->len, length_of(n));
    assert_int_equal(rec->caplen, min_u32(rec->len, snaplen));
    for (uint32_t i = 0; i < rec->caplen; i++) {
        if (buf[i] != (n & 0xff)) {
            fail_msg("byte %u of packet %llu", i, (unsigned long long)n);
        }
    }
}

static void in_order(void **state)
{
    uint64_t pos = 0, want = 0;
    struct pktrec rec;
    (void)state;
    pktring_init(ring, 300);
    assert_int_equal(pktring_read(ring, &pos, &rec, buf, sizeof buf), 0);
    for (uint64_t n = 0; n < 100000; n++) { /* many times round */
        put(n);
        if (n % 100 == 99) {
            assert_false(pktring_publish(ring));
            while (pktring_read(ring, &pos, &rec, buf, sizeof buf)) {
                verify(&rec, want++, 300);
            }
            assert_int_equal(want, n + 1);
        }
    }
}

/* What is not published is not there; who waits is to be woken once. */
static void publishing(void **state)
{
    uint64_t pos = 0;
    struct pktrec rec;
    (void)state;
    pktring_init(ring, 300);
    ring->waiting = 1;
    assert_false(pktring_publish(ring));
    put(0);
    assert_int_equal(pktring_read(ring, &pos, &rec, buf, sizeof buf), 0);
    assert_true(pktring_publish(ring));
    put(1);
    assert_false(pktring_publish(ring));
    assert_int_equal(pktring_read(ring, &pos, &rec, buf, sizeof buf), 1);
    assert_int_equal(pktring_read(ring, &pos, &rec, buf, sizeof buf), 1);
    verify(&rec, 1, 300);
}

/* A reader that slept too long goes on with the oldest that is there, and knows how many it missed.
 */
static void overflow(void **state)
{
    uint64_t pos = 0, next = 0;
    struct pktrec rec;
    (void)state;
    pktring_init(ring, PKTRING_SNAPLEN);
    const uint64_t total = 3 * PKTRING_SIZE / 1500;
    for (uint64_t n = 0; n < total; n++) {
        put(n);
    }
    pktring_publish(ring);
    uint64_t seen = 0;
    while (pktring_read(ring, &pos, &rec, buf, sizeof buf)) {
        assert_true(rec.no >= next);
        verify(&rec, rec.no, PKTRING_SNAPLEN);
        next = rec.no + 1;
        seen++;
    }
    assert_int_equal(next, total);
    assert_true(seen < total && seen > PKTRING_SIZE / 3500);
}

/* The largest packets fit. */
static void largest(void **state)
{
    uint64_t pos = 0;
    struct pktrec rec;
    struct pkt_in in = {.p = payload, .len = 65536, .gso_size = 1448};
    (void)state;
    pktring_init(ring, PKTRING_SNAPLEN);
    memset(payload, 0x45, sizeof payload);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t token = pktring_in(ring, rig->host[0].st, rig_env(rig, 0), &in);
        event_end(rig->host[0].st->events);
        pktring_in_done(ring, rig->host[0].st, token);
        pktring_publish(ring);
        assert_int_equal(pktring_read(ring, &pos, &rec, buf, sizeof buf), 1);
        assert_int_equal(rec.caplen, 65536);
        assert_int_equal(rec.ev_to, rec.ev_from + 1);
        assert_memory_equal(buf, payload, 65536);
    }
}

/* Another process writes as fast as it can: what is read is whole, and in order. */
static void torn(void **state)
{
    uint64_t pos = 0, next = 0, seen = 0;
    struct pktrec rec;
    (void)state;
    pktring_init(ring, PKTRING_SNAPLEN);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (uint64_t n = 0; n < 200000; n++) {
            put(n);
            pktring_publish(ring);
        }
        _exit(0);
    }
    while (next < 200000) {
        if (pktring_read(ring, &pos, &rec, buf, sizeof buf)) {
            assert_true(rec.no >= next);
            verify(&rec, rec.no, PKTRING_SNAPLEN);
            next = rec.no + 1;
            seen++;
        }
    }
    assert_true(seen > 100);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- what is said of a packet */

static void note_is(const struct pktrec *rec, const struct pktnote_events *ev, uint64_t lost,
                    const char *people, const char *machine, const char *before)
{
    struct pktnote n = {0};
    pktnote_make(&n, rec, ev, lost);
    assert_string_equal(n.people, people);
    assert_string_equal(n.machine, machine);
    assert_string_equal(n.before, before);
}

static void notes(void **state)
{
    struct event seg = {.kind = EV_SEG_OUT, .sock_id = 3, .why = TX_RTO, .proto = 6};
    struct event before[2] = {{.kind = EV_TIMER, .sock_id = 3}, {.kind = EV_SEG_IN}};
    struct pktrec rec = {.flags = PKTREC_OUT, .reason = TX_RTO, .sock_id = 3, .fd = 5, .proto = 6};
    struct pktnote_events ev = {.own = &seg, .before = before, .nbefore = 2};
    (void)state;
    before[0].u.timer.act = EVT_FIRED;
    seg.u.seg.flags = 0x18;
    seg.u.seg.seq = 1461;
    seg.u.seg.len = 1460;
    seg.u.seg.ack = 1;
    seg.u.seg.wnd = 65535;
    seg.u.seg.cwnd = 1460;
    seg.u.seg.ssthresh = 7300;
    seg.u.seg.inflight = 2920;
    seg.u.seg.srtt_us = 50100;
    seg.u.seg.rto_us = 2040000;
    seg.u.seg.state = TCP_ESTABLISHED;
    seg.u.seg.ca_state = 4;
    note_is(&rec, &ev, 0,
            "RETRANSMIT bytes 1461-2920: retransmission timer fired; the next time-out is 2.040 s",
            "ev=tx sock=3 reason=RTO seq=1461 ack=1 len=1460 wnd=65535 state=ESTABLISHED cwnd=1460 "
            "ssthresh=7300 inflight=2920 srtt=0.050100 rto=2.040000 ca=Loss fd=5",
            "3 * rto fired");
    rec.reason = TX_DATA;
    rec.gso_size = 1448;
    rec.call = EVC_SEND;
    rec.flags |= PKTREC_FAILED;
    seg.u.seg.ssthresh = UINT32_MAX;
    ev.nbefore = 0;
    note_is(
        &rec, &ev, 7,
        "7 PACKETS BEFORE THIS ONE ARE MISSING: they came faster than they were written. "
        "bytes 1461-2920: new data; the link cuts it into segments of 1448 bytes; NOT SENT: the "
        "link did not take it",
        "ev=tx sock=3 reason=DATA seq=1461 ack=1 len=1460 wnd=65535 state=ESTABLISHED cwnd=1460 "
        "inflight=2920 srtt=0.050100 rto=2.040000 ca=Loss gso=1448 fd=5 call=send lost=7",
        "");

    struct event after[3] = {{.kind = EV_DROP, .why = DROP_TCP_WINDOW},
                             {.kind = EV_STATE},
                             {.kind = EV_IMPAIR, .why = IMPAIR_DELAY}};
    after[1].u.state.from = TCP_SYN_SENT;
    after[1].u.state.to = TCP_ESTABLISHED;
    after[2].u.impair.rule = 2;
    seg = (struct event){.kind = EV_SEG_IN, .sock_id = 0, .proto = 6};
    seg.u.seg.flags = 0x12;
    rec = (struct pktrec){.fd = -1, .proto = 6};
    ev = (struct pktnote_events){.own = &seg, .after = after, .nafter = 3};
    note_is(&rec, &ev, 0,
            "received SYN-ACK; NOT USED: outside the receive window; SYN-SENT -> ESTABLISHED; rule "
            "2: delayed",
            "ev=rx reason=TCP_WINDOW seq=0 ack=0 len=0 wnd=0 rule=2", "");
    ev = (struct pktnote_events){0}; /* the events are gone */
    note_is(&rec, &ev, 0, "received", "ev=rx", "");
    rec.flags = PKTREC_LOST;
    ev = (struct pktnote_events){.after = &after[2], .nafter = 1};
    note_is(&rec, &ev, 0, "NEVER CAME: dropped on its way to us; rule 2: delayed",
            "ev=rx reason=IMPAIRED rule=2", "");
    ev = (struct pktnote_events){0};
    rec.flags = PKTREC_OUT;
    rec.reason = TX_FAST;
    note_is(&rec, &ev, 0, "sent: fast retransmission", "ev=tx reason=FAST", "");
}

static uint32_t random_next(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

/* Records and events of garbage: texts that end, within their bounds. */
static void garbage(void **state)
{
    uint32_t x = 3;
    struct pktrec rec;
    struct event own, after[8], before[40];
    struct pktnote n = {0};
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t *parts[] = {(uint8_t *)&rec, (uint8_t *)&own, (uint8_t *)after, (uint8_t *)before};
        size_t sizes[] = {sizeof rec, sizeof own, sizeof after, sizeof before};
        for (size_t p = 0; p < 4; p++) {
            for (size_t k = 0; k < sizes[p]; k++) {
                parts[p][k] = (uint8_t)random_next(&x);
            }
        }
        own.kind = i & 1 ? EV_SEG_OUT : own.kind;
        struct pktnote_events ev = {.own = i & 2 ? &own : NULL,
                                    .after = after,
                                    .nafter = i % 9,
                                    .before = before,
                                    .nbefore = i % 41};
        pktnote_make(&n, &rec, &ev, random_next(&x));
        assert_true(memchr(n.people, 0, sizeof n.people) &&
                    memchr(n.machine, 0, sizeof n.machine) && memchr(n.before, 0, sizeof n.before));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order), cmocka_unit_test(publishing), cmocka_unit_test(overflow),
        cmocka_unit_test(largest),  cmocka_unit_test(torn),       cmocka_unit_test(notes),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
