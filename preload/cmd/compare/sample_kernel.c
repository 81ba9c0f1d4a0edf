/* Purpose: the kernel's connections of the calling thread's network namespace, by sock_diag, as ss
 * asks for them. */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "one.h"

/* Linux's numbers of states: all but SYN-SENT, TIME-WAIT, CLOSE and LISTEN. */
#define ESTABLISHED_ON (0xfffu & ~(1u << 2 | 1u << 6 | 1u << 7 | 1u << 10))

int sample_kernel_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

static void take_info(struct one *o, nsec now, const struct inet_diag_msg *m, const void *data,
                      size_t n)
{
    struct tcp_info i = {0};

    memcpy(&i, data, n < sizeof i ? n : sizeof i);
    sample_add(o, (struct sample){.at = now,
                                  .port = ntohs(m->id.idiag_sport),
                                  .cwnd = i.tcpi_snd_cwnd,
                                  .ssthresh = i.tcpi_snd_ssthresh,
                                  .unacked = i.tcpi_unacked,
                                  .retrans = i.tcpi_total_retrans,
                                  .mss = i.tcpi_snd_mss,
                                  .srtt_us = i.tcpi_rtt,
                                  .rto_us = i.tcpi_rto});
}

static void take_message(struct one *o, nsec now, const struct nlmsghdr *h)
{
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    const char *at = (const char *)(m + 1);
    const char *end = (const char *)h + h->nlmsg_len;

    while (end - at >= (ptrdiff_t)sizeof(struct rtattr)) {
        const struct rtattr *a = (const void *)at;
        if (a->rta_len < sizeof *a || a->rta_len > end - at) {
            return;
        }
        if (a->rta_type == INET_DIAG_INFO) {
            take_info(o, now, m, a + 1, a->rta_len - sizeof *a);
        }
        at += (a->rta_len + 3u) & ~3u;
    }
}

void sample_kernel(struct one *o, nsec now, int fd, uint8_t family)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 r;
    } q = {.h = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
           .r = {.sdiag_family = family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                 .idiag_states = ESTABLISHED_ON}};
    static _Alignas(8) char buf[32768];

    if (send(fd, &q, sizeof q, 0) < 0) {
        return;
    }
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            return;
        }
        size_t left = (size_t)n;
        for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left);
             h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                return;
            }
            take_message(o, now, h);
        }
    }
}
