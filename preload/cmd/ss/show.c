/* Purpose: the text form. Names and their order are those of iproute2's ss, where it has one. */
#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/abi.h"
#include "core/err.h"
#include "core/tcp_cc.h"
#include "core/tcp_ecn.h"

static const struct {
    const char *shown; /* as ss prints it */
    const char *word;  /* as its filter takes it */
} states[TCP_STATES] = {
    [TCP_CLOSED] = {"UNCONN", "closed"},
    [TCP_LISTEN] = {"LISTEN", "listening"},
    [TCP_SYN_SENT] = {"SYN-SENT", "syn-sent"},
    [TCP_SYN_RCVD] = {"SYN-RECV", "syn-recv"},
    [TCP_ESTABLISHED] = {"ESTAB", "established"},
    [TCP_FIN_WAIT_1] = {"FIN-WAIT-1", "fin-wait-1"},
    [TCP_FIN_WAIT_2] = {"FIN-WAIT-2", "fin-wait-2"},
    [TCP_CLOSE_WAIT] = {"CLOSE-WAIT", "close-wait"},
    [TCP_CLOSING] = {"CLOSING", "closing"},
    [TCP_LAST_ACK] = {"LAST-ACK", "last-ack"},
    [TCP_TIME_WAIT] = {"TIME-WAIT", "time-wait"},
};

static bool is_tcp(const struct row *row)
{
    return row->s.proto == LX_IPPROTO_TCP;
}

const char *row_state(const struct row *row)
{
    if (!is_tcp(row)) {
        return row->s.connected ? "ESTAB" : "UNCONN";
    }
    return row->s.state < TCP_STATES ? states[row->s.state].shown : "?";
}

int state_of_word(const char *word)
{
    for (int i = 0; i < TCP_STATES; i++) {
        if (strcasecmp(states[i].word, word) == 0 || strcasecmp(states[i].shown, word) == 0) {
            return i;
        }
    }
    return -1;
}

bool row_wanted(const struct row *row, const struct what *w)
{
    bool tcp = is_tcp(row);
    bool waits = tcp ? row->s.state == TCP_LISTEN : !row->s.connected;

    if ((w->tcp || w->udp) && !(tcp ? w->tcp : w->udp)) {
        return false;
    }
    if (w->state >= 0) {
        return tcp && (int)row->s.state == w->state;
    }
    if (w->port && row->s.flow.lport != w->port && row->s.flow.rport != w->port) {
        return false;
    }
    if (!w->all && w->listening != waits) {
        return false;
    }
    return w->all || !tcp || row->s.state != TCP_CLOSED;
}

void show_header(const struct what *w)
{
    printf("%-5s %-10s %6s %6s %28s %28s %s\n", "Netid", "State", "Recv-Q", "Send-Q",
           "Local Address:Port", "Peer Address:Port", w->processes ? "Process" : "");
}

static const char *netid(const struct row *row)
{
    return is_tcp(row) ? "tcp" : row->s.proto == LX_IPPROTO_UDP ? "udp" : "icmp";
}

static void end_text(char *to, size_t size, const struct addr *a, uint16_t port)
{
    struct endpoint e = {.addr = *a, .port = port};
    char buf[ENDPOINT_TEXT_MAX];

    endpoint_text(&e, buf);
    if (port == 0) { /* ss's star */
        char *colon = strrchr(buf, ':');
        snprintf(to, size, "%.*s:*", (int)(colon ? colon - buf : 0), buf);
    } else {
        snprintf(to, size, "%s", buf);
    }
}

static void processes(const struct row *row)
{
    if (row->nholders == 0) {
        return;
    }
    printf(" users:(");
    for (unsigned i = 0; i < row->nholders && i < HOLDERS_MAX; i++) {
        const struct holder *h = &row->holder[i];
        printf("%s(\"%s\",pid=%d", i ? "," : "", h->comm, (int)h->pid);
        if (h->fd >= 0) {
            printf(",fd=%d", h->fd);
        }
        putchar(')');
    }
    printf("%s)", row->nholders > HOLDERS_MAX ? ",..." : "");
}

/* "1.2sec" as ss writes times of timers. */
static const char *span(nsec ns, char buf[24])
{
    double ms = (double)ns / 1e6;

    if (ms < 1000) {
        snprintf(buf, 24, "%.0fms", ms < 0 ? 0 : ms);
    } else if (ms < 60000) {
        snprintf(buf, 24, "%.1fsec", ms / 1e3);
    } else {
        snprintf(buf, 24, "%.0fmin%02.0fsec", (double)(long)(ms / 60000),
                 (double)((long)(ms / 1e3) % 60));
    }
    return buf;
}

