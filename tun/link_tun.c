/*
 * link_tun.c - theory of operation: one TUN queue with a virtio header before each packet.
 *
 * Out: one writev a packet. The virtio header and the packet's own headers go together as one
 * block; the payload comes from the send ring where it lies. The kernel's receive path runs inside
 * our write, so the peer's acknowledgment is usually in the queue when it returns.
 *
 * In: one read a packet. The buffer is entered 6 bytes late so that the IP header, behind the 10
 * bytes of the virtio header, lies aligned to 16. A packet with a partial checksum comes from a
 * local sender: it has crossed no wire, so it counts as good.
 *
 * Offload: the bits that can be refused are asked for in falling order; caps tells what the kernel
 * took. The rules of the header are those of linux/virtio_net.h as drivers/net/tun.c checks them:
 * hdr_len is exact, so that the payload lands in pages; gso_size never goes without NEEDS_CSUM; ECN
 * marks a super-segment whose first part carries CWR.
 *
  * Deliberately missing: more than one queue.
 */
#include "tun/link.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "core/check.h"
#include "tun/sysio.h"

#define VNET_LEN  ((size_t)10) /* struct virtio_net_hdr */
#define VNET_SKEW 6u           /* so that the packet behind it is aligned to 16 */

_Static_assert(sizeof(struct virtio_net_hdr) == VNET_LEN, "the header before each packet");
_Static_assert(LINK_READ_MAX >= VNET_SKEW + VNET_LEN + 65535, "the largest packet fits");

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* Linux 6.2 */
#endif

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2 */
#define TUN_F_USO6 0x40
#endif

#define TCP_FLAGS_AT 13
#define TCP_CWR      0x80

/* Device */

static int tun_open_node(const char **step)
{
    *step = "open /dev/net/tun";
    return sys_open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static int tun_set_iff(int fd, char name[16], unsigned flags, const char **step)
{
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | flags);

    *step = "TUNSETIFF";
    int err = sys_ioctl(fd, TUNSETIFF, &ifr);
    if (err == 0) {
        memcpy(name, ifr.ifr_name, IFNAMSIZ);
    }
    return err;
}

/* Linux 6.3 takes an IPv4 total length of 0 for the length of the super-segment (BIG TCP); before,
 * it drops it. */
static bool takes_big(void)
{
    struct utsname u;
    long major = 0;
    long minor = 0;

    if (sys_uname(&u) == 0) {
        char *dot;
        major = strtol(u.release, &dot, 10);
        minor = *dot == '.' ? strtol(dot + 1, NULL, 10) : 0;
    }
    return major > 6 || (major == 6 && minor >= 3);
}

/* What the kernel may leave unfinished in packets to us. Returns LINK_*. */
static uint32_t tun_offload(int fd, bool want)
{
    static const struct {
        unsigned long tun;
        uint32_t caps;
    } tries[] = {
        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
         LINK_CSUM | LINK_TSO4 | LINK_TSO6 | LINK_USO4 | LINK_USO6},
        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, LINK_CSUM | LINK_TSO4 | LINK_TSO6},
        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, LINK_CSUM | LINK_TSO4 | LINK_TSO6},
        {TUN_F_CSUM, LINK_CSUM},
    };
    for (size_t i = 0; want && i < ARRAY_LEN(tries); i++) {
        if (sys_ioctl(fd, TUNSETOFFLOAD, (const void *)tries[i].tun) == 0) {
            return tries[i].caps & LINK_TSO4 && takes_big() ? tries[i].caps | LINK_BIG4
                                                            : tries[i].caps;
        }
    }
    sys_ioctl(fd, TUNSETOFFLOAD, NULL);
    return 0;
}

static int tun_make(struct link *l, char name[16], bool offload, unsigned flags, const char **step)
{
    int fd = tun_open_node(step);
    if (fd < 0) {
        return fd;
    }
    int err = tun_set_iff(fd, name, flags, step);
    if (err) {
        sys_close(fd);
        return err;
    }
    link_of_fd(l, fd, 1500, tun_offload(fd, offload));
    return 0;
}

int link_tun_open(struct link *l, char name[16], bool offload, const char **step)
{
    return tun_make(l, name, offload, 0, step);
}

int link_tun_claim(struct link *l, const char name[16], bool offload, const char **step)
{
    char copy[IFNAMSIZ];
    memcpy(copy, name, IFNAMSIZ);
    return tun_make(l, copy, offload, IFF_TUN_EXCL, step);
}

