/*
 * trace.c - theory of operation.
 *
 * Turns one record of the event ring into one line. A record may come from another process's memory
 * while that is being written, so nothing in it is believed: every number that names something is
 * compared with its table first, every text has a limit.
 *
 * The second column is the socket's number (0: none); the sign after it says what kind of line it
 * is: `<` `>` a packet, `=` a change of state, `!` a drop or a fault, `*` a timer, `~` the
 * congestion window, `.` a call of the program. What follows `//` is why a segment was sent, where
 * that is not plain from the segment itself.
 */
#include "trace.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "abi.h"
#include "addr.h"
#include "check.h"
#include "tcp.h"

void text_put(struct text *t, const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    int n = vsnprintf(t->p + t->len, t->max - t->len, format, args);
    __builtin_va_end(args);
    if (n > 0) {
        t->len = min_size(t->len + (size_t)n, t->max - 1);
    }
}

static const char *name_in(const char *const *table, size_t n, unsigned i)
{
    return i < n && table[i] ? table[i] : "?";
}

static const char *proto_name(uint8_t proto)
{
    switch (proto) {
    case LX_IPPROTO_TCP:
        return "tcp";
    case LX_IPPROTO_UDP:
        return "udp";
    case LX_IPPROTO_ICMP:
    case LX_IPPROTO_ICMPV6:
        return "icmp";
    default:
        return "ip";
    }
}

char *trace_flags(uint16_t flags, char buf[12])
{
    static const struct {
        uint16_t bit;
        char letter;
    } letters[] = {{0x02, 'S'}, {0x01, 'F'}, {0x04, 'R'}, {0x08, 'P'}, {0x10, '.'},
                   {0x20, 'U'}, {0x40, 'E'}, {0x80, 'W'}, {0x100, 'A'}};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
        if (flags & letters[i].bit) {
            buf[n++] = letters[i].letter;
        }
    }
    if (n == 0) {
        buf[n++] = '-';
    }
    buf[n] = '\0';
    return buf;
}

/* Why it was sent says nothing new when the segment shows it. */
static bool is_plain(uint8_t why)
{
    return why == TX_NONE || why == TX_DATA || why == TX_ACK || why == TX_SYN || why == TX_SYNACK ||
           why == TX_FIN || why == TX_RST;
}

static void put_syn_options(struct text *t, const struct event *ev)
{
    const char *sep = " <";
    size_t before = t->len;
    if (ev->u.seg.syn.mss) {
        text_put(t, "%smss %u", sep, ev->u.seg.syn.mss);
        sep = ",";
    }
    if (ev->u.seg.syn.opts & SEG_SYN_SACK) {
        text_put(t, "%ssackOK", sep);
        sep = ",";
    }
    if (ev->u.seg.syn.opts & SEG_SYN_TS) {
        text_put(t, "%sTS", sep);
        sep = ",";
    }
    if (ev->u.seg.syn.opts & SEG_SYN_WSCALE) {
        text_put(t, "%swscale %u", sep, ev->u.seg.syn.wscale);
    }
    if (t->len != before) {
        text_put(t, ">");
    }
}

static void put_segment(struct text *t, const struct event *ev)
{
    char flags[12];
    bool out = ev->kind == EV_SEG_OUT;
    uint32_t from = ev->u.seg.seq;
    text_put(t, "%c %s %u:%u(%u)", out ? '>' : '<', trace_flags(ev->u.seg.flags, flags), from,
             from + ev->u.seg.len, ev->u.seg.len);
    if (ev->u.seg.flags & 0x10) {
        text_put(t, " ack %u", ev->u.seg.ack);
    }
    text_put(t, " win %u", ev->u.seg.wnd);
    if (ev->u.seg.flags & 0x02) {
        put_syn_options(t, ev);
    }
    if (out && !is_plain(ev->why)) {
        text_put(t, "  // %s", tx_reason_text(ev->why));
    }
}

static const char *state_text(uint8_t s)
{
    return s < TCP_STATES ? tcp_state_name((enum tcp_state)s) : "?";
}

