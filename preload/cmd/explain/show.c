/* Purpose: the text form. Columns count what a terminal shows: Korean letters are two wide. */
#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto.h"

#define HEX_BYTES 8u

/* ---- columns */

static size_t columns(const char *s)
{
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if ((*p & 0xc0) != 0x80) { /* not a byte that continues a letter */
            n += *p >= 0xe1 && *p <= 0xed ? 2 : 1;
        }
    }
    return n;
}

static void put_padded(const char *s, size_t width)
{
    size_t n = columns(s);

    fputs(s, stdout);
    do {
        putchar(' ');
    } while (++n < width);
}

static void heading(enum text_id id)
{
    printf("\n  %s\n", words(id));
}

/* ---- one line */

static void flags_text(const struct tcp_facts *t, char buf[12])
{
    static const struct {
        uint16_t bit;
        char letter;
    } order[] = {{TCP_SYN, 'S'}, {TCP_FIN, 'F'}, {TCP_RST, 'R'}, {TCP_PSH, 'P'}, {TCP_URG, 'U'},
                 {TCP_ECE, 'E'}, {TCP_CWR, 'W'}, {TCP_AE, 'A'},  {TCP_ACK, '.'}};
    size_t n = 0;

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (t->flags & order[i].bit) {
            buf[n++] = order[i].letter;
        }
    }
    if (n == 0) {
        buf[n++] = '-';
    }
    buf[n] = '\0';
}

/* In packetdrill's notation, numbers relative where the connection is known. */
static void summary(const struct shown *s)
{
    const struct dissection *d = s->d;
    const struct tcp_facts *t = &d->tcp;
    char buf[12];

    if (d->version == 0) {
        return;
    }
    printf("%s > %s  ", s->ctx->end[0], s->ctx->end[1]);
    if (!t->present) {
        printf("%s", proto_name(d->proto, buf));
        return;
    }
    flags_text(t, buf);
    bool known = s->ctx->conn != 0 && !(t->flags & TCP_SYN);
    uint64_t first = known ? s->ctx->seq : t->flags & TCP_SYN ? 0 : t->seq;
    printf("TCP %s %" PRIu64 ":%" PRIu64 "(%u)", buf, first, first + t->len, t->len);
    if (t->flags & TCP_ACK) {
        printf(" ack %" PRIu64, s->ctx->conn ? s->ctx->ack : t->ack);
    }
    printf(" win %u", t->window);
}

static void first_line(const struct shown *s)
{
    char buf[160];
    const struct dissection *d = s->d;

    if (s->cap) {
        words_put(buf, sizeof buf, TEXT_PACKET, (unsigned long long)s->cap->no,
                  (double)s->since_ns / 1e9, (unsigned)d->wire_len);
    } else {
        words_put(buf, sizeof buf, TEXT_PACKET_HEX, (unsigned)d->wire_len);
    }
    fputs(buf, stdout);
    if (d->len < d->wire_len) {
        words_put(buf, sizeof buf, TEXT_CAPTURED, (unsigned)d->len);
        printf(" (%s)", buf);
    }
    fputs("\n  ", stdout);
    summary(s);
    putchar('\n');
}

/* ---- nesting */

static void box_label(const struct layer *l, char *buf, size_t size)
{
    char bytes[24];
    snprintf(buf, size, " %s, %s ", words(l->name),
             words_put(bytes, sizeof bytes, TEXT_BYTES, (unsigned)l->len));
}

static void box_edge(const struct dissection *d)
{
    char label[96];

    fputs("    ", stdout);
    for (unsigned i = 0; i < d->nlayers; i++) {
        box_label(&d->layer[i], label, sizeof label);
        putchar('+');
        for (size_t n = columns(label); n > 0; n--) {
            putchar('-');
        }
    }
    fputs("+\n", stdout);
}

static void nesting(const struct dissection *d)
{
    char label[96];

    if (d->nlayers == 0) {
        return;
    }
    heading(TEXT_HEAD_NESTING);
    box_edge(d);
    fputs("    ", stdout);
    for (unsigned i = 0; i < d->nlayers; i++) {
        box_label(&d->layer[i], label, sizeof label);
        printf("|%s", label);
    }
    fputs("|\n", stdout);
    box_edge(d);
}

/* ---- fields */

/* Whole bytes in hex; parts of bytes as bits, the others dots. */
static void field_bytes(const struct dissection *d, const struct field *f, char *buf, size_t size)
{
    size_t from = f->bit / 8;
    size_t to = (size_t)(f->bit + f->bits + 7) / 8;
    bool whole = f->bit % 8 == 0 && f->bits % 8 == 0;
    size_t n = 0;

    to = to < d->len ? to : d->len;
    buf[0] = '\0';
    for (size_t i = from; whole && i < to && n + 4 < size; i++) {
        if (i - from == HEX_BYTES) {
            n += (size_t)snprintf(buf + n, size - n, "..");
            break;
        }
        n += (size_t)snprintf(buf + n, size - n, "%02x", d->p[i]);
    }
    for (size_t b = from * 8; !whole && b < to * 8 && n + 2 < size; b++) {
        if (b % 4 == 0 && b > from * 8) {
            buf[n++] = ' ';
        }
        bool in = b >= f->bit && b < (size_t)f->bit + f->bits;
        buf[n++] = (char)(in ? '0' + (d->p[b / 8] >> (7 - b % 8) & 1) : '.');
        buf[n] = '\0';
    }
}

