/*
 * Grammar of one option: nop | eol | mss N | wscale N | sackOK | sack L:R [L:R..] |
 * TS val N ecr N | FO [hex] | FOEXP [hex] | md5 hex | ECN e0b N [ceb N [e1b N]] | ECN e1b N [ceb
 * N [e0b N]] | ECN | kind N '[hex]'. The last two are not packetdrill's: AccECN's option of order 1
 * without counters, and any option at all.
 */
#include "opt.h"

#include <ctype.h>
#include <string.h>

#include "core/rdwr.h"

#define FOEXP_MAGIC 0xF989u /* RFC 7413 4.1.1's experimental form: RFC 6994 */

static bool hex_value(const char *text, uint8_t *out, size_t *n)
{
    size_t len = strlen(text);
    *n = len / 2;
    if (len % 2 || *n > OPT_MAX) {
        return false;
    }
    for (size_t i = 0; i < *n; i++) {
        unsigned v = 0;
        for (size_t k = 0; k < 2; k++) {
            char c = text[2 * i + k];
            if (!isxdigit((unsigned char)c)) {
                return false;
            }
            v = v * 16 + (unsigned)(c <= '9' ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
        }
        out[i] = (uint8_t)v;
    }
    return true;
}

/* A blob such as a cookie or digest: kind, length, prefix, bytes. */
static void blob_parse(struct lex *l, struct wr *w, uint8_t kind, uint32_t magic)
{
    uint8_t b[OPT_MAX];
    size_t n = 0;
    if (l->tok.kind == TOK_WORD || l->tok.kind == TOK_INT) {
        if (!hex_value(l->tok.text, b, &n)) {
            lex_fail(l, "not an even number of hexadecimal digits: %s", l->tok.text);
            return;
        }
        lex_next(l);
    }
    wr_u8(w, kind);
    wr_u8(w, (uint8_t)((magic ? 4u : 2u) + n));
    if (magic) {
        wr_u16(w, (uint16_t)magic);
    }
    wr_bytes(w, b, n);
}

static void sack_parse(struct lex *l, struct wr *w)
{
    size_t at = w->at;
    uint8_t n = 0;
    wr_u16(w, 0);
    while (l->tok.kind == TOK_INT && n < 4) {
        wr_u32(w, (uint32_t)lex_int(l, "left edge", 0, UINT32_MAX));
        lex_expect(l, ':');
        wr_u32(w, (uint32_t)lex_int(l, "right edge", 0, UINT32_MAX));
        n++;
    }
    if (n == 0 || !wr_ok(w)) {
        lex_fail(l, n ? "SACK blocks do not fit" : "expected a SACK block, left:right");
        return;
    }
    w->p[at] = OPT_SACK;
    w->p[at + 1] = (uint8_t)(2 + 8 * n);
}

static void ts_parse(struct lex *l, struct wr *w)
{
    if (!lex_take_word(l, "val")) {
        lex_fail(l, "expected 'val' after TS");
    }
    uint32_t val = (uint32_t)lex_int(l, "timestamp", 0, UINT32_MAX);
    if (!lex_take_word(l, "ecr")) {
        lex_fail(l, "expected 'ecr' after the timestamp");
    }
    uint32_t ecr = (uint32_t)lex_int(l, "echoed timestamp", 0, UINT32_MAX);
    wr_u8(w, OPT_TS);
    wr_u8(w, 10);
    wr_u32(w, val);
    wr_u32(w, ecr);
}

/* RFC 9768 3.2.3: the kind says the order of the counters, a shorter option leaves the last ones
 * out. */
static void accecn_parse(struct lex *l, struct wr *w)
{
    static const char *const order[2][3] = {{"e0b", "ceb", "e1b"}, {"e1b", "ceb", "e0b"}};
    unsigned o = lex_is_word(l, "e1b") ? 1 : 0;
    size_t at = w->at;
    uint8_t n = 0;
    wr_u16(w, 0);
    while (n < 3 && lex_take_word(l, order[o][n])) {
        uint32_t v = (uint32_t)lex_int(l, "counter", 0, 0xffffff);
        wr_u8(w, (uint8_t)(v >> 16));
        wr_u16(w, (uint16_t)v);
        n++;
    }
    if (!wr_ok(w)) {
        return;
    }
    w->p[at] = o || n == 0 ? OPT_ACCECN1 : OPT_ACCECN0;
    w->p[at + 1] = (uint8_t)(2 + 3 * n);
}

/* Any option: its number, and what it holds. */
static void any_parse(struct lex *l, struct wr *w)
{
    uint8_t b[OPT_MAX];
    size_t n = 0;
    wr_u8(w, (uint8_t)lex_int(l, "kind", 2, UINT8_MAX));
    lex_expect(l, '[');
    if (!hex_value(lex_raw(l, "]"), b, &n)) {
        lex_fail(l, "not an even number of hexadecimal digits");
        return;
    }
    lex_expect(l, ']');
    wr_u8(w, (uint8_t)(2 + n));
    wr_bytes(w, b, n);
}

static void fixed_parse(struct lex *l, struct wr *w, const char *name)
{
    if (strcmp(name, "nop") == 0) {
        wr_u8(w, OPT_NOP);
    } else if (strcmp(name, "eol") == 0) {
        wr_u8(w, OPT_EOL);
    } else if (strcmp(name, "sackOK") == 0) {
        wr_u8(w, OPT_SACKOK);
        wr_u8(w, 2);
    } else if (strcmp(name, "mss") == 0) {
        wr_u8(w, OPT_MSS);
        wr_u8(w, 4);
        wr_u16(w, (uint16_t)lex_int(l, "mss", 0, UINT16_MAX));
    } else if (strcmp(name, "wscale") == 0) {
        wr_u8(w, OPT_WSCALE);
        wr_u8(w, 3);
        wr_u8(w, (uint8_t)lex_int(l, "wscale", 0, UINT8_MAX));
    } else {
        lex_fail(l, "no such TCP option: %s", name);
    }
}

static void opt_parse(struct lex *l, struct wr *w)
{
    if (l->tok.kind != TOK_WORD) {
        lex_fail(l, "expected the name of a TCP option");
        return;
    }
    const char *name = l->tok.text;
    lex_next(l);
    if (strcmp(name, "sack") == 0) {
        sack_parse(l, w);
    } else if (strcmp(name, "TS") == 0) {
        ts_parse(l, w);
    } else if (strcmp(name, "FO") == 0) {
        blob_parse(l, w, OPT_FO, 0);
    } else if (strcmp(name, "FOEXP") == 0) {
        blob_parse(l, w, OPT_EXP, FOEXP_MAGIC);
    } else if (strcmp(name, "md5") == 0) {
        blob_parse(l, w, OPT_MD5, 0);
    } else if (strcmp(name, "ECN") == 0) {
        accecn_parse(l, w);
    } else if (strcmp(name, "kind") == 0) {
        any_parse(l, w);
    } else {
        fixed_parse(l, w, name);
    }
}

void opts_parse(struct lex *l, struct opts *out)
{
    *out = (struct opts){0};
    lex_expect(l, '<');
    if (l->tok.kind == TOK_DOTS) {
        lex_next(l);
        lex_expect(l, '>');
        out->any = true;
        return;
    }
    struct wr w = wr_of(out->b, OPT_MAX);
    do {
        opt_parse(l, &w);
    } while (lex_take(l, ','));
    if (!l->bad && !wr_ok(&w)) {
        lex_fail(l, "TCP options longer than 40 bytes");
    } else if (!l->bad && w.at % 4) {
        lex_fail(l, "TCP options of %zu bytes: not a multiple of 4", w.at);
    }
    out->n = (uint8_t)w.at;
    lex_expect(l, '>');
}

bool opts_next(const struct opts *o, unsigned *at, struct opt *out)
{
    if (*at >= o->n) {
        return false;
    }
    const uint8_t *p = o->b + *at;
    unsigned left = o->n - *at;
    *out = (struct opt){.kind = p[0], .len = 1};
    if (p[0] == OPT_EOL || p[0] == OPT_NOP) {
        (*at)++;
        return true;
    }
    if (left < 2 || p[1] < 2 || p[1] > left) {
        out->bad = true;
        out->len = (uint8_t)left;
        *at = o->n;
        return true;
    }
    out->len = p[1];
    out->data = p + 2;
    *at += p[1];
    return true;
}

static void hex_print(const uint8_t *p, size_t n, struct str *out)
{
    for (size_t i = 0; i < n; i++) {
        str_add(out, "%02x", p[i]);
    }
}

static void sack_print(struct rd *r, struct str *out)
{
    str_add(out, "sack");
    while (rd_left(r) >= 8) {
        uint32_t left = rd_u32(r);
        str_add(out, " %u:%u", left, rd_u32(r));
    }
}

static void accecn_print(struct rd *r, unsigned order, struct str *out)
{
    static const char *const names[2][3] = {{"e0b", "ceb", "e1b"}, {"e1b", "ceb", "e0b"}};
    str_add(out, "ECN");
    for (unsigned i = 0; i < 3 && rd_left(r) >= 3; i++) {
        uint32_t v = (uint32_t)rd_u8(r) << 16;
        str_add(out, " %s %u", names[order][i], v | rd_u16(r));
    }
}

static void blob_print(const char *name, struct rd *r, struct str *out)
{
    str_add(out, "%s", name);
    size_t n = rd_left(r);
    if (n) {
        str_add(out, " ");
        hex_print(rd_bytes(r, n), n, out);
    }
}

static void odd_print(const struct opt *o, struct str *out)
{
    str_add(out, o->bad ? "malformed %u" : "kind %u", o->kind);
    if (o->data && o->len > 2) {
        str_add(out, " [");
        hex_print(o->data, o->len - 2u, out);
        str_add(out, "]");
    }
}

/* Whether the option has the length its kind has. */
static bool usual_length(const struct opt *o)
{
    switch (o->kind) {
    case OPT_MSS:
        return o->len == 4;
    case OPT_WSCALE:
        return o->len == 3;
    case OPT_SACKOK:
        return o->len == 2;
    case OPT_TS:
        return o->len == 10;
    case OPT_SACK:
        return o->len > 2 && o->len % 8 == 2;
    case OPT_ACCECN0:
        return o->len == 5 || o->len == 8 || o->len == 11;
    case OPT_ACCECN1:
        return o->len == 2 || o->len == 5 || o->len == 8 || o->len == 11;
    case OPT_EXP:
        return o->len >= 4 && (o->data[0] << 8 | o->data[1]) == (int)FOEXP_MAGIC;
    default:
        return true;
    }
}

void opt_print(const struct opt *o, struct str *out)
{
    struct rd r = rd_of(o->data, o->data ? o->len - 2u : 0);
    if (o->bad || !usual_length(o)) {
        odd_print(o, out);
        return;
    }
    switch (o->kind) {
    case OPT_EOL:
        str_add(out, "eol");
        break;
    case OPT_NOP:
        str_add(out, "nop");
        break;
    case OPT_MSS:
        str_add(out, "mss %u", rd_u16(&r));
        break;
    case OPT_WSCALE:
        str_add(out, "wscale %u", rd_u8(&r));
        break;
    case OPT_SACKOK:
        str_add(out, "sackOK");
        break;
    case OPT_SACK:
        sack_print(&r, out);
        break;
    case OPT_TS: {
        uint32_t val = rd_u32(&r);
        str_add(out, "TS val %u ecr %u", val, rd_u32(&r));
        break;
    }
    case OPT_MD5:
        blob_print("md5", &r, out);
        break;
    case OPT_FO:
        blob_print("FO", &r, out);
        break;
    case OPT_EXP:
        rd_skip(&r, 2);
        blob_print("FOEXP", &r, out);
        break;
    case OPT_ACCECN0:
    case OPT_ACCECN1:
        accecn_print(&r, o->kind == OPT_ACCECN1, out);
        break;
    default:
        odd_print(o, out);
        break;
    }
}

void opts_print(const struct opts *o, struct str *out)
{
    if (o->any) {
        str_add(out, " <...>");
        return;
    }
    if (o->n == 0) {
        return;
    }
    struct opt one;
    const char *sep = " <";
    for (unsigned at = 0; opts_next(o, &at, &one); sep = ",") {
        str_add(out, "%s", sep);
        opt_print(&one, out);
    }
    str_add(out, ">");
}

void opts_shift_sack(struct opts *o, uint32_t by)
{
    struct opt one;
    for (unsigned at = 0; opts_next(o, &at, &one);) {
        if (one.bad || one.kind != OPT_SACK) {
            continue;
        }
        size_t from = (size_t)(one.data - o->b);
        for (size_t i = 0; i + 4 <= one.len - 2u; i += 4) {
            struct rd r = rd_of(o->b + from + i, 4);
            struct wr w = wr_of(o->b + from + i, 4);
            uint32_t v = rd_u32(&r);
            wr_u32(&w, v + by);
        }
    }
}

int opts_find_ts(const struct opts *o)
{
    struct opt one;
    for (unsigned at = 0; opts_next(o, &at, &one);) {
        if (!one.bad && one.kind == OPT_TS && one.len == 10) {
            return (int)(one.data - o->b);
        }
    }
    return -1;
}