void link_of_fd(struct link *l, int fd, uint32_t mtu, uint32_t caps)
{
    *l = (struct link){.fd = fd, .mtu = mtu, .caps = caps};
}

/* Out */

static uint8_t gso_type(const struct pkt_out *p)
{
    if (p->proto == 17) {
        return VIRTIO_NET_HDR_GSO_UDP_L4;
    }
    uint8_t type = p->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
    if (p->hdr[p->ip_len + TCP_FLAGS_AT] & TCP_CWR) {
        type |= VIRTIO_NET_HDR_GSO_ECN;
    }
    return type;
}

static void vnet_fill(struct virtio_net_hdr *h, const struct pkt_out *p)
{
    *h = (struct virtio_net_hdr){.hdr_len = p->hdr_len};
    if (p->csum_partial) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = p->ip_len;
        h->csum_offset = p->csum_offset;
    }
    if (p->gso_size) {
        CHECK(p->csum_partial);
        h->gso_type = gso_type(p);
        h->gso_size = p->gso_size;
    }
}

int link_send(struct link *l, const struct pkt_out *p)
{
    struct {
        struct virtio_net_hdr vnet;
        uint8_t hdr[PKT_HDR_MAX];
    } block;
    struct iovec v[1 + PKT_SPAN_MAX];
    size_t n = 1;

    CHECK(p->hdr_len <= PKT_HDR_MAX);
    CHECK(p->nspan <= PKT_SPAN_MAX);
    vnet_fill(&block.vnet, p);
    memcpy(block.hdr, p->hdr, p->hdr_len);
    v[0] = (struct iovec){&block, VNET_LEN + p->hdr_len};
    for (size_t i = 0; i < p->nspan; i++) {
        if (p->span[i].n) {
            v[n++] = (struct iovec){(void *)(uintptr_t)p->span[i].p, p->span[i].n};
        }
    }
    long ret = n == 1 ? sys_write(l->fd, v[0].iov_base, v[0].iov_len) : sys_writev(l->fd, v, n);
    if (ret < 0) {
        l->send_failed++;
        return (int)ret;
    }
    l->sent++;
    return 0;
}

/* In */

/* What a read of n bytes to buf + VNET_SKEW brought. */
static int received(struct link *l, uint8_t *buf, long n, struct pkt_in *in)
{
    struct virtio_net_hdr h;

    if (n == -EAGAIN || n == -EINTR) {
        return 0;
    }
    if (n < 0) {
        return (int)n;
    }
    if ((size_t)n < VNET_LEN) {
        return -EIO;
    }
    memcpy(&h, buf + VNET_SKEW, VNET_LEN);
    l->received++;
    *in = (struct pkt_in){
        .p = buf + VNET_SKEW + VNET_LEN,
        .len = (size_t)n - VNET_LEN,
        .csum_ok = (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0,
        .gso_size = h.gso_type == VIRTIO_NET_HDR_GSO_NONE ? (uint16_t)0 : h.gso_size,
    };
    return 1;
}

int link_recv(struct link *l, uint8_t *buf, struct pkt_in *in)
{
    return received(l, buf, sys_read(l->fd, buf + VNET_SKEW, LINK_READ_MAX - VNET_SKEW), in);
}

int link_recv_placed(struct link *l, uint8_t *buf, const struct rx_place *pl, struct pkt_in *in)
{
    struct iovec v[4];
    size_t at = VNET_SKEW + VNET_LEN + pl->hdr_len;
    size_t n = 0;

    v[n++] = (struct iovec){buf + VNET_SKEW, VNET_LEN + pl->hdr_len};
    for (size_t i = 0; i < pl->nspan; i++) {
        v[n++] = (struct iovec){pl->span[i].p, pl->span[i].n};
        at += pl->span[i].n;
    }
    if (at < LINK_READ_MAX) {
        v[n++] = (struct iovec){buf + at, LINK_READ_MAX - at};
    }
    return received(l, buf, sys_readv(l->fd, v, n), in);
}

void link_gather(uint8_t *buf, const struct rx_place *pl, const struct pkt_in *in)
{
    uint8_t *to = buf + VNET_SKEW + VNET_LEN + pl->hdr_len;
    size_t left = in->len > pl->hdr_len ? in->len - pl->hdr_len : 0;

    for (size_t i = 0; i < pl->nspan && left; i++) {
        size_t n = pl->span[i].n < left ? pl->span[i].n : left;
        memcpy(to, pl->span[i].p, n);
        to += n;
        left -= n;
    }
}
