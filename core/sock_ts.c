/*
 * sock_ts.c - theory of operation
 *
 * Between handing a packet to the link and the link's sending it there is nothing here: SCHED and
 * SND are the same moment, told in this order. Hardware stamps, OPT_STATS and PHC binding have no
 * meaning: their flags are taken, as by a device without them, and nothing comes of them.
 */
#include "sock_ts.h"

#include "check.h"
#include "sock_errq.h"
#include "stack.h"
#include "tcp.h"

#define FLAGS_ALL 0x7ffffu

int ts_set(struct stack *st, struct env *env, struct sock *s, uint32_t flags)
{
    bool fresh =
        flags & LX_SOF_TIMESTAMPING_OPT_ID && !(s->opt.timestamping & LX_SOF_TIMESTAMPING_OPT_ID);
    bool is_tcp = s->proto == LX_IPPROTO_TCP;

    if (flags & ~FLAGS_ALL ||
        (flags & LX_SOF_TIMESTAMPING_OPT_ID_TCP && !(flags & LX_SOF_TIMESTAMPING_OPT_ID)) ||
        (flags & LX_SOF_TIMESTAMPING_OPT_STATS && !(flags & LX_SOF_TIMESTAMPING_OPT_TSONLY))) {
        return -ERR_INVAL;
    }
    if (fresh) {
        struct side *x = sock_side(st, env, s);
        if (!x) {
            return -ERR_NOBUFS;
        }
        if (is_tcp && (tcp_state_of(s) == TCP_CLOSED || tcp_state_of(s) == TCP_LISTEN)) {
            return -ERR_INVAL; /* bytes are counted from the connection's */
        }
        x->ts_key = is_tcp ? tcp_ts_base(s, flags & LX_SOF_TIMESTAMPING_OPT_ID_TCP) : 0;
    }
    s->opt.timestamping = flags;
    return 0;
}

void ts_tell(struct stack *st, struct env *env, struct sock *s, enum ts_moment m, uint32_t key,
             const struct span *v, size_t n)
{
    struct recv_info ee = {.stamp = env->real};

    ee.ee.err = ERR_NOMSG;
    ee.ee.origin = EE_TIMESTAMPING;
    ee.ee.info = m;
    ee.ee.data = s->opt.timestamping & LX_SOF_TIMESTAMPING_OPT_ID ? key : 0;
    if (s->opt.timestamping & LX_SOF_TIMESTAMPING_OPT_TSONLY) {
        n = 0;
    }
    if (errq_put(st, env, s, &ee, v, n)) {
        errq_notify(st, s);
    }
}

void ts_sent(struct stack *st, struct env *env, struct sock *s, const struct pkt_out *p)
{
    uint32_t flags = s->opt.timestamping;
    struct side *x = s->side;
    uint32_t key = flags & LX_SOF_TIMESTAMPING_OPT_ID && x ? x->ts_key++ : 0;
    struct span v[PKT_SPAN_MAX + 1] = {{.p = p->hdr, .n = p->hdr_len}};

    for (unsigned i = 0; i < p->nspan; i++) {
        v[i + 1] = p->span[i];
    }
    if (flags & LX_SOF_TIMESTAMPING_TX_SCHED) {
        ts_tell(st, env, s, TS_SCHED, key, v, p->nspan + 1u);
    }
    if (flags & LX_SOF_TIMESTAMPING_TX_SOFTWARE) {
        ts_tell(st, env, s, TS_SND, key, v, p->nspan + 1u);
    }
}

void ts_fill(const struct sock *s, struct recv_info *info, bool is_err)
{
    uint32_t flags = s->opt.timestamping;

    info->have_stamp = info->stamp && (s->opt.timestamp || s->opt.timestampns);
    info->have_tstamping = info->stamp && flags & LX_SOF_TIMESTAMPING_SOFTWARE &&
                           (is_err || flags & LX_SOF_TIMESTAMPING_RX_SOFTWARE);
}
