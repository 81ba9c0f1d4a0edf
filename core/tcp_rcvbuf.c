/*
 * tcp_rcvbuf.c - theory of operation
 *
 * How much a receiver is ready to hold. Two limits: `wnd_clamp` is what the buffer allows,
 * `wnd_lim` what we dare to announce so far.
 *
 * wnd_lim grows with arriving segments, twice as much as they hold (a slow start of the receiver).
 * wnd_clamp grows by dynamic right-sizing (Linux 6.18's): once a round trip, what the program took
 * in it, less what still waits for it, says how fast the sender was; the buffer becomes twice that,
 * and more when the rate rises, so that the window is never what limits a sender in slow start.
 * Bounds: tcp_rmem's maximum, SO_RCVBUF (then nothing grows), TCP_WINDOW_CLAMP, and tcp_mem.
 *
 * The receiver's round trip is the time in which one announced window arrives, or what a timestamp
 * that comes back tells, whichever is smaller; only timestamps may make it larger, and not while
 * data waits for the program.
 *
 * tcp_mem bounds the memory of all connections: from tcp_mem_pressure on no buffer grows and
 * windows fall to four segments (the edge that was announced stays); at tcp_mem_max out-of-order
 * data is dropped and each direction of a connection has no more than the minimum of tcp_rmem and
 * tcp_wmem. What is counted is the stack's whole memory. Without these settings it is half and
 * seven eighths of what the arena may hold. Linux, not here: tcp_mem_min, below which pressure
 * ends, is accepted and has no effect; pressure here has no memory.
 */
#include "tcp_cb.h"

#include "check.h"

#define MAX_WINDOW ((uint32_t)MEM_PAGE << MEM_ORDER_MAX)

static bool above(const struct stack *st, int32_t pages, size_t otherwise)
{
    return mem_used(st->mem) > (pages ? (size_t)pages * MEM_PAGE : otherwise);
}

bool tcp_mem_pressed(const struct stack *st)
{
    return above(st, st->knobs.tcp_mem_pressure, mem_limit(st->mem) / 2);
}

bool tcp_mem_full(const struct stack *st)
{
    return above(st, st->knobs.tcp_mem_max, mem_limit(st->mem) / 8 * 7);
}

/* Linux, not RFC: half of the buffer is for the bytes, half for what they are kept in. */
static uint32_t window_of(const struct stack *st, uint32_t buffer)
{
    return min_u32(buffer / profile_of(&st->knobs)->rcvbuf_share, MAX_WINDOW);
}

static uint8_t choose_scale(const struct stack *st, const struct tcp *c, uint32_t space)
{
    uint8_t scale = 0;

    if (!c->s.opt.rcvbuf_locked) {
        space =
            max_u32(space, max_u32((uint32_t)st->knobs.tcp_rmem_max, (uint32_t)st->knobs.rmem_max));
    }
    while (scale < 14 && space > 65535) { /* RFC 7323 2.3 */
        space >>= 1;
        scale++;
    }
    return scale;
}

struct tcp_offer tcp_rcv_offer(const struct stack *st, const struct tcp *c, uint32_t mss, bool ws)
{
    uint32_t space = window_of(st, tcp_rcvbuf(st, &c->s));

    if (c->window_clamp) {
        space = min_u32(space, c->window_clamp);
    }
    uint32_t lim = min_u32(space > mss ? space - space % mss : space, 65535u);
    return (struct tcp_offer){
        .clamp = space,
        .lim = profile_of(&st->knobs)->window_grows ? lim : space,
        .scale = ws ? choose_scale(st, c, space) : 0,
    };
}

void tcp_rcv_init(struct stack *st, struct tcp *c)
{
    uint32_t options = c->state == TCP_SYN_RCVD && c->ts_ok ? 12 : 0;
    struct tcp_offer o = tcp_rcv_offer(st, c, c->rcv.adv_mss - options, c->ws_ok);

    c->rcv.wnd_clamp = o.clamp;
    c->rcv.wnd_lim = o.lim;
    c->rcv_scale = o.scale;
    c->rcv.mss = (uint16_t)max_u32(min_u32(min_u32(c->rcv.adv_mss, c->rcv.wnd_lim / 2), 536), 88);
    c->drs_space = min_u32(c->rcv.wnd_lim, 10u * c->rcv.adv_mss);
}

/* FreeBSD: the buffer is rounded up to whole segments once the peer's MSS is known. */
void tcp_rcv_round(struct stack *st, struct tcp *c)
{
    uint32_t mss = min_u32(c->snd.mss_clamp, c->rcv.adv_mss);

    if (profile_of(&st->knobs)->round_rcvbuf && mss && c->rcv.wnd_clamp > mss) {
        c->rcv.wnd_clamp = (c->rcv.wnd_clamp + mss - 1) / mss * mss;
        c->rcv.wnd_lim = c->rcv.wnd_clamp;
    }
}

