/* The error queue: what IP_RECVERR and IPV6_RECVERR tell of refused and of too large datagrams;
 * pending errors beside it. */
#include "conform.h"

#include <linux/errqueue.h>
#include <sys/uio.h>

static void show(const char *what, int u)
{
    char buf[2000], control[512], ip[64] = "-", offender[64] = "-";
    struct sockaddr_storage from = {0};
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(u, &m, MSG_ERRQUEUE);
    say(what, n);
    if (n < 0) {
        return;
    }
    if (from.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&from)->sin_addr, ip, sizeof ip);
        printf("  to %s:%d", ip, ntohs(((struct sockaddr_in *)&from)->sin_port));
    } else if (from.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&from)->sin6_addr, ip, sizeof ip);
        printf("  to [%s]:%d", ip, ntohs(((struct sockaddr_in6 *)&from)->sin6_port));
    }
    printf(" flags %s%s\n", m.msg_flags & MSG_ERRQUEUE ? "ERRQUEUE " : "",
           m.msg_flags & ~MSG_ERRQUEUE ? "more" : "");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct sock_extended_err ee;
        struct sockaddr_storage off = {0};
        memcpy(&ee, CMSG_DATA(c), sizeof ee);
        memcpy(&off, CMSG_DATA(c) + sizeof ee,
               c->cmsg_len - CMSG_LEN(sizeof ee) < sizeof off ? c->cmsg_len - CMSG_LEN(sizeof ee)
                                                              : sizeof off);
        if (off.ss_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)&off)->sin_addr, offender, sizeof offender);
        } else if (off.ss_family == AF_INET6) {
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&off)->sin6_addr, offender,
                      sizeof offender);
        }
        printf("  level %d type %d: %s origin %d type %d code %d info %u data %u offender %s\n",
               c->cmsg_level, c->cmsg_type, strerrorname_np((int)ee.ee_errno), ee.ee_origin,
               ee.ee_type, ee.ee_code, ee.ee_info, ee.ee_data, offender);
    }
}

static void pending(const char *what, int u)
{
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(u, SOL_SOCKET, SO_ERROR, &err, &len);
    printf("%s: %s\n", what, err ? strerrorname_np(err) : "none");
}

static void poll_in(int u)
{
    struct pollfd p = {.fd = u, .events = POLLIN};
    int n = poll(&p, 1, 5000);
    printf("poll %d %s\n", n, bits((uint32_t)p.revents));
}

void peer(void)
{
    tell(); /* nobody listens here */
    hear();
}

void test(void)
{
    struct sockaddr_in to = at(PEER, PORT);
    struct sockaddr_in6 to6 = at6(PEER6, PORT);
    static char big[70000];
    char buf[10];
    int u = udp(), s = socket(AF_INET6, SOCK_DGRAM, 0), c = udp(), on = 1, v = IP_PMTUDISC_DO;
    hear();
    setsockopt(u, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    setsockopt(s, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);

    show("nothing yet", u);
    say("send", sendto(u, "hello", 5, 0, (struct sockaddr *)&to, sizeof to));
    poll_in(u);
    pending("pending", u);
    show("refused", u);
    pending("after it", u);
    show("no more", u);

    say("send", sendto(u, "hello", 5, 0, (struct sockaddr *)&to, sizeof to));
    poll_in(u);
    say("recv", recv(u, buf, sizeof buf, MSG_DONTWAIT));
    say("recv", recv(u, buf, sizeof buf, MSG_DONTWAIT));
    show("refused", u);

    say("send six", sendto(s, "hello", 5, 0, (struct sockaddr *)&to6, sizeof to6));
    poll_in(s);
    show("refused six", s);

    say("never fragment", setsockopt(u, IPPROTO_IP, IP_MTU_DISCOVER, &v, sizeof v));
    say("too large", sendto(u, big, 2000, 0, (struct sockaddr *)&to, sizeof to));
    pending("pending", u);
    show("too large", u);
    say("longer than any", sendto(u, big, 66000, 0, (struct sockaddr *)&to, sizeof to));
    show("longer than any", u);
    say("dontfrag", setsockopt(s, IPPROTO_IPV6, IPV6_DONTFRAG, &on, sizeof on));
    say("too large six", sendto(s, big, 2000, 0, (struct sockaddr *)&to6, sizeof to6));
    show("too large six", s);

    say("connect", connect(c, (struct sockaddr *)&to, sizeof to)); /* without IP_RECVERR */
    say("send", send(c, "hello", 5, 0));
    poll_in(c);
    say("send", send(c, "hello", 5, 0));
    show("no queue", c);
}
