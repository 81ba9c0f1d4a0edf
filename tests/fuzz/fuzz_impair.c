/*
 * fuzz_impair.c - any bytes as rules of the emulated wire and as packets over it: up to the first
 * zero byte a text, behind it packets, each behind a byte of flags and two of length. What the text
 * means is written and read again the same; nothing is read beyond a packet; the wire's tables stay
 * whole, and everything arrives or is counted.
 */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tun/impair.h"

#define MEM ((size_t)4 << 20)

static void rules(struct wire_spec *spec, const char *text)
{
    struct impair_error err = {0};
    char canon[IMPAIR_RULE_MAX], again[IMPAIR_RULE_MAX], why[500];
    if (!impair_parse(spec, text, &err)) {
        CHECK(err.what[0] && err.at + err.len <= strlen(text));
        impair_explain(text, &err, why, sizeof why);
        return;
    }
    for (uint32_t i = 0; i < spec->nrules; i++) {
        struct wire_spec one = {0};
        impair_print(&spec->rule[i], canon);
        CHECK(impair_parse(&one, canon, &err) && one.nrules == 1);
        CHECK(strcmp(canon, impair_print(&one.rule[0], again)) == 0);
    }
}

static void take_all(struct wire *w, nsec until)
{
    struct wire_pkt_out o;
    for (nsec at; (at = wire_deadline(w)) != NEVER && at <= until;) {
        while (wire_take(w, at, &o, NULL)) {
            CHECK(o.len > 0 && (o.p[0] | 1));
            wire_done(w, &o);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *mem;
    struct wire_spec spec = {.seed = size};
    char text[400] = "";
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    nsec now = SEC;

    mem = mem ? mem : aligned_alloc(64, MEM);
    memcpy(text, data, n < sizeof text ? n : sizeof text - 1);
    rules(&spec, text);
    struct wire *w = wire_init(mem, MEM, 1500, &spec);
    CHECK(w);
    for (size_t at = n + 1; at + 3 < size;) {
        uint8_t flags = data[at];
        size_t len = (size_t)(data[at + 1] << 8 | data[at + 2]) % 2000 + 1;
        at += 3;
        len = len < size - at ? len : size - at;
        uint8_t *own = malloc(len); /* its end is the end of the memory: ASan sees */
        memcpy(own, data + at, len);
        struct span v = {own, len};
        struct wire_in in = {.span = &v,
                             .nspan = 1,
                             .gso_size = flags & 2 ? (uint16_t)(flags + 1) : 0,
                             .csum_open = flags & 4};
        wire_put(w, now, flags & 1 ? WIRE_IN : WIRE_OUT, &in, NULL);
        free(own);
        at += len;
        now += (nsec)flags * 100 * USEC;
        take_all(w, now);
        if (flags & 8) {
            wire_recover(w);
        }
        CHECK(wire_check(w) == NULL);
    }
    take_all(w, NEVER - 1);
    CHECK(wire_in_flight(w, WIRE_OUT) + wire_in_flight(w, WIRE_IN) == 0);
    return 0;
}
