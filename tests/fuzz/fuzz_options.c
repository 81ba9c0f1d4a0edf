/*
 * fuzz_options.c - any bytes as a TCP segment: the parser reads nothing beyond them, what it
 * understands is in range, and what is built from it is understood the same.
 */
#include "tests/fuzz/fuzz.h"

static void judge(const struct tcp_seg *s, size_t size)
{
    CHECK(s->hdr_len >= TCP_HDR_MIN && s->hdr_len <= TCP_HDR_MAX);
    CHECK(s->hdr_len + s->len == size);
    CHECK(s->nsack <= TCP_SACK_MAX);
    CHECK(!s->has_wscale || s->wscale <= 14);
    CHECK(!s->accecn.here || s->accecn.n <= 3);
    if (!(s->flags & TCP_SYN)) {
        CHECK(!s->has_mss && !s->has_wscale && !s->has_sack_ok);
    }
}

static void build_again(struct tcp_seg *s)
{
    struct tcp_seg again;
    uint8_t out[TCP_HDR_MAX];

    s->sign = false; /* what only the builder asks is not the parser's to say */
    s->syn_layout = SYN_LINUX;
    if (s->flags & TCP_SYN) {
        s->nsack = 0;
    } else if (s->has_ts && s->nsack > 3) {
        s->nsack = 3;
    }
    s->sign = false;
    s->syn_layout = SYN_LINUX;
    if (s->accecn.here) { /* padding may cost what it took */
        tcp_accecn_fit(s, s->accecn.n);
    }
    uint32_t n = tcp_seg_build(s, out);
    CHECK(n % 4 == 0 && n <= TCP_HDR_MAX);
    CHECK(tcp_seg_parse(&again, out, n) == DROP_NONE);
    CHECK(again.flags == s->flags);
    CHECK(seq_eq(again.seq, s->seq) && seq_eq(again.ack, s->ack));
    CHECK(again.wnd == s->wnd && again.up == s->up);
    CHECK(again.has_mss == s->has_mss && (!s->has_mss || again.mss == s->mss));
    CHECK(again.has_wscale == s->has_wscale && (!s->has_wscale || again.wscale == s->wscale));
    CHECK(again.has_ts == s->has_ts && (!s->has_ts || again.ts_val == s->ts_val));
    CHECK(again.accecn.here == s->accecn.here);
    if (s->accecn.here) {
        CHECK(again.accecn.order1 == s->accecn.order1 && again.accecn.n == s->accecn.n);
        CHECK(memcmp(again.accecn.v, s->accecn.v, s->accecn.n * sizeof s->accecn.v[0]) == 0);
    }
    CHECK(again.nsack == s->nsack);
    CHECK(memcmp(again.sack, s->sack, s->nsack * sizeof s->sack[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tcp_seg s;

    if (tcp_seg_parse(&s, data, size) == DROP_NONE) {
        judge(&s, size);
        build_again(&s);
    }
    return 0;
}
