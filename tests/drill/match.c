#include "match.h"

#include <string.h>

#include "core/rdwr.h"
#include "opt.h"

static bool differ(struct str *err, const char *what, uint32_t want, uint32_t got)
{
    if (want == got) {
        return false;
    }
    str_add(err, "wrong %s: expected %u, got %u", what, want, got);
    return true;
}

static bool flags_differ(const struct spec *want, const struct spec *got, struct str *err)
{
    if (want->flags == got->flags) {
        return false;
    }
    str_add(err, "wrong flags: expected ");
    spec_flags_print(want->flags, want->ace, err);
    str_add(err, ", got ");
    spec_flags_print(got->flags, want->ace, err);
    return true;
}

static uint32_t word(const uint8_t *p)
{
    struct rd r = rd_of(p, 4);
    return rd_u32(&r);
}

static bool ts_differ(const struct opt *want, const struct opt *got,
                      const struct match_rules *rules, struct str *err)
{
    if (rules->ts_tick_us == 0) {
        return false;
    }
    int32_t off = (int32_t)(word(got->data) - word(want->data));
    uint32_t dist = (uint32_t)(off < 0 ? -off : off);
    if (dist <= rules->ts_tolerance) {
        return false;
    }
    return differ(err, "timestamp", word(want->data), word(got->data));
}

static bool option_differs(const struct opt *want, const struct opt *got,
                           const struct match_rules *rules, struct str *err)
{
    if (want->kind != got->kind || want->len != got->len) {
        str_add(err, "wrong options: expected kind %u of %u bytes, got kind %u of %u bytes",
                want->kind, want->len, got->kind, got->len);
        return true;
    }
    if (want->kind == OPT_TS && want->len == 10) {
        return ts_differ(want, got, rules, err);
    }
    if (want->len > 2 && memcmp(want->data, got->data, want->len - 2u) != 0) {
        str_add(err, "wrong option: expected ");
        opt_print(want, err);
        str_add(err, ", got ");
        opt_print(got, err);
        return true;
    }
    return false;
}

static bool options_differ(const struct spec *want, const struct spec *got,
                           const struct match_rules *rules, struct str *err)
{
    struct opt a, b;
    unsigned at = 0, bt = 0;
    if (want->opts.any) {
        return false;
    }
    for (;;) {
        bool more_a = opts_next(&want->opts, &at, &a);
        bool more_b = opts_next(&got->opts, &bt, &b);
        if (!more_a && !more_b) {
            return false;
        }
        if (more_a != more_b) {
            str_add(err, "wrong options: expected %u bytes, got %u", want->opts.n, got->opts.n);
            return true;
        }
        if (option_differs(&a, &b, rules, err)) {
            return true;
        }
    }
}

static bool tcp_differs(const struct spec *want, const struct spec *got, const struct wire *w,
                        const struct match_rules *rules, struct str *err)
{
    return flags_differ(want, got, err) || differ(err, "sequence number", want->seq, got->seq) ||
           differ(err, "payload length", want->len, got->len) ||
           differ(err, "acknowledgment number", want->have_ack ? want->ack : 0,
                  got->flags & F_ACK ? got->ack : w->ack) ||
           (want->have_win && differ(err, "window", want->win, got->win)) ||
           differ(err, "urgent pointer", want->urg, got->urg) ||
           differ(err, "reserved bits", 0, w->reserved) || options_differ(want, got, rules, err);
}

static bool icmp_differs(const struct spec *want, const struct spec *got, struct str *err)
{
    const struct icmp_spec *a = &want->icmp, *b = &got->icmp;
    return differ(err, "ICMP type", a->type, b->type) ||
           differ(err, "ICMP code", a->code, b->code) ||
           (a->have_mtu && differ(err, "ICMP MTU", a->mtu, b->mtu)) ||
           (a->have_id && differ(err, "ICMP id", a->id, b->id)) ||
           (a->quote != QUOTE_NONE &&
            (differ(err, "quoted packet", (uint32_t)a->quote, (uint32_t)b->quote) ||
             differ(err, "quoted sequence number", a->seq, b->seq) ||
             differ(err, "quoted length", a->len, b->len)));
}

