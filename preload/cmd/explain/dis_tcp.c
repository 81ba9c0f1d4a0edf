/* Purpose: the TCP header (RFC 9293 3.1), its nine flags and its options, field by field. */
#include <stdio.h>
#include <string.h>

#include "dissect.h"
#include "proto.h"

static const struct {
    uint16_t bit; /* in the flags */
    const char *key;
    enum text_id name, set;
} flags[] = {
    {TCP_AE, "tcp.flags.ae", TEXT_FLAG_AE, TEXT_FLAG_AE_SET},
    {TCP_CWR, "tcp.flags.cwr", TEXT_FLAG_CWR, TEXT_FLAG_CWR_SET},
    {TCP_ECE, "tcp.flags.ece", TEXT_FLAG_ECE, TEXT_FLAG_ECE_SET},
    {TCP_URG, "tcp.flags.urg", TEXT_FLAG_URG, TEXT_FLAG_URG_SET},
    {TCP_ACK, "tcp.flags.ack", TEXT_FLAG_ACK, TEXT_FLAG_ACK_SET},
    {TCP_PSH, "tcp.flags.push", TEXT_FLAG_PSH, TEXT_FLAG_PSH_SET},
    {TCP_RST, "tcp.flags.reset", TEXT_FLAG_RST, TEXT_FLAG_RST_SET},
    {TCP_SYN, "tcp.flags.syn", TEXT_FLAG_SYN, TEXT_FLAG_SYN_SET},
    {TCP_FIN, "tcp.flags.fin", TEXT_FLAG_FIN, TEXT_FLAG_FIN_SET},
};

static void flag_fields(const struct cut *c, struct tcp_facts *t)
{
    t->flags = (uint16_t)cut_bits(c, 103, 9);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct field *f = field_add(c, 103 + i, 1, flags[i].key, flags[i].name);
        if (f->value) {
            field_mean(f, flags[i].set);
        }
    }
}

/* ---- options; at: of the kind byte, len: with kind and length */

static void opt_mss(const struct cut *c, size_t at, struct tcp_facts *t)
{
    struct field *f = field_add(c, at * 8 + 16, 16, "tcp.options.mss_val", TEXT_OPT_MSS);
    t->has_mss = true;
    t->mss = (uint16_t)f->value;
    field_mean(f, TEXT_OPT_MSS_MEAN, (unsigned)f->value);
}

static void opt_wscale(const struct cut *c, size_t at, struct tcp_facts *t)
{
    struct field *f = field_add(c, at * 8 + 16, 8, "tcp.options.wscale.shift", TEXT_OPT_WSCALE);
    unsigned shift = f->value > 14 ? 14 : (unsigned)f->value; /* RFC 7323 2.3 */
    t->has_wscale = true;
    t->wscale = (uint8_t)shift;
    field_mean(f, TEXT_OPT_WSCALE_MEAN, 1u << shift, shift);
}

static void opt_sack(const struct cut *c, size_t at, size_t len, struct tcp_facts *t)
{
    for (size_t k = 0; 2 + 8 * (k + 1) <= len && k < 4; k++) {
        struct field *f = field_add(c, (at + 2 + 8 * k) * 8, 64, "tcp.options.sack", TEXT_OPT_SACK);
        uint32_t from = (uint32_t)(f->value >> 32);
        uint32_t to = (uint32_t)f->value;
        t->sack[t->nsack][0] = from;
        t->sack[t->nsack++][1] = to;
        field_show(f, "%u-%u", from, to);
        field_mean(f, TEXT_OPT_SACK_MEAN, to - from);
    }
}

static void opt_ts(const struct cut *c, size_t at, struct tcp_facts *t)
{
    struct field *f = field_add(c, at * 8 + 16, 32, "tcp.options.timestamp.tsval", TEXT_OPT_TSVAL);
    t->has_ts = true;
    t->ts_val = (uint32_t)f->value;
    field_mean(f, TEXT_OPT_TSVAL_MEAN);
    f = field_add(c, at * 8 + 48, 32, "tcp.options.timestamp.tsecr", TEXT_OPT_TSECR);
    t->ts_ecr = (uint32_t)f->value;
    field_mean(f, t->ts_ecr || t->flags & TCP_ACK ? TEXT_OPT_TSECR_MEAN : TEXT_OPT_TSECR_NONE);
}