static void timer(const struct rows *r, const struct row *row)
{
    char buf[24];

    if (!row->on_stack || row->s.next_timer == NEVER) {
        return;
    }
    printf(" timer:(%s,%s,%u)", event_timer_name(row->s.next_which),
           span(row->s.next_timer - r->now, buf), row->s.info.tcpi_retransmits);
}

static void extended(const struct row *row)
{
    if (row->s.uid) {
        printf(" uid:%u", row->s.uid);
    }
    printf(" ino:%" PRIu64 " sk:%x", row->s.inode, row->s.id);
    putchar(' ');
    fputs(row->s.rcv_shut   ? row->s.snd_shut ? "---" : "-->"
          : row->s.snd_shut ? "<--"
                            : "<->",
          stdout);
}

static void memory(const struct rows *r, const struct row *row)
{
    const struct sock_opts *o = &row->s.opt;
    const struct knobs *k = &r->knobs;
    bool tcp = is_tcp(row);
    int rb = o->rcvbuf > 0 ? o->rcvbuf : tcp ? k->tcp_rmem_default : k->rmem_default;
    int tb = o->sndbuf > 0 ? o->sndbuf : tcp ? k->tcp_wmem_default : k->wmem_default;

    printf("\t skmem:(r%" PRIu64 ",rb%d,t0,tb%d,f0,w%" PRIu64 ",o0,bl0,d%u)", row->s.rcv_queue, rb,
           tb, row->s.snd_queue, row->s.dropped);
}

static void rate(const char *name, uint64_t bytes_per_second)
{
    if (bytes_per_second && bytes_per_second != UINT64_MAX) {
        printf(" %s %" PRIu64 "bps", name, bytes_per_second * 8);
    }
}

static void info_options(const struct lx_tcp_info *i)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } bits[] = {{LX_TCPI_OPT_TIMESTAMPS, "ts"},
                {LX_TCPI_OPT_SACK, "sack"},
                {LX_TCPI_OPT_ECN, "ecn"},
                {LX_TCPI_OPT_ECN_SEEN, "ecnseen"},
                {LX_TCPI_OPT_SYN_DATA, "fastopen"}};

    for (unsigned k = 0; k < sizeof bits / sizeof bits[0]; k++) {
        if (i->tcpi_options & bits[k].bit) {
            printf(" %s", bits[k].name);
        }
    }
    if (i->tcpi_ecn_mode == ECN_ACCURATE) {
        fputs(" accecn", stdout);
    }
}

static void number(const char *name, uint64_t v)
{
    if (v) {
        printf(" %s:%" PRIu64, name, v);
    }
}

