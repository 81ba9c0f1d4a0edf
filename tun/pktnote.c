/*
 * pktnote.c - theory of operation.
 *
 * A record of the packet ring tells what the driver saw; the events with its numbers tell why. They
 * may be gone, where many came in a short time: then the note says less. Both are read from shared
 * memory, so no number in them is used as an index unseen.
 */
#include "tun/pktnote.h"

#include <stdio.h>
#include <string.h>

#include "core/abi.h"
#include "core/check.h"
#include "core/tcp.h"
#include "core/trace.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static bool is_seg(const struct event *ev)
{
    return ev && (ev->kind == EV_SEG_IN || ev->kind == EV_SEG_OUT);
}

static bool is_again(unsigned why)
{
    return why == TX_RTO || why == TX_FAST || why == TX_TLP || why == TX_PMTU;
}

static const char *state_name(unsigned state)
{
    return state < TCP_STATES ? tcp_state_name((enum tcp_state)state) : "?";
}

/* ---- for people */

/* "SYN", "bytes 1-1460 and FIN", "ACK of 1460" */
static void put_what(struct text *t, const struct event *ev)
{
    uint16_t flags = ev->u.seg.flags;
    uint32_t len = ev->u.seg.len, from = ev->u.seg.seq;
    if (flags & RST) {
        text_put(t, "RST");
    } else if (flags & SYN) {
        text_put(t, flags & ACK ? "SYN-ACK" : "SYN");
    } else if (len) {
        text_put(t, "bytes %u-%u%s", from, from + len - 1, flags & FIN ? " and FIN" : "");
    } else if (flags & FIN) {
        text_put(t, "FIN");
    } else {
        text_put(t, "ACK of all bytes before %u", ev->u.seg.ack);
    }
}

static void put_sent(struct text *t, const struct pktrec *rec, const struct event *own)
{
    if (is_seg(own)) {
        text_put(t, "%s", is_again(rec->reason) ? "RETRANSMIT " : "");
        put_what(t, own);
        text_put(t, ": %s", tx_reason_text(rec->reason));
        if (rec->reason == TX_RTO) {
            text_put(t, "; the next time-out is %.3f s", own->u.seg.rto_us / 1e6);
        }
    } else {
        text_put(t, "sent: %s", tx_reason_text(rec->reason));
    }
    if (rec->gso_size) {
        text_put(t, "; the link cuts it into segments of %u bytes", rec->gso_size);
    }
    if (rec->flags & PKTREC_FAILED) {
        text_put(t, "; NOT SENT: the link did not take it");
    }
}

/* What followed from a received packet. */
static void put_caused(struct text *t, const struct event *ev)
{
    switch (ev->kind) {
    case EV_DROP:
        text_put(t, "; NOT USED: %s",
                 drop_text(ev->why < DROP_COUNT ? (enum drop)ev->why : DROP_NONE));
        break;
    case EV_STATE:
        text_put(t, "; %s -> %s", state_name(ev->u.state.from), state_name(ev->u.state.to));
        break;
    case EV_IMPAIR:
        text_put(t, "; rule %u: %s", ev->u.impair.rule, impair_text(ev->why));
        break;
    case EV_CWND:
        if (ev->why == CWND_STATE || ev->why == CWND_UNDO) {
            text_put(t, "; congestion window now %u segments%s", ev->u.cwnd.cwnd,
                     ev->why == CWND_UNDO ? ", the loss was none" : "");
        }
        break;
    default:
        break;
    }
}

static void put_people(struct text *t, const struct pktrec *rec, const struct pktnote_events *ev,
                       uint64_t lost)
{
    if (lost) {
        text_put(
            t,
            "%llu PACKETS BEFORE THIS ONE ARE MISSING: they came faster than they were written. ",
            (unsigned long long)lost);
    }
    if (rec->flags & PKTREC_LOOP) {
        text_put(t, "to ourselves");
    } else if (rec->flags & PKTREC_OUT) {
        put_sent(t, rec, ev->own);
    } else if (rec->flags & PKTREC_LOST) {
        text_put(t, "NEVER CAME: dropped on its way to us");
    } else {
        text_put(t, "received");
        if (is_seg(ev->own)) {
            text_put(t, " ");
            put_what(t, ev->own);
        }
    }
    for (uint32_t i = 0; i < ev->nafter; i++) {
        put_caused(t, &ev->after[i]);
    }
}

/* ---- for machines */