/* RFC 9768 3.2.3: one to three counters of three octets, in the order that the kind says. */
static void opt_accecn(const struct cut *c, size_t at, size_t len, unsigned kind)
{
    static const struct {
        const char *key;
        enum text_id name, mean;
    } order0[3] = {{"tcp.options.acc_ecn.ee0b", TEXT_OPT_EE0B, TEXT_OPT_ECT_MEAN},
                   {"tcp.options.acc_ecn.eceb", TEXT_OPT_ECEB, TEXT_OPT_CE_MEAN},
                   {"tcp.options.acc_ecn.ee1b", TEXT_OPT_EE1B, TEXT_OPT_ECT_MEAN}};

    for (size_t i = 0; i < 3 && 2 + 3 * (i + 1) <= len; i++) {
        size_t which = kind == 172 ? i : 2 - i;
        struct field *f =
            field_add(c, (at + 2 + 3 * i) * 8, 24, order0[which].key, order0[which].name);
        field_mean(f, order0[which].mean);
    }
}

static void opt_other(const struct cut *c, size_t at, size_t len, unsigned kind)
{
    static const struct {
        uint8_t kind;
        enum text_id name;
    } known[] = {{19, TEXT_OPT_MD5},      {28, TEXT_OPT_UTO},      {29, TEXT_OPT_AO},
                 {30, TEXT_OPT_MPTCP},    {34, TEXT_OPT_FASTOPEN}, {172, TEXT_OPT_ACCECN0},
                 {174, TEXT_OPT_ACCECN1}, {254, TEXT_OPT_EXP}};
    struct field *f = field_add(c, at * 8, len * 8, "tcp.option_kind", TEXT_OPT);
    f->value = kind;
    field_show(f, "%u", kind);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].kind == kind) {
            field_mean(f, known[i].name);
            return;
        }
    }
    field_mean(f, TEXT_OPT_UNKNOWN, kind);
}

static void one_option(const struct cut *c, size_t at, size_t len, unsigned kind,
                       struct tcp_facts *t)
{
    if (kind == 2 && len == 4) {
        opt_mss(c, at, t);
    } else if (kind == 3 && len == 3) {
        opt_wscale(c, at, t);
    } else if (kind == 4 && len == 2) {
        struct field *f = field_add(c, at * 8, 16, "tcp.options.sack_perm", TEXT_OPT_SACKOK);
        t->has_sack_ok = true;
        field_show(f, "%s", "");
        field_mean(f, TEXT_OPT_SACKOK_MEAN);
    } else if (kind == 5 && len >= 10 && (len - 2) % 8 == 0) {
        opt_sack(c, at, len, t);
    } else if (kind == 8 && len == 10) {
        opt_ts(c, at, t);
    } else if ((kind == 172 || kind == 174) && len >= 5) {
        opt_accecn(c, at, len, kind);
    } else {
        opt_other(c, at, len, kind);
    }
}

/* RFC 9293 3.2. False: not all of them could be read. */
static bool options(const struct cut *c, size_t header, struct tcp_facts *t)
{
    size_t at = 20;

    while (at < header && cut_has(c, at + 1)) {
        unsigned kind = (unsigned)cut_bits(c, at * 8, 8);
        if (kind <= 1) {
            struct field *f = field_add(c, at * 8, 8, kind ? "tcp.options.nop" : "tcp.options.eol",
                                        kind ? TEXT_OPT_NOP : TEXT_OPT_EOL);
            field_mean(f, kind ? TEXT_OPT_NOP_MEAN : TEXT_OPT_EOL_MEAN);
            at++;
            if (kind == 0) {
                return true; /* what follows is padding */
            }
            continue;
        }
        size_t len = (size_t)cut_bits(c, at * 8 + 8, 8);
        if (at + 2 > header || len < 2 || at + len > header) {
            note_add(c->d, TEXT_NOTE_OPTION_LENGTH, kind, (unsigned)len);
            return false;
        }
        one_option(c, at, len, kind, t);
        at += len;
    }
    return true;
}