static void info(const struct row *row)
{
    const struct lx_tcp_info *i = &row->s.info;

    fputs("\t", stdout);
    info_options(i);
    const struct cc_ops *cc = tcp_cc_ops(row->s.algo);
    printf(" %s", cc ? cc->name : "?");
    if (i->tcpi_options & LX_TCPI_OPT_WSCALE) {
        printf(" wscale:%u,%u", i->tcpi_snd_wscale, i->tcpi_rcv_wscale);
    }
    printf(" rto:%g", i->tcpi_rto / 1e3);
    number("backoff", i->tcpi_backoff);
    if (i->tcpi_rtt) {
        printf(" rtt:%g/%g", i->tcpi_rtt / 1e3, i->tcpi_rttvar / 1e3);
    }
    if (i->tcpi_ato) {
        printf(" ato:%g", i->tcpi_ato / 1e3);
    }
    printf(" mss:%u pmtu:%u rcvmss:%u advmss:%u cwnd:%u", i->tcpi_snd_mss, i->tcpi_pmtu,
           i->tcpi_rcv_mss, i->tcpi_advmss, i->tcpi_snd_cwnd);
    if (i->tcpi_snd_ssthresh < 0x7fffffff) {
        printf(" ssthresh:%u", i->tcpi_snd_ssthresh);
    }
    number("bytes_sent", i->tcpi_bytes_sent);
    number("bytes_retrans", i->tcpi_bytes_retrans);
    number("bytes_acked", i->tcpi_bytes_acked);
    number("bytes_received", i->tcpi_bytes_received);
    number("segs_out", i->tcpi_segs_out);
    number("segs_in", i->tcpi_segs_in);
    number("data_segs_out", i->tcpi_data_segs_out);
    number("data_segs_in", i->tcpi_data_segs_in);
    if (i->tcpi_rtt) {
        rate("send", (uint64_t)i->tcpi_snd_cwnd * i->tcpi_snd_mss * 1000000 / i->tcpi_rtt);
    }
    number("lastsnd", i->tcpi_last_data_sent);
    number("lastrcv", i->tcpi_last_data_recv);
    number("lastack", i->tcpi_last_ack_recv);
    rate("pacing_rate", i->tcpi_pacing_rate);
    rate("delivery_rate", i->tcpi_delivery_rate);
    number("delivered", i->tcpi_delivered);
    if (i->tcpi_delivery_rate_app_limited) {
        printf(" app_limited");
    }
    number("unacked", i->tcpi_unacked);
    if (i->tcpi_retrans || i->tcpi_total_retrans) {
        printf(" retrans:%u/%u", i->tcpi_retrans, i->tcpi_total_retrans);
    }
    number("lost", i->tcpi_lost);
    number("sacked", i->tcpi_sacked);
    number("dsack_dups", i->tcpi_dsack_dups);
    number("reordering", i->tcpi_reordering == 3 ? 0 : i->tcpi_reordering);
    number("reord_seen", i->tcpi_reord_seen);
    if (i->tcpi_rcv_rtt) {
        printf(" rcv_rtt:%g", i->tcpi_rcv_rtt / 1e3);
    }
    number("rcv_space", i->tcpi_rcv_space);
    number("rcv_ssthresh", i->tcpi_rcv_ssthresh);
    number("notsent", i->tcpi_notsent_bytes);
    number("rcv_ooopack", i->tcpi_rcv_ooopack);
    number("snd_wnd", i->tcpi_snd_wnd);
    number("rcv_wnd", i->tcpi_rcv_wnd);
    if (i->tcpi_min_rtt && i->tcpi_min_rtt != UINT32_MAX) {
        printf(" minrtt:%g", i->tcpi_min_rtt / 1e3);
    }
}

/* What no kernel tells. */
static void ours(const struct rows *r, const struct row *row)
{
    const struct view_sock *s = &row->s;
    char buf[24];

    printf("\t standin:(%s", row->why);
    if (row->on_stack && is_tcp(row)) {
        printf(" since:%s", span(r->now - s->state_since, buf));
        if (s->state == TCP_LISTEN) {
            printf(" opening:%u accept:%u/%u", s->nhalf, s->nacc, s->backlog);
        } else {
            printf(" limit:%s", tcp_limit_name(s->limit));
        }
        if (s->held) {
            printf(" held:%u", s->held);
        }
        if (s->nranges) {
            printf(" ooo:%u,%ub", s->nranges, s->range_bytes);
        }
        for (unsigned i = 0; i < s->nranges && i < VIEW_RANGES_MAX; i++) {
            printf("%c%u-%u", i ? ',' : '=', s->range[i].from, s->range[i].to - 1);
        }
    }
    if (row->last_call.kind == EV_CALL) {
        const struct event *e = &row->last_call;
        printf(" last:%s()=%" PRId64, event_call_name(e->u.call.call), e->u.call.ret);
        if (e->u.call.err) {
            printf(",%s", err_name(e->u.call.err));
        }
        printf(",%s", span(r->now - e->at, buf));
    }
    printf("%s)\n", s->torn ? " torn" : "");
}

void show_row(const struct rows *r, const struct row *row, const struct what *w)
{
    char local[80];
    char peer[80];

    end_text(local, sizeof local, &row->s.flow.laddr, row->s.flow.lport);
    end_text(peer, sizeof peer, &row->s.flow.raddr, row->s.flow.rport);
    printf("%-5s %-10s %6" PRIu64 " %6" PRIu64 " %28s %28s", netid(row), row_state(row),
           row->s.rcv_queue, row->s.snd_queue, local, peer);
    if (w->processes) {
        processes(row);
    }
    if (w->timers) {
        timer(r, row);
    }
    if (w->extended) {
        extended(row);
    }
    putchar('\n');
    if (w->memory && row->on_stack) {
        memory(r, row);
        putchar('\n');
    }
    if (w->info && row->on_stack && is_tcp(row) && row->s.state != TCP_LISTEN) {
        info(row);
        putchar('\n');
    }
    if (w->info || !row->on_stack) {
        ours(r, row);
    }
}
