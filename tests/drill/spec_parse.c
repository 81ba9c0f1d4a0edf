/*
 * A packet's line:
 *
 *   '<' | '>'  [ipv4 A > B: | ipv6 A > B:]  [ip_info]  what
 *   ip_info    in () or []: noecn ect0 ect1 ce ect01 | tos 0xNN | flowlabel 0xN | ttl N,
 *              more than one with commas
 *   what       [sport > dport] FLAGS seq:end(len) [ack N] [win N] [urg N] [<options>]
 *            | udp [sport > dport] (len)
 *            | icmp type [code] [mtu N] [id N] [quote]
 *   quote      '[' seq:end(len) ']' | '[' udp (len) ']' | '[' raw (len) ']'
 */
#include <ctype.h>
#include <string.h>

#include "opt.h"
#include "spec.h"

bool spec_flags_parse(const char *text, uint16_t *flags, bool *ace)
{
    static const char letters[] = "FSRP.UEWA";
    *flags = 0;
    *ace = false;
    if (strcmp(text, "-") == 0) {
        return true;
    }
    if (!*text) {
        return false;
    }
    for (const char *p = text; *p; p++) {
        if (*p >= '0' && *p <= '7' && !*ace) {
            unsigned v = (unsigned)(*p - '0');
            *ace = true;
            *flags =
                (uint16_t)(*flags | (v & 1 ? F_ECE : 0) | (v & 2 ? F_CWR : 0) | (v & 4 ? F_AE : 0));
            continue;
        }
        const char *at = strchr(letters, *p);
        if (!at || (*ace && strchr("EWA", *p))) {
            return false;
        }
        *flags = (uint16_t)(*flags | 1u << (at - letters));
    }
    return true;
}

static bool ecn_parse(struct lex *l, struct ip_info *ip)
{
    static const struct {
        const char *word;
        enum tos_check check;
        uint8_t tos;
    } ecn[] = {{"noecn", TOS_ECN, 0},
               {"ect1", TOS_ECN, 1},
               {"ect0", TOS_ECN, 2},
               {"ce", TOS_ECN, 3},
               {"ect01", TOS_ECT01, 0}};
    for (size_t i = 0; i < sizeof ecn / sizeof ecn[0]; i++) {
        if (lex_take_word(l, ecn[i].word)) {
            ip->tos_check = ecn[i].check;
            ip->tos = ecn[i].tos;
            return true;
        }
    }
    return false;
}

static void ip_info_parse(struct lex *l, struct spec *s)
{
    char close = lex_is(l, '(') ? ')' : ']';
    lex_next(l);
    do {
        if (ecn_parse(l, &s->ip)) {
            continue;
        }
        if (lex_take_word(l, "tos")) {
            s->ip.tos_check = TOS_BYTE;
            s->ip.tos = (uint8_t)lex_int(l, "tos", 0, 255);
        } else if (lex_take_word(l, "flowlabel")) {
            s->ip.have_flow = true;
            s->ip.flow = (uint32_t)lex_int(l, "flow label", 0, 0xfffff);
        } else if (lex_take_word(l, "ttl")) {
            s->ip.have_ttl = true;
            s->ip.ttl = (uint8_t)lex_int(l, "ttl", 0, 255);
        } else {
            lex_fail(l, "expected ECN, tos, flowlabel or ttl");
        }
    } while (lex_take(l, ','));
    if (s->ip.tos_check == TOS_ECT01 && s->dir == DIR_IN) {
        lex_fail(l, "ect01 is for expected packets only");
    }
    lex_expect(l, close);
}

static void address_parse(struct lex *l, struct addr *out, bool last)
{
    const char *raw = lex_raw(l, ">");
    struct str text = {0};
    size_t n = strlen(raw);
    if (last && n && raw[n - 1] == ':') {
        n--;
    }
    str_add(&text, "%.*s", (int)n, raw);
    if (!l->bad && !addr_parse(str_text(&text), out)) {
        lex_fail(l, "not an address: %s", raw);
    }
    str_free(&text);
}

/* Another IP header around the packet. */
static void outer_parse(struct lex *l, struct spec *s)
{
    if (s->dir == DIR_OUT) {
        lex_fail(l, "an expected packet cannot be wrapped");
        return;
    }
    lex_next(l);
    s->outer = true;
    address_parse(l, &s->outer_src, false);
    lex_expect(l, '>');
    address_parse(l, &s->outer_dst, true);
    lex_take(l, ':');
}

/* Whether "sport >" comes next. */
static bool ports_ahead(const struct lex *l)
{
    if (l->tok.kind != TOK_INT) {
        return false;
    }
    const char *p = l->text + l->tok.end;
    while (isspace((unsigned char)*p)) {
        p++;
    }
    return *p == '>';
}

static void ports_parse(struct lex *l, struct spec *s)
{
    if (!ports_ahead(l)) {
        return;
    }
    s->sport = (uint16_t)lex_int(l, "port", 0, UINT16_MAX);
    lex_expect(l, '>');
    s->dport = (uint16_t)lex_int(l, "port", 0, UINT16_MAX);
}