static void fields(const struct dissection *d)
{
    char bytes[64];
    char buf[64];
    unsigned layer = UINT8_MAX;

    heading(TEXT_HEAD_FIELDS);
    for (unsigned i = 0; i < d->nfields; i++) {
        const struct field *f = &d->field[i];
        if (f->layer != layer) {
            layer = f->layer;
            printf("    %s\n", words(d->layer[layer].name));
        }
        field_bytes(d, f, bytes, sizeof bytes);
        snprintf(buf, sizeof buf, "      %4u", (unsigned)(f->bit / 8));
        put_padded(buf, 12);
        put_padded(bytes, 21);
        put_padded(words(f->name), 22);
        if (f->mean[0]) {
            put_padded(f->shown, 16);
        } else {
            fputs(f->shown, stdout);
        }
        printf("%s\n", f->mean);
    }
}

/* ---- checksums */

static void sum_words(const struct sum_part *part, uint32_t *running)
{
    for (size_t at = 0; at < part->len; at += 16) {
        printf("        ");
        for (size_t i = at; i < at + 16; i += 2) {
            if (i < part->len) {
                printf("%04x ", sum_word(part, i));
                *running += sum_word(part, i);
            } else {
                printf("     ");
            }
        }
        printf("-> 0x%x\n", *running);
    }
}

static void sum_steps(const struct checksum *s)
{
    static const enum text_id verdicts[] = {[SUM_GOOD] = TEXT_SUM_IS_GOOD,
                                            [SUM_BAD] = TEXT_SUM_IS_BAD,
                                            [SUM_PARTIAL] = TEXT_SUM_IS_PARTIAL,
                                            [SUM_NONE] = TEXT_SUM_IS_NONE,
                                            [SUM_CUT] = TEXT_SUM_IS_CUT};
    char buf[200];
    uint32_t sum = s->total;

    printf("      %s\n", words_put(buf, sizeof buf, TEXT_SUM_TOTAL, sum));
    while (sum >> 16) {
        uint32_t carry = sum >> 16;
        sum = (sum & 0xffff) + carry;
        printf("      %s\n", words_put(buf, sizeof buf, TEXT_SUM_CARRY, carry, sum));
    }
    printf("      %s\n", words_put(buf, sizeof buf, TEXT_SUM_COMPLEMENT, s->computed));
    printf("      %s\n", words_put(buf, sizeof buf, verdicts[s->verdict], s->stored));
}

static void checksums(const struct dissection *d, bool every_word)
{
    char buf[200];

    if (d->nsums == 0) {
        return;
    }
    heading(TEXT_HEAD_SUMS);
    for (unsigned i = 0; i < d->nsums; i++) {
        const struct checksum *s = &d->sum[i];
        uint32_t running = 0;
        printf("    %s\n", words_put(buf, sizeof buf, TEXT_SUM_INTRO, words(s->name)));
        for (unsigned k = 0; k < s->nparts; k++) {
            const struct sum_part *part = &s->part[k];
            if (part->len == 0) {
                continue;
            }
            printf("      %s\n", words_put(buf, sizeof buf, TEXT_SUM_PART, words(part->name),
                                           (unsigned)part->len, sum_of(part)));
            if (every_word) {
                sum_words(part, &running);
            }
        }
        sum_steps(s);
    }
}

/* ---- the whole */

static void context(const struct shown *s)
{
    char buf[220];

    if (s->ctx->nlines == 0) {
        return;
    }
    heading(TEXT_HEAD_CONTEXT);
    printf("    (%s)\n",
           words_put(buf, sizeof buf, TEXT_CTX_NEW, s->ctx->conn, s->ctx->end[0], s->ctx->end[1]));
    for (unsigned i = 0; i < s->ctx->nlines; i++) {
        printf("    %s\n", s->ctx->line[i]);
    }
}

static void notes(const struct dissection *d)
{
    if (d->nnotes) {
        heading(TEXT_HEAD_NOTES);
    }
    for (unsigned i = 0; i < d->nnotes; i++) {
        printf("    %s\n", d->note[i]);
    }
}

void show_text(const struct shown *s, enum depth depth)
{
    first_line(s);
    if (depth == DEPTH_LINE) {
        for (unsigned i = 0; i < s->d->nnotes; i++) {
            printf("    %s\n", s->d->note[i]);
        }
        for (unsigned i = 0; i < s->ctx->nlines; i++) {
            printf("    %s\n", s->ctx->line[i]);
        }
        return;
    }
    nesting(s->d);
    fields(s->d);
    checksums(s->d, depth >= DEPTH_WORDS);
    notes(s->d);
    context(s);
    putchar('\n');
}