static void put_state(struct text *t, const struct event *ev)
{
    const int func_max = (int)sizeof ev->u.state.func;
    size_t start = t->len;
    text_put(t, "= %s -> %s", state_text(ev->u.state.from), state_text(ev->u.state.to));
    text_put(t, "%*s%.*s:%u", (int)(start + 31 > t->len ? start + 31 - t->len : 1), "", func_max,
             ev->u.state.func, ev->u.state.line);
}

static void put_timer(struct text *t, const struct event *ev)
{
    const char *name = event_timer_name(ev->u.timer.timer);
    if (ev->u.timer.act == EVT_SET) {
        text_put(t, "* %s set, %.6f s", name,
                 ((double)ev->u.timer.at - (double)ev->at) / (double)SEC);
    } else {
        text_put(t, "* %s %s", name, ev->u.timer.act == EVT_FIRED ? "fired" : "cancelled");
    }
}

static void put_endpoint(struct text *t, const struct event *ev)
{
    struct addr a;
    char host[ADDR_TEXT_MAX];
    memcpy(&a, ev->u.call.addr, sizeof a);
    addr_text(&a, host);
    text_put(t, addr_is4(&a) ? "%s:%u" : "[%s]:%u", host, ev->u.call.arg2);
}

/* What the call was given: what core knows of it. */
static void put_option(struct text *t, unsigned level, unsigned option)
{
    const char *name = event_option_name(level, option);
    if (name) {
        text_put(t, "%s", name);
    } else {
        text_put(t, "level %u, option %u", level, option);
    }
}

static void put_args(struct text *t, const struct event *ev)
{
    switch (ev->u.call.call) {
    case EVC_SOCKET:
        text_put(t, "%s, %s", ev->u.call.arg == LX_AF_INET6 ? "AF_INET6" : "AF_INET",
                 ev->u.call.arg2 == LX_SOCK_STREAM ? "SOCK_STREAM" : "SOCK_DGRAM");
        break;
    case EVC_BIND:
    case EVC_CONNECT:
        put_endpoint(t, ev);
        break;
    case EVC_LISTEN:
    case EVC_SHUTDOWN:
        text_put(t, "%d", (int)ev->u.call.arg);
        break;
    case EVC_SEND:
    case EVC_RECV:
        text_put(t, "..., %llu", (unsigned long long)ev->u.call.arg);
        break;
    case EVC_SETSOCKOPT:
    case EVC_GETSOCKOPT:
        put_option(t, ev->u.call.arg2, (unsigned)ev->u.call.arg);
        break;
    default:
        break;
    }
}

static void put_call(struct text *t, const struct event *ev)
{
    char args[TRACE_LINE_MAX];
    struct text a = {.p = args, .max = sizeof args};
    args[0] = 0;
    put_args(&a, ev);
    text_put(t, ". %s(", event_call_name(ev->u.call.call));
    if (ev->u.call.fd >= 0 && ev->u.call.call != EVC_SOCKET) {
        text_put(t, "%d%s", ev->u.call.fd, a.len ? ", " : "");
    }
    text_put(t, "%s)", args);
    if (ev->why == CALL_WAITS) {
        text_put(t, " waits");
        return;
    }
    text_put(t, " = %lld", (long long)ev->u.call.ret);
    if (ev->u.call.err > 0) {
        text_put(t, " %s (%s)", err_name(ev->u.call.err), err_text(ev->u.call.err));
    }
}

static void put_cwnd(struct text *t, const struct event *ev)
{
    static const char *const names[] = {"Open", "Disorder", "CWR", "Recovery", "Loss"};
    text_put(t, "~ cwnd %u", ev->u.cwnd.cwnd);
    if (ev->u.cwnd.ssthresh < INT32_MAX) {
        text_put(t, " ssthresh %u", ev->u.cwnd.ssthresh);
    }
    text_put(t, " inflight %u %s", ev->u.cwnd.inflight,
             name_in(names, ARRAY_LEN(names), ev->u.cwnd.ca_state));
    if (ev->why == CWND_UNDO) {
        text_put(t, "  // the loss was none");
    } else if (ev->why == CWND_IDLE) {
        text_put(t, "  // not used lately");
    }
}

static void put_dgram(struct text *t, const struct event *ev)
{
    bool out = ev->kind == EV_DGRAM_OUT;
    text_put(t, "%c %s %u > %u (%u)", out ? '>' : '<', proto_name(ev->proto),
             out ? ev->lport : ev->rport, out ? ev->rport : ev->lport, ev->u.pkt.len);
}

