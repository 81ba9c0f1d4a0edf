/* Purpose: capture.h over libpcap. */
#include "capture.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "msg.h"

struct capture {
    pcap_t *pcap;
    int link;
    uint64_t count;
    const char *path;
};

enum { ETHERTYPE_IP4 = 0x0800, ETHERTYPE_IP6 = 0x86dd, ETHERTYPE_VLAN = 0x8100 };

static bool link_known(int link)
{
    return link == DLT_RAW || link == DLT_EN10MB || link == DLT_LINUX_SLL ||
           link == DLT_LINUX_SLL2 || link == DLT_NULL || link == DLT_LOOP || link == DLT_IPV4 ||
           link == DLT_IPV6;
}

struct capture *capture_open(const char *path)
{
    char err[PCAP_ERRBUF_SIZE] = "";
    struct capture *c = calloc(1, sizeof *c);

    if (!c) {
        msg("no memory");
        return NULL;
    }
    c->path = path;
    c->pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, err);
    if (!c->pcap) {
        msg("cannot read %s as a capture: %s", path, err);
        msg_do("Make:", "tcpdump -w FILE.pcap ..., or standin run -w FILE.pcapng PROGRAM ...");
        free(c);
        return NULL;
    }
    c->link = pcap_datalink(c->pcap);
    if (!link_known(c->link)) {
        const char *name = pcap_datalink_val_to_name(c->link);
        msg("%s holds packets of link type %s, which is not IP, Ethernet or Linux cooked", path,
            name ? name : "?");
        capture_close(c);
        return NULL;
    }
    return c;
}

void capture_close(struct capture *c)
{
    if (c) {
        pcap_close(c->pcap);
        free(c);
    }
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Where the IP header begins; SIZE_MAX: there is none. */
static size_t ether_at(const uint8_t *p, size_t n)
{
    size_t at = 12;

    while (n >= at + 2 && get16(p + at) == ETHERTYPE_VLAN) {
        at += 4;
    }
    if (n < at + 2 || (get16(p + at) != ETHERTYPE_IP4 && get16(p + at) != ETHERTYPE_IP6)) {
        return SIZE_MAX;
    }
    return at + 2;
}

static size_t cooked_at(const uint8_t *p, size_t n, size_t proto_at, size_t header)
{
    if (n < header ||
        (get16(p + proto_at) != ETHERTYPE_IP4 && get16(p + proto_at) != ETHERTYPE_IP6)) {
        return SIZE_MAX;
    }
    return header;
}

static size_t ip_at(int link, const uint8_t *p, size_t n)
{
    switch (link) {
    case DLT_EN10MB:
        return ether_at(p, n);
    case DLT_LINUX_SLL:
        return cooked_at(p, n, 14, 16);
    case DLT_LINUX_SLL2:
        return cooked_at(p, n, 0, 20);
    case DLT_NULL:
    case DLT_LOOP:
        return n >= 4 ? 4 : SIZE_MAX;
    default:
        return 0;
    }
}

int capture_next(struct capture *c, struct cap_packet *out)
{
    struct pcap_pkthdr *h;
    const uint8_t *p;

    int got = pcap_next_ex(c->pcap, &h, &p);
    if (got == PCAP_ERROR_BREAK) {
        return 0;
    }
    if (got != 1) {
        msg("%s is damaged after packet %llu: %s", c->path, (unsigned long long)c->count,
            pcap_geterr(c->pcap));
        return -1;
    }
    size_t at = ip_at(c->link, p, h->caplen);
    *out = (struct cap_packet){
        .no = ++c->count,
        .time_ns = (int64_t)h->ts.tv_sec * 1000000000 + h->ts.tv_usec, /* nanoseconds, as asked */
    };
    if (at <= h->caplen) {
        unsigned version = h->caplen > at ? p[at] >> 4 : 0;
        out->p = p + at;
        out->link_len = at;
        out->len = version == 4 || version == 6 ? h->caplen - at : 0;
        out->wire_len = h->len > at ? h->len - at : 0;
    }
    return 1;
}
