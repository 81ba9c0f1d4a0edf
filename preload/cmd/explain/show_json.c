/* Purpose: the JSON form, with stable keys: those of tshark where it has one. */
#include "show.h"

#include <string.h>

static json_t *layer_json(const struct dissection *d, unsigned i)
{
    static const char *const kinds[] = {
        [LAYER_IP4] = "ipv4",     [LAYER_IP6] = "ipv6", [LAYER_EXT] = "ipv6-extension",
        [LAYER_TCP] = "tcp",      [LAYER_UDP] = "udp",  [LAYER_ICMP] = "icmp",
        [LAYER_ICMP6] = "icmpv6", [LAYER_DATA] = "data"};
    const struct layer *l = &d->layer[i];
    json_t *list = json_array();

    for (unsigned k = 0; k < d->nfields; k++) {
        const struct field *f = &d->field[k];
        if (f->layer == i) {
            json_array_append_new(
                list, json_pack("{s:s, s:i, s:i, s:I, s:s, s:s, s:s}", "key", f->key, "bit",
                                (int)f->bit, "bits", (int)f->bits, "value", (json_int_t)f->value,
                                "name", words(f->name), "shown", f->shown, "mean", f->mean));
        }
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "kind", kinds[l->kind], "name", words(l->name),
                     "offset", (json_int_t)l->at, "length", (json_int_t)l->len, "fields", list);
}

static json_t *sum_json(const struct checksum *s)
{
    static const char *const verdicts[] = {[SUM_GOOD] = "good",
                                           [SUM_BAD] = "bad",
                                           [SUM_PARTIAL] = "partial",
                                           [SUM_NONE] = "none",
                                           [SUM_CUT] = "cut"};
    return json_pack("{s:s, s:i, s:i, s:I, s:i, s:s}", "key", s->key, "stored", (int)s->stored,
                     "computed", (int)s->computed, "sum", (json_int_t)s->total, "folded",
                     (int)s->folded, "verdict", verdicts[s->verdict]);
}

static json_t *context_json(const struct context *c)
{
    json_t *lines = json_array();

    if (c->conn == 0) {
        json_decref(lines);
        return json_null();
    }
    for (unsigned i = 0; i < c->nlines; i++) {
        json_array_append_new(lines, json_string(c->line[i]));
    }
    json_t *out =
        json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:b, s:o}", "connection", (int)c->conn, "from",
                  c->end[0], "to", c->end[1], "seq", (json_int_t)c->seq, "next", (json_int_t)c->to,
                  "ack", (json_int_t)c->ack, "retransmission", (int)c->retrans, "sentences", lines);
    if (c->window != UINT64_MAX) {
        json_object_set_new(out, "window", json_integer((json_int_t)c->window));
    }
    return out;
}

json_t *show_json(const struct shown *s)
{
    const struct dissection *d = s->d;
    json_t *layers = json_array();
    json_t *sums = json_array();
    json_t *notes = json_array();

    for (unsigned i = 0; i < d->nlayers; i++) {
        json_array_append_new(layers, layer_json(d, i));
    }
    for (unsigned i = 0; i < d->nsums; i++) {
        json_array_append_new(sums, sum_json(&d->sum[i]));
    }
    for (unsigned i = 0; i < d->nnotes; i++) {
        json_array_append_new(notes, json_string(d->note[i]));
    }
    json_t *out = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "length", (json_int_t)d->wire_len,
                            "captured", (json_int_t)d->len, "layers", layers, "checksums", sums,
                            "notes", notes, "context", context_json(s->ctx));
    if (out && s->cap) {
        json_object_set_new(out, "packet", json_integer((json_int_t)s->cap->no));
        json_object_set_new(out, "time_ns", json_integer((json_int_t)s->cap->time_ns));
    }
    return out;
}