static const char *icmp_name(bool v6, uint8_t type)
{
    static const char *const v4[] = {[0] = "echo_reply",
                                     [3] = "unreachable",
                                     [8] = "echo_request",
                                     [11] = "time_exceeded",
                                     [12] = "parameter_problem"};
    static const char *const err6[] = {[1] = "unreachable",
                                       [2] = "packet_too_big",
                                       [3] = "time_exceeded",
                                       [4] = "parameter_problem"};
    if (!v6) {
        return name_in(v4, ARRAY_LEN(v4), type);
    }
    return type == 128   ? "echo_request"
           : type == 129 ? "echo_reply"
                         : name_in(err6, ARRAY_LEN(err6), type);
}

static void put_icmp(struct text *t, const struct event *ev)
{
    bool v6 = ev->proto == LX_IPPROTO_ICMPV6;
    uint8_t type = ev->u.icmp.type;
    bool too_big = v6 ? type == 2 : type == 3 && ev->u.icmp.code == 4;
    text_put(t, "%c icmp %s code %u", ev->kind == EV_ICMP_OUT ? '>' : '<', icmp_name(v6, type),
             ev->u.icmp.code);
    if (too_big) {
        text_put(t, " mtu %u", v6 ? ev->u.icmp.info : ev->u.icmp.info & 0xffff);
    }
    text_put(t, " (%u)", ev->u.icmp.len);
}

static void put_impair(struct text *t, const struct event *ev)
{
    text_put(t, "! rule %u: %s, %s (%u)", ev->u.impair.rule, ev->u.impair.out ? "out" : "in",
             impair_text(ev->why), ev->u.impair.len);
    if (ev->u.impair.delay) {
        text_put(t, " for %.6f s", (double)ev->u.impair.delay / (double)SEC);
    }
}

static void put_event(struct text *t, const struct event *ev)
{
    switch (ev->kind) {
    case EV_SEG_OUT:
    case EV_SEG_IN:
        put_segment(t, ev);
        break;
    case EV_DROP:
        text_put(t, "! %s: %s (%u)", proto_name(ev->proto), drop_text((enum drop)ev->why),
                 ev->u.pkt.len);
        break;
    case EV_STATE:
        put_state(t, ev);
        break;
    case EV_TIMER:
        put_timer(t, ev);
        break;
    case EV_CALL:
        put_call(t, ev);
        break;
    case EV_CWND:
        put_cwnd(t, ev);
        break;
    case EV_DGRAM_IN:
    case EV_DGRAM_OUT:
        put_dgram(t, ev);
        break;
    case EV_ICMP_IN:
    case EV_ICMP_OUT:
        put_icmp(t, ev);
        break;
    case EV_MEMBER:
        text_put(t, ". process %u %s", ev->u.member.pid, ev->u.member.joined ? "joined" : "left");
        break;
    case EV_IMPAIR:
        put_impair(t, ev);
        break;
    case EV_INFO:
        text_put(t, "~ cwnd %u inflight %u srtt %u us rto %u us, %u sent again", ev->u.info.cwnd,
                 ev->u.info.unacked, ev->u.info.srtt_us, ev->u.info.rto_us, ev->u.info.retrans);
        break;
    case EV_RECOVER:
        text_put(t, "! a process died inside the stack: recovered");
        break;
    default:
        text_put(t, "? record of kind %u", ev->kind);
    }
}

char *trace_text(const struct event *ev, char buf[TRACE_LINE_MAX])
{
    struct text t = {.p = buf, .max = TRACE_LINE_MAX};
    text_put(&t, "%u ", ev->sock_id);
    put_event(&t, ev);
    return buf;
}

char *trace_line(const struct event *ev, nsec t0, char buf[TRACE_LINE_MAX])
{
    struct text t = {.p = buf, .max = TRACE_LINE_MAX};
    int64_t us = ev->at > t0 ? (int64_t)((uint64_t)ev->at - (uint64_t)t0) / USEC : 0;
    text_put(&t, "[%3lld.%06lld] %u ", (long long)(us / 1000000), (long long)(us % 1000000),
             ev->sock_id);
    put_event(&t, ev);
    return buf;
}
