/*
 * A packet in the script's notation, in the one order that the parser accepts; parsing it again
 * gives the same packet.
 */
#include "opt.h"
#include "spec.h"

void spec_flags_print(uint16_t flags, bool ace, struct str *out)
{
    static const char letters[] = "FSRP.UEWA";
    size_t before = out->n;
    unsigned skip = F_ACK | (ace ? F_ECE | F_CWR | F_AE : 0u);
    for (unsigned i = 0; i < 9; i++) {
        if (flags & ~skip & 1u << i) {
            str_add(out, "%c", letters[i]);
        }
    }
    if (ace) {
        str_add(out, "%d",
                (flags & F_ECE ? 1 : 0) + (flags & F_CWR ? 2 : 0) + (flags & F_AE ? 4 : 0));
    }
    if (flags & F_ACK) {
        str_add(out, ".");
    }
    if (out->n == before) {
        str_add(out, "-");
    }
}

static void ip_info_print(const struct ip_info *ip, struct str *out)
{
    static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
    const char *sep = " [";
    if (ip->tos_check == TOS_ECN) {
        str_add(out, "%s%s", sep, ecn[ip->tos & 3]);
        sep = ",";
    } else if (ip->tos_check == TOS_ECT01) {
        str_add(out, "%sect01", sep);
        sep = ",";
    } else if (ip->tos_check == TOS_BYTE) {
        str_add(out, "%stos 0x%02x", sep, ip->tos);
        sep = ",";
    }
    if (ip->have_flow) {
        str_add(out, "%sflowlabel 0x%x", sep, ip->flow);
        sep = ",";
    }
    if (ip->have_ttl) {
        str_add(out, "%sttl %u", sep, ip->ttl);
        sep = ",";
    }
    if (*sep == ',') {
        str_add(out, "]");
    }
}

static void ports_print(const struct spec *s, struct str *out)
{
    if (s->sport || s->dport) {
        str_add(out, " %u > %u", s->sport, s->dport);
    }
}

static void seq_print(uint32_t seq, uint32_t len, struct str *out)
{
    str_add(out, "%u:%u(%u)", seq, seq + len, len);
}

static void tcp_print(const struct spec *s, struct str *out)
{
    ports_print(s, out);
    str_add(out, " ");
    spec_flags_print(s->flags, s->ace, out);
    str_add(out, " ");
    seq_print(s->seq, s->len, out);
    if (s->have_ack) {
        str_add(out, " ack %u", s->ack);
    }
    if (s->have_win) {
        str_add(out, " win %u", s->win);
    }
    if (s->urg) {
        str_add(out, " urg %u", s->urg);
    }
    opts_print(&s->opts, out);
}

static void icmp_print(const struct spec *s, struct str *out)
{
    const struct icmp_spec *m = &s->icmp;
    struct str code = {0};
    str_add(out, " icmp ");
    icmp_type_print(s->v6, m->type, out);
    icmp_code_print(s->v6, m->type, m->code, &code);
    if (m->code || str_text(&code)[0] != 'c') {
        str_add(out, " %s", str_text(&code));
    }
    str_free(&code);
    if (m->have_mtu) {
        str_add(out, " mtu %u", m->mtu);
    }
    if (m->have_id) {
        str_add(out, " id %u", m->id);
    }
    if (m->quote == QUOTE_TCP) {
        str_add(out, " [");
        seq_print(m->seq, m->len, out);
        str_add(out, "]");
    } else if (m->quote != QUOTE_NONE) {
        str_add(out, " [%s (%u)]", m->quote == QUOTE_UDP ? "udp" : "raw", m->len);
    }
}

void spec_print(const struct spec *s, struct str *out)
{
    char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
    str_add(out, "%c", s->dir == DIR_IN ? '<' : '>');
    if (s->outer) {
        str_add(out, " %s %s > %s:", addr_is4(&s->outer_src) ? "ipv4" : "ipv6",
                addr_text(&s->outer_src, src), addr_text(&s->outer_dst, dst));
    }
    ip_info_print(&s->ip, out);
    switch (s->proto) {
    case SPEC_TCP:
        tcp_print(s, out);
        break;
    case SPEC_UDP:
        str_add(out, " udp");
        ports_print(s, out);
        str_add(out, " (%u)", s->len);
        break;
    case SPEC_ICMP:
        icmp_print(s, out);
        break;
    }
}
