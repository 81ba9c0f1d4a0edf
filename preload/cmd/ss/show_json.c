/* Purpose: rows as JSON: ss's names, and ours. Numbers that are not there are left out. */
#include <string.h>

#include "core/abi.h"
#include "core/tcp_cc.h"
#include "show.h"

static void put(json_t *o, const char *name, uint64_t v)
{
    json_object_set_new(o, name, json_integer((json_int_t)v));
}

static json_t *end_json(const struct addr *a, uint16_t port)
{
    char buf[ADDR_TEXT_MAX];
    return json_pack("{s:s, s:i}", "address", addr_text(a, buf), "port", (int)port);
}

static json_t *holders_json(const struct row *row)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < row->nholders && i < HOLDERS_MAX; i++) {
        const struct holder *h = &row->holder[i];
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:i}", "comm", h->comm, "pid", (int)h->pid, "fd", h->fd));
    }
    return list;
}

static json_t *info_json(const struct view_sock *s)
{
    const struct lx_tcp_info *i = &s->info;
    const struct cc_ops *cc = tcp_cc_ops(s->algo);
    json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "congestion", cc ? cc->name : "?", "timestamps",
                          (i->tcpi_options & LX_TCPI_OPT_TIMESTAMPS) != 0, "sack",
                          (i->tcpi_options & LX_TCPI_OPT_SACK) != 0, "ecn",
                          (i->tcpi_options & LX_TCPI_OPT_ECN) != 0);

    put(o, "snd_wscale", i->tcpi_snd_wscale);
    put(o, "rcv_wscale", i->tcpi_rcv_wscale);
    put(o, "rto_us", i->tcpi_rto);
    put(o, "rtt_us", i->tcpi_rtt);
    put(o, "rttvar_us", i->tcpi_rttvar);
    put(o, "minrtt_us", i->tcpi_min_rtt == UINT32_MAX ? 0 : i->tcpi_min_rtt);
    put(o, "ato_us", i->tcpi_ato);
    put(o, "mss", i->tcpi_snd_mss);
    put(o, "rcvmss", i->tcpi_rcv_mss);
    put(o, "advmss", i->tcpi_advmss);
    put(o, "pmtu", i->tcpi_pmtu);
    put(o, "cwnd", i->tcpi_snd_cwnd);
    if (i->tcpi_snd_ssthresh < 0x7fffffff) {
        put(o, "ssthresh", i->tcpi_snd_ssthresh);
    }
    put(o, "unacked", i->tcpi_unacked);
    put(o, "sacked", i->tcpi_sacked);
    put(o, "lost", i->tcpi_lost);
    put(o, "retrans", i->tcpi_retrans);
    put(o, "total_retrans", i->tcpi_total_retrans);
    put(o, "backoff", i->tcpi_backoff);
    put(o, "bytes_sent", i->tcpi_bytes_sent);
    put(o, "bytes_retrans", i->tcpi_bytes_retrans);
    put(o, "bytes_acked", i->tcpi_bytes_acked);
    put(o, "bytes_received", i->tcpi_bytes_received);
    put(o, "segs_out", i->tcpi_segs_out);
    put(o, "segs_in", i->tcpi_segs_in);
    put(o, "data_segs_out", i->tcpi_data_segs_out);
    put(o, "data_segs_in", i->tcpi_data_segs_in);
    put(o, "lastsnd_ms", i->tcpi_last_data_sent);
    put(o, "lastrcv_ms", i->tcpi_last_data_recv);
    put(o, "lastack_ms", i->tcpi_last_ack_recv);
    put(o, "delivery_rate", i->tcpi_delivery_rate);
    put(o, "busy_us", i->tcpi_busy_time);
    put(o, "rwnd_limited_us", i->tcpi_rwnd_limited);
    put(o, "sndbuf_limited_us", i->tcpi_sndbuf_limited);
    put(o, "rcv_space", i->tcpi_rcv_space);
    put(o, "rcv_ssthresh", i->tcpi_rcv_ssthresh);
    put(o, "notsent", i->tcpi_notsent_bytes);
    put(o, "snd_wnd", i->tcpi_snd_wnd);
    put(o, "rcv_wnd", i->tcpi_rcv_wnd);
    put(o, "reordering", i->tcpi_reordering);
    put(o, "dsack_dups", i->tcpi_dsack_dups);
    return o;
}

/* What no kernel tells. */
static void ours(json_t *o, const struct rows *r, const struct row *row)
{
    const struct view_sock *s = &row->s;
    json_t *ranges = json_array();
    json_t *timers = json_object();

    for (unsigned i = 0; i < s->nranges && i < VIEW_RANGES_MAX; i++) {
        json_array_append_new(
            ranges, json_pack("[I, I]", (json_int_t)s->range[i].from, (json_int_t)s->range[i].to));
    }
    for (unsigned k = 0; k < EVT_TIMER_COUNT; k++) {
        if (s->due[k] != NEVER) {
            put(timers, event_timer_name(k),
                s->due[k] > r->now ? (uint64_t)(s->due[k] - r->now) / 1000 : 0);
        }
    }
    json_object_set_new(o, "state_since_us",
                        json_integer((s->state_since ? r->now - s->state_since : 0) / 1000));
    json_object_set_new(o, "limit", json_string(tcp_limit_name(s->limit)));
    json_object_set_new(o, "limit_text", json_string(tcp_limit_text(s->limit)));
    put(o, "held", s->held);
    put(o, "unsent", s->unsent);
    json_object_set_new(o, "timers_us", timers);
    json_object_set_new(o, "out_of_order", ranges);
    put(o, "out_of_order_bytes", s->range_bytes);
    if (s->state == TCP_LISTEN) {
        put(o, "opening", s->nhalf);
        put(o, "to_accept", s->nacc);
        put(o, "backlog", s->backlog);
    }
}

json_t *row_json(const struct rows *r, const struct row *row)
{
    const struct view_sock *s = &row->s;
    bool tcp = s->proto == LX_IPPROTO_TCP;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:o}", "netid",
                  tcp                          ? "tcp"
                  : s->proto == LX_IPPROTO_UDP ? "udp"
                                               : "icmp",
                  "state", row_state(row), "stack", row->on_stack ? "user" : "kernel", "recv_q",
                  (json_int_t)s->rcv_queue, "send_q", (json_int_t)s->snd_queue, "local",
                  end_json(&s->flow.laddr, s->flow.lport), "peer",
                  end_json(&s->flow.raddr, s->flow.rport), "inode", (json_int_t)s->inode, "uid",
                  (json_int_t)s->uid, "id", (json_int_t)s->id, "processes", holders_json(row));

    json_object_set_new(o, "why", json_string(row->why));
    if (!row->on_stack) {
        return o;
    }
    if (tcp) {
        json_object_set_new(o, "info", info_json(s));
        ours(o, r, row);
    }
    if (row->last_call.kind == EV_CALL) {
        const struct event *e = &row->last_call;
        json_object_set_new(
            o, "last_call",
            json_pack("{s:s, s:I, s:i, s:I, s:I}", "name", event_call_name(e->u.call.call),
                      "result", (json_int_t)e->u.call.ret, "fd", (int)e->u.call.fd, "tid",
                      (json_int_t)e->tid, "ago_us", (json_int_t)((r->now - e->at) / 1000)));
    }
    return o;
}