static void seq_parse(struct lex *l, uint32_t *seq, uint32_t *len)
{
    *seq = (uint32_t)lex_int(l, "sequence number", 0, UINT32_MAX);
    lex_expect(l, ':');
    uint32_t end = (uint32_t)lex_int(l, "sequence number", 0, UINT32_MAX);
    lex_expect(l, '(');
    *len = (uint32_t)lex_int(l, "payload length", 0, UINT16_MAX);
    if (!l->bad && *seq + *len != end) {
        lex_fail(l, "%u:%u(%u): the end is not the beginning plus the length", *seq, end, *len);
    }
    lex_expect(l, ')');
}

static void tcp_parse(struct lex *l, struct spec *s)
{
    s->proto = SPEC_TCP;
    ports_parse(l, s);
    const char *flags = lex_raw(l, "");
    if (!l->bad && !spec_flags_parse(flags, &s->flags, &s->ace)) {
        lex_fail(l, "not TCP flags: '%s'", flags);
    }
    seq_parse(l, &s->seq, &s->len);
    if (lex_take_word(l, "ack")) {
        s->have_ack = true;
        s->ack = (uint32_t)lex_int(l, "acknowledgment number", 0, UINT32_MAX);
    }
    if (lex_take_word(l, "win")) {
        s->have_win = true;
        s->win = (uint16_t)lex_int(l, "window", 0, UINT16_MAX);
    } else if (s->dir == DIR_IN && !l->bad) {
        lex_fail(l, "an inbound TCP packet needs a window");
    }
    if (lex_take_word(l, "urg")) {
        s->urg = (uint16_t)lex_int(l, "urgent pointer", 0, UINT16_MAX);
    }
    if (lex_is(l, '<')) {
        opts_parse(l, &s->opts);
    }
}

static void paren_len(struct lex *l, uint32_t *len)
{
    lex_expect(l, '(');
    *len = (uint32_t)lex_int(l, "payload length", 0, UINT16_MAX);
    lex_expect(l, ')');
}

static void udp_parse(struct lex *l, struct spec *s)
{
    s->proto = SPEC_UDP;
    ports_parse(l, s);
    paren_len(l, &s->len);
}

static void quote_parse(struct lex *l, struct icmp_spec *q)
{
    lex_expect(l, '[');
    if (lex_take_word(l, "udp")) {
        q->quote = QUOTE_UDP;
        paren_len(l, &q->len);
    } else if (lex_take_word(l, "raw")) {
        q->quote = QUOTE_RAW;
        paren_len(l, &q->len);
    } else {
        q->quote = QUOTE_TCP;
        seq_parse(l, &q->seq, &q->len);
    }
    lex_expect(l, ']');
}

static void icmp_parse(struct lex *l, struct spec *s)
{
    struct icmp_spec *m = &s->icmp;
    s->proto = SPEC_ICMP;
    if (l->tok.kind != TOK_WORD || !icmp_type_parse(l->tok.text, s->v6, &m->type)) {
        lex_fail(l, "not a type of ICMP%s: %s", s->v6 ? "v6" : "", l->tok.text);
    }
    lex_next(l);
    if (l->tok.kind == TOK_WORD && !lex_is_word(l, "mtu") && !lex_is_word(l, "id")) {
        if (!icmp_code_parse(l->tok.text, s->v6, m->type, &m->code)) {
            lex_fail(l, "not a code of that type: %s", l->tok.text);
        }
        lex_next(l);
    }
    if (lex_take_word(l, "mtu")) {
        m->have_mtu = true;
        m->mtu = (uint32_t)lex_int(l, "mtu", 0, s->v6 ? UINT32_MAX : UINT16_MAX);
    }
    if (lex_take_word(l, "id")) {
        m->have_id = true;
        m->id = (uint16_t)lex_int(l, "id", 0, UINT16_MAX);
    }
    if (lex_is(l, '[')) {
        quote_parse(l, m);
    }
}

void spec_parse(struct lex *l, struct spec *out, bool v6)
{
    *out = (struct spec){.v6 = v6, .dir = lex_is(l, '<') ? DIR_IN : DIR_OUT};
    lex_next(l);
    if (lex_is_word(l, "ipv4") || lex_is_word(l, "ipv6")) {
        outer_parse(l, out);
    }
    if (lex_is_word(l, "gre") || lex_is_word(l, "mpls")) {
        lex_fail(l, "%s headers are not done", l->tok.text);
    }
    if (lex_is(l, '(') || lex_is(l, '[')) {
        ip_info_parse(l, out);
    }
    if (lex_take_word(l, "udp")) {
        udp_parse(l, out);
    } else if (lex_take_word(l, "icmp")) {
        icmp_parse(l, out);
    } else {
        tcp_parse(l, out);
    }
}