static bool ip_differs(const struct spec *want, const struct wire *w, struct str *err)
{
    const struct ip_info *ip = &want->ip;
    if (ip->tos_check == TOS_ECN && differ(err, "ECN bits", ip->tos, w->tos & 3u)) {
        return true;
    }
    if (ip->tos_check == TOS_ECT01 && (w->tos & 3) != 1 && (w->tos & 3) != 2) {
        return differ(err, "ECN bits (1 or 2)", 2, w->tos & 3u);
    }
    if (ip->tos_check == TOS_BYTE && differ(err, "tos", ip->tos, w->tos)) {
        return true;
    }
    if (ip->have_ttl && differ(err, "ttl", ip->ttl, w->ttl)) {
        return true;
    }
    /* A flow label in a script is not a value but a name for one; that there is one is what can
     * be said. */
    return ip->have_flow && w->v6 && (ip->flow == 0) != (w->flow == 0) &&
           differ(err, "flow label", ip->flow, w->flow);
}

/* What a line does not say of a packet is not shown either, so that both lines can be compared by
 * eye. */
static void complete(const struct spec *want, struct spec *got, const struct wire *w)
{
    got->ace = want->ace;
    got->ip = want->ip;
    if (want->ip.tos_check == TOS_ECT01 || want->ip.tos_check == TOS_ECN) {
        got->ip.tos_check = TOS_ECN;
        got->ip.tos = w->tos & 3;
    } else if (want->ip.tos_check == TOS_BYTE) {
        got->ip.tos = w->tos;
    }
    got->ip.ttl = w->ttl;
    got->ip.flow = w->flow;
    if (want->sport || want->dport) {
        got->sport = w->sport;
        got->dport = w->dport;
    }
    if (!want->icmp.have_id) {
        got->icmp.have_id = false;
    }
}

static bool zeroes(const struct wire *w, struct str *err)
{
    for (size_t i = 0; i < w->payload_len; i++) {
        if (w->payload[i]) {
            str_add(err, "payload byte %zu is %02x, not zero", i, w->payload[i]);
            return false;
        }
    }
    return true;
}

static const char *proto_name(enum spec_proto p)
{
    return p == SPEC_TCP ? "TCP" : p == SPEC_UDP ? "UDP" : "ICMP";
}

bool match(const struct spec *want, struct spec *got, const struct wire *w,
           const struct match_rules *rules, struct str *err)
{
    complete(want, got, w);
    if (want->proto != got->proto) {
        str_add(err, "wrong protocol: expected %s, got %s", proto_name(want->proto),
                proto_name(got->proto));
        return false;
    }
    if (rules->ports && want->proto != SPEC_ICMP &&
        ((want->sport && differ(err, "source port", want->sport, w->sport)) ||
         (want->dport && differ(err, "destination port", want->dport, w->dport)))) {
        return false;
    }
    switch (want->proto) {
    case SPEC_TCP:
        if (tcp_differs(want, got, w, rules, err)) {
            return false;
        }
        break;
    case SPEC_UDP:
        if (differ(err, "payload length", want->len, got->len)) {
            return false;
        }
        break;
    case SPEC_ICMP:
        if (icmp_differs(want, got, err)) {
            return false;
        }
        break;
    }
    return !ip_differs(want, w, err) && (want->proto == SPEC_ICMP || zeroes(w, err));
}

bool match_glue(struct spec *sum, const struct spec *next, struct str *err)
{
    const uint16_t last = F_FIN | F_PSH | F_CWR;
    if (next->proto != SPEC_TCP || sum->proto != SPEC_TCP) {
        str_add(err, "the payload goes on in something that is not TCP");
        return false;
    }
    if (((sum->flags ^ next->flags) & ~(unsigned)last) != 0) {
        str_add(err, "the payload goes on in a segment with other flags");
        return false;
    }
    if (sum->seq + sum->len != next->seq) {
        str_add(err, "the payload goes on at %u, not at %u", next->seq, sum->seq + sum->len);
        return false;
    }
    if (sum->ack != next->ack || sum->win != next->win || sum->urg != next->urg) {
        str_add(err, "the payload goes on in a segment with another ack, win or urg");
        return false;
    }
    sum->len += next->len;
    sum->flags = (uint16_t)((sum->flags & ~(unsigned)last) | (next->flags & last));
    sum->opts = next->opts;
    return true;
}
