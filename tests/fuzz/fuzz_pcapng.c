/*
 * fuzz_pcapng.c - any bytes as a capture: the reader ends, looks at nothing beyond them, and what
 * it understands can be written and read again.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tun/pcapng.h"

#define BLOCKS_MAX 100000u

static uint8_t out[1u << 20];

/* Reads a byte at either end of a text, for the sanitizer to see. */
static unsigned touch(struct pcapng_text t)
{
    return t.n ? (unsigned)(uint8_t)t.p[0] + (uint8_t)t.p[t.n - 1] : 0;
}

static void again(const struct pcapng_packet *p)
{
    struct pcapng_out o = {.p = out, .max = sizeof out};
    struct pcapng_in in;
    struct pcapng_block b;
    uint32_t texts = 0;

    pcapng_section(&o, "fuzz", NULL, NULL);
    pcapng_interface(&o, "if", PCAPNG_LINK_RAW);
    pcapng_packet(&o, p);
    CHECK(o.len <= o.max);
    if (o.full) {
        return;
    }
    for (uint32_t i = 0; i < p->ncomments; i++) {
        texts += p->comment[i].n != 0;
    }
    pcapng_open(&in, out, o.len);
    CHECK(pcapng_next(&in, &b) == 1 && pcapng_next(&in, &b) == 1 && pcapng_next(&in, &b) == 1);
    CHECK(b.packet.at == p->at && b.packet.id == p->id && b.packet.flags == p->flags);
    CHECK(b.packet.len == p->len && b.packet.caplen == p->caplen);
    CHECK(memcmp(b.packet.data, p->data, p->caplen) == 0);
    CHECK(b.packet.ncomments == texts);
    CHECK(pcapng_next(&in, &b) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pcapng_in in;
    struct pcapng_block b;
    unsigned n = 0, sum = 0;
    int ret;

    pcapng_open(&in, data, size);
    while ((ret = pcapng_next(&in, &b)) == 1) {
        CHECK(++n <= BLOCKS_MAX + size / 12);
        sum += touch(b.appl) + touch(b.ifname);
        for (uint32_t i = 0; i < b.packet.ncomments; i++) {
            sum += touch(b.packet.comment[i]);
        }
        if (b.type == PCAPNG_EPB) {
            again(&b.packet);
        }
    }
    CHECK(ret == 0 || in.error);
    CHECK(sum < UINT32_MAX);
    return 0;
}
