/* The error queue: times of transmission, completions of MSG_ZEROCOPY, on TCP and UDP. */
#include "conform.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

void peer(void)
{
    char buf[4096];
    bind_to(udp(), PEER, PORT + 1); /* takes what is sent there */
    int fd = host();
    for (int i = 0; i < 4; i++) { /* a thousand bytes a turn */
        size_t got = 0;
        while (got < 1000) {
            ssize_t n = recv(fd, buf, sizeof buf, 0);
            if (n <= 0) {
                die("recv");
            }
            got += (size_t)n;
        }
        tell();
        hear();
    }
    close(fd);
    hear();
}

static const char *origin(int o)
{
    return o == SO_EE_ORIGIN_TIMESTAMPING ? "timestamping"
           : o == SO_EE_ORIGIN_ZEROCOPY   ? "zerocopy"
           : o == SO_EE_ORIGIN_ICMP       ? "icmp"
                                          : "other";
}

static void show(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING) {
            struct timespec now, ts[3];
            memcpy(ts, CMSG_DATA(c), sizeof ts);
            clock_gettime(CLOCK_REALTIME, &now);
            printf("  time: now %d, hardware none %d\n", labs(now.tv_sec - ts[0].tv_sec) <= 5,
                   ts[2].tv_sec == 0 && ts[2].tv_nsec == 0);
        } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) {
            struct sock_extended_err ee;
            struct sockaddr_in off;
            memcpy(&ee, CMSG_DATA(c), sizeof ee);
            memcpy(&off, CMSG_DATA(c) + sizeof ee, sizeof off);
            printf("  %s: errno %s type %d code %d info %u data %u, offender %d\n",
                   origin(ee.ee_origin), ename((int)ee.ee_errno), ee.ee_type, ee.ee_code,
                   ee.ee_info, ee.ee_data, off.sin_family);
        } else {
            printf("  level %d type %d\n", c->cmsg_level, c->cmsg_type);
        }
    }
}

static void drain(int fd, const char *what)
{
    for (;;) {
        char data[64], control[512];
        struct iovec v = {data, 0};
        struct msghdr m = {.msg_iov = &v,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        long n = recvmsg(fd, &m, MSG_ERRQUEUE);
        say(what, n);
        if (n < 0) {
            return;
        }
        printf("  flags %s%s\n", m.msg_flags & MSG_ERRQUEUE ? "errqueue " : "",
               m.msg_flags & MSG_TRUNC ? "trunc" : "");
        show(&m);
    }
}

static void stamps(int fd, int type)
{
    char buf[1000] = {0};
    int f = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID;
    f |= type == SOCK_STREAM ? SOF_TIMESTAMPING_TX_ACK : 0;
    drain(fd, "nothing yet");
    say("timestamping", setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &f, sizeof f));
    say("send", send(fd, buf, sizeof buf, 0));
    if (type == SOCK_STREAM) {
        hear();
        nap_ms(50);
    }
    await(fd, POLLERR);
    printf("%s\n", polled(fd, 0));
    drain(fd, "with the packet");
    f |= SOF_TIMESTAMPING_OPT_TSONLY;
    say("timestamping", setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &f, sizeof f));
    if (type == SOCK_STREAM) {
        tell();
    }
    say("send", send(fd, buf, sizeof buf, 0));
    if (type == SOCK_STREAM) {
        hear();
        nap_ms(50);
    }
    await(fd, POLLERR);
    drain(fd, "the time only");
    f = 0;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &f, sizeof f);
}

/* What one call asks for, whatever the socket does. */
static void by_message(int fd, uint32_t flags)
{
    char buf[1000] = {0}, control[64] = {0};
    int f = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(sizeof flags)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SO_TIMESTAMPING;
    c->cmsg_len = CMSG_LEN(sizeof flags);
    memcpy(CMSG_DATA(c), &flags, sizeof flags);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &f, sizeof f);
    say("sendmsg", sendmsg(fd, &m, 0));
    nap_ms(20);
    drain(fd, "this call");
    f = 0;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &f, sizeof f);
}

void test(void)
{
    char buf[1000] = {0};
    int on = 1;
    int fd = guest();
    stamps(fd, SOCK_STREAM);
    tell();
    say("without the option", send(fd, buf, 500, MSG_ZEROCOPY));
    say("zerocopy", setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on));
    say("send", send(fd, buf, 500, MSG_ZEROCOPY));
    hear();
    await(fd, POLLERR);
    drain(fd, "one");
    tell();
    say("send", send(fd, buf, 500, MSG_ZEROCOPY));
    say("send", send(fd, buf, 500, MSG_ZEROCOPY));
    hear();
    nap_ms(50);
    await(fd, POLLERR);
    drain(fd, "two in one");
    printf("error %s\n", ename(so_error(fd)));
    by_message(fd, SOF_TIMESTAMPING_TX_SOFTWARE);
    by_message(fd, SOF_TIMESTAMPING_SOFTWARE);
    tell();
    close(fd);
    int u = udp();
    connect_to(u, PEER, PORT + 1);
    say("recverr", setsockopt(u, SOL_IP, IP_RECVERR, &(int){0}, sizeof(int)));
    stamps(u, SOCK_DGRAM);
    by_message(u, SOF_TIMESTAMPING_TX_SOFTWARE);
    by_message(u, SOF_TIMESTAMPING_SOFTWARE);
    close(u);
    tell();
}