/* ---- the round trip */

static void take_rtt(struct tcp *c, nsec sample, bool by_window)
{
    if (c->rcv_rtt && sample >= c->rcv_rtt) {
        if (by_window || ring_len(&c->rq)) {
            return; /* says more about sender or program than about the path */
        }
        sample = c->rcv_rtt - c->rcv_rtt / 8 + sample / 8;
    }
    c->rcv_rtt = sample;
}

static void rtt_by_window(struct tcp *c, nsec now)
{
    if (c->rcv_rtt_at) {
        if (seq_lt(c->rcv.nxt, c->rcv_rtt_seq)) {
            return;
        }
        take_rtt(c, nsec_max(now - c->rcv_rtt_at, 1 * USEC), true);
    }
    c->rcv_rtt_seq = seq_add(c->rcv.nxt, tcp_rcv_left(c));
    c->rcv_rtt_at = now;
}

/* Only a full segment, and the first that echoes a value: the peer sends it as soon as it has our
 * acknowledgment. Below a millisecond the clock says nothing. */
static void rtt_by_timestamp(struct tcp *c, const struct tcp_seg *seg, nsec now)
{
    if (!c->ts_ok || !seg->has_ts || !seg->ts_ecr || seg->ts_ecr == c->rcv_rtt_ecr) {
        return;
    }
    c->rcv_rtt_ecr = seg->ts_ecr;
    uint32_t ms = tcp_now_ts(c, now) - seg->ts_ecr;
    if (seg->len >= c->rcv.mss && ms && ms < 0x7fffffff) {
        take_rtt(c, (nsec)ms * MSEC, false);
    }
}

/* ---- growth */

/* The receiver's slow start: announce more as segments arrive. */
static void grow_limit(const struct stack *st, struct tcp *c, uint32_t len)
{
    uint32_t used = (uint32_t)ring_len(&c->rq);
    uint32_t room = c->rcv.wnd_clamp > used ? c->rcv.wnd_clamp - used : 0;

    if (tcp_mem_pressed(st)) {
        c->rcv.wnd_lim = min_u32(c->rcv.wnd_lim, 4u * c->rcv.adv_mss);
        return;
    }
    if (room <= c->rcv.wnd_lim) {
        return;
    }
    uint32_t step = max_u32(2u * c->rcv.adv_mss, 2 * len);
    c->rcv.wnd_lim += min_u32(room - c->rcv.wnd_lim, step);
}

void tcp_rcvbuf_arrived(const struct stack *st, struct tcp *c, const struct tcp_seg *seg, nsec now)
{
    if (!c->drs_at) {
        c->drs_at = now;
        c->rq_taken = (uint32_t)c->rq.head;
    }
    rtt_by_window(c, now);
    rtt_by_timestamp(c, seg, now);
    grow_limit(st, c, seg->len);
}

/* The program took `copied` bytes in the last round trip, more than ever before. */
static void grow_clamp(const struct stack *st, struct tcp *c, uint32_t copied)
{
    uint32_t before = max_u32(c->drs_space, 1);

    c->drs_space = copied;
    if (!st->knobs.tcp_moderate_rcvbuf || c->s.opt.rcvbuf_locked || tcp_mem_pressed(st)) {
        return;
    }
    uint64_t wnd = 2ull * copied; /* what is measured is a round trip old */
    wnd += 2 * (wnd * (copied - before) / before);
    if (c->fl->ooo.n) { /* what waits behind a hole is coming, too */
        wnd += seq_dist(c->rcv.nxt, c->fl->ooo.v[c->fl->ooo.n - 1].to);
    }
    wnd = min_u64(wnd, window_of(st, (uint32_t)st->knobs.tcp_rmem_max));
    if (c->window_clamp) {
        wnd = min_u64(wnd, c->window_clamp);
    }
    c->rcv.wnd_clamp = max_u32(c->rcv.wnd_clamp, (uint32_t)wnd);
}

void tcp_rcvbuf_taken(const struct stack *st, struct tcp *c, nsec now)
{
    if (!c->rcv_rtt || now - c->drs_at < c->rcv_rtt) {
        return;
    }
    uint32_t copied = (uint32_t)c->rq.head - c->rq_taken;
    uint32_t waits = tcp_readable(c);
    copied = copied > waits ? copied - waits : 0;
    if (copied > c->drs_space) {
        grow_clamp(st, c, copied);
    }
    c->drs_at = now;
    c->rq_taken = (uint32_t)c->rq.head;
}