/* ---- the fixed part */

/* The field of the acknowledgment number: what it means is known when the flags are. */
static struct field *numbers(const struct cut *c, struct tcp_facts *t)
{
    struct field *f = field_add(c, 0, 16, "tcp.srcport", TEXT_SOURCE_PORT);
    t->sport = (uint16_t)f->value;
    f = field_add(c, 16, 16, "tcp.dstport", TEXT_DESTINATION_PORT);
    t->dport = (uint16_t)f->value;
    f = field_add(c, 32, 32, "tcp.seq_raw", TEXT_SEQ);
    t->seq = (uint32_t)f->value;
    field_mean(f, TEXT_SEQ_MEAN);
    f = field_add(c, 64, 32, "tcp.ack_raw", TEXT_ACK);
    t->ack = (uint32_t)f->value;
    return f;
}

static void checksum(const struct cut *c, size_t wire)
{
    struct dissection *d = c->d;
    struct field *f = field_add(c, 128, 16, "tcp.checksum", TEXT_CHECKSUM);
    size_t there = c->end - c->at;
    size_t header = d->layer[d->nlayers - 1].len;

    field_show(f, "0x%04x", (unsigned)f->value);
    struct checksum *s = sum_add(d, "tcp.checksum", TEXT_SUM_TCP, (uint16_t)f->value);
    sum_pseudo(s, d, PROTO_TCP, wire);
    sum_part(s, TEXT_SUM_HEADER, d->p + c->at, header, 16);
    sum_part(s, TEXT_DATA, d->p + c->at + header, there - header, SIZE_MAX);
    sum_close(s, there < wire);
}

void dis_tcp(struct dissection *d, size_t at, size_t end, size_t wire)
{
    struct cut c = {d, at, end};
    struct tcp_facts *t = &d->tcp;

    layer_add(d, LAYER_TCP, TEXT_TCP, at, end - at < 20 ? end - at : 20);
    if (!cut_has(&c, 20)) {
        note_add(d, TEXT_NOTE_CUT, "TCP", (unsigned)(end - at), 20u);
        return;
    }
    t->present = true;
    struct field *ack = numbers(&c, t);
    struct field *f = field_add(&c, 96, 4, "tcp.hdr_len", TEXT_DATA_OFFSET);
    size_t header = f->value * 4;
    f->value = header;
    field_mean(f, TEXT_IHL_MEAN, (unsigned)(header / 4), (unsigned)header);
    field_add(&c, 100, 3, "tcp.flags.res", TEXT_RESERVED);
    flag_fields(&c, t);
    if (t->flags & TCP_ACK) {
        field_mean(ack, TEXT_ACK_MEAN);
    }
    t->whole = header >= 20 && cut_has(&c, header);
    if (!t->whole) {
        note_add(d, header < 20 ? TEXT_NOTE_HEADER_LENGTH : TEXT_NOTE_CUT_OPTIONS,
                 (unsigned)header);
        header = header < 20 ? 20 : end - at;
    }
    d->layer[d->nlayers - 1].len = header;
    t->len = wire > header ? (uint32_t)(wire - header) : 0;
    f = field_add(&c, 112, 16, "tcp.window_size_value", TEXT_WINDOW);
    t->window = (uint16_t)f->value;
    field_mean(f, t->flags & TCP_SYN ? TEXT_WINDOW_SYN : TEXT_WINDOW_MEAN, (unsigned)f->value);
    checksum(&c, wire);
    f = field_add(&c, 144, 16, "tcp.urgent_pointer", TEXT_URGENT);
    t->urgent = (uint16_t)f->value;
    field_mean(f, t->flags & TCP_URG ? TEXT_URGENT_MEAN : TEXT_URGENT_NONE, (unsigned)f->value);
    if (t->whole) {
        t->whole = options(&c, header, t);
    }
    d->sport = t->sport;
    d->dport = t->dport;
    dis_data(d, at + header, end);
}