static void put_seg(struct text *t, const struct event *ev)
{
    static const char *const ca[] = {"Open", "Disorder", "CWR", "Recovery", "Loss"};
    text_put(t, " seq=%u", ev->u.seg.seq);
    if (ev->u.seg.flags & ACK) {
        text_put(t, " ack=%u", ev->u.seg.ack);
    }
    text_put(t, " len=%u wnd=%u", ev->u.seg.len, ev->u.seg.wnd);
    if (ev->sock_id == 0) {
        return;
    }
    text_put(t, " state=%s cwnd=%u", state_name(ev->u.seg.state), ev->u.seg.cwnd);
    if (!(ev->u.seg.flags & SYN) && ev->u.seg.ssthresh != UINT32_MAX) {
        text_put(t, " ssthresh=%u", ev->u.seg.ssthresh);
    }
    text_put(t, " inflight=%u", ev->u.seg.inflight);
    if (ev->u.seg.srtt_us) {
        text_put(t, " srtt=%.6f", ev->u.seg.srtt_us / 1e6);
    }
    text_put(t, " rto=%.6f", ev->u.seg.rto_us / 1e6);
    if (ev->u.seg.ca_state < ARRAY_LEN(ca)) {
        text_put(t, " ca=%s", ca[ev->u.seg.ca_state]);
    }
}

static void put_reason(struct text *t, const struct pktrec *rec, const struct pktnote_events *ev)
{
    if (rec->flags & PKTREC_LOOP) {
        return;
    }
    if (rec->flags & PKTREC_OUT) {
        text_put(t, " reason=%s", tx_reason_name(rec->reason));
        return;
    }
    if (rec->flags & PKTREC_LOST) {
        text_put(t, " reason=%s", drop_name(DROP_IMPAIRED));
        return;
    }
    for (uint32_t i = 0; i < ev->nafter; i++) {
        if (ev->after[i].kind == EV_DROP && ev->after[i].why < DROP_COUNT) {
            text_put(t, " reason=%s", drop_name((enum drop)ev->after[i].why));
            return;
        }
    }
}

static void put_machine(struct text *t, const struct pktrec *rec, const struct pktnote_events *ev,
                        uint64_t lost)
{
    uint32_t sock = rec->sock_id ? rec->sock_id : ev->own ? ev->own->sock_id : 0;
    text_put(t, "ev=%s", rec->flags & PKTREC_LOOP ? "loop" : rec->flags & PKTREC_OUT ? "tx" : "rx");
    if (sock) {
        text_put(t, " sock=%u", sock);
    }
    put_reason(t, rec, ev);
    if (is_seg(ev->own)) {
        put_seg(t, ev->own);
    }
    if (rec->gso_size) {
        text_put(t, " gso=%u", rec->gso_size);
    }
    if (rec->fd >= 0) {
        text_put(t, " fd=%d", rec->fd);
    }
    if (rec->call) {
        text_put(t, " call=%s", event_call_name(rec->call));
    }
    for (uint32_t i = 0; i < ev->nafter; i++) {
        if (ev->after[i].kind == EV_IMPAIR) {
            text_put(t, " rule=%u", ev->after[i].u.impair.rule);
        }
    }
    if (lost) {
        text_put(t, " lost=%llu", (unsigned long long)lost);
    }
}

/* ---- what happened in between */

static void put_before(struct text *t, const struct pktnote_events *ev)
{
    char line[TRACE_LINE_MAX];
    for (uint32_t i = 0; i < ev->nbefore; i++) {
        const struct event *e = &ev->before[i];
        if (e->kind == EV_NONE || e->kind == EV_SEG_IN || e->kind == EV_SEG_OUT ||
            e->kind == EV_DGRAM_OUT) {
            continue;
        }
        if (t->max - t->len < TRACE_LINE_MAX) {
            text_put(t, " | ...");
            return;
        }
        text_put(t, "%s%s", t->len ? " | " : "", trace_text(e, line));
    }
}

void pktnote_make(struct pktnote *n, const struct pktrec *rec, const struct pktnote_events *ev,
                  uint64_t lost)
{
    struct text people = {.p = n->people, .max = sizeof n->people};
    struct text machine = {.p = n->machine, .max = sizeof n->machine};
    struct text before = {.p = n->before, .max = sizeof n->before};

    n->people[0] = n->machine[0] = n->before[0] = 0;
    put_people(&people, rec, ev, lost);
    put_machine(&machine, rec, ev, lost);
    put_before(&before, ev);
}
