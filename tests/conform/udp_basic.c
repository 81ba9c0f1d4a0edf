/* Datagrams: boundaries, truncation, sender's address, control messages, connected and not. */
#include "conform.h"

void peer(void)
{
    char buf[100];
    int u = udp();
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    bind_to(u, PEER, PORT);
    tell();
    for (int i = 0; i < 3; i++) {
        ssize_t n = recvfrom(u, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
        say_text("peer", buf, n);
        sendto(u, "first answer", 12, 0, (struct sockaddr *)&from, len);
        sendto(u, "", 0, 0, (struct sockaddr *)&from, len);
        sendto(u, "second", 6, 0, (struct sockaddr *)&from, len);
    }
    int other = udp();
    bind_to(other, PEER, PORT + 1);
    hear();
    sendto(other, "stranger", 8, 0, (struct sockaddr *)&from, len);
    tell();
    hear();
}

void test(void)
{
    char buf[100];
    int u = udp();
    struct sockaddr_in to = at(PEER, PORT), from;
    socklen_t len = sizeof from;
    hear();
    say("no destination", send(u, "x", 1, 0));
    say("short address", sendto(u, "x", 1, 0, (struct sockaddr *)&to, 7));
    struct sockaddr_in zero = at(PEER, 0);
    say("port 0", sendto(u, "x", 1, 0, (struct sockaddr *)&zero, sizeof zero));
    say("sendto", sendto(u, "one", 3, 0, (struct sockaddr *)&to, sizeof to));
    say_text("recvfrom", buf, recvfrom(u, buf, 5, 0, (struct sockaddr *)&from, &len));
    printf("from port %d length %u\n", ntohs(from.sin_port), len);
    say("empty", recv(u, buf, sizeof buf, 0));
    say("trunc", recv(u, buf, 3, MSG_TRUNC));
    say("nothing", recv(u, buf, 3, MSG_DONTWAIT));

    int on = 1;
    setsockopt(u, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    sendto(u, "two", 3, 0, (struct sockaddr *)&to, sizeof to);
    char control[256];
    struct iovec iov = {buf, 6};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    say_text("recvmsg", buf, recvmsg(u, &m, 0));
    printf("flags %x namelen %u\n", m.msg_flags, m.msg_namelen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("  control level %d type %d length %zu\n", c->cmsg_level, c->cmsg_type,
               (size_t)c->cmsg_len);
    }
    m.msg_controllen = 20;
    say("recvmsg, little room", recvmsg(u, &m, 0));
    printf("flags %x controllen %zu\n", m.msg_flags, (size_t)m.msg_controllen);
    recv(u, buf, sizeof buf, 0);

    say("connect", connect_to(u, PEER, PORT));
    say("send", send(u, "three", 5, 0));
    say_text("recv", buf, recv(u, buf, sizeof buf, 0));
    recv(u, buf, sizeof buf, 0);
    recv(u, buf, sizeof buf, 0);
    tell();
    hear();
    nap_ms(30);
    say("stranger", recv(u, buf, sizeof buf, MSG_DONTWAIT));
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    say("dissolve", connect(u, &unspec, sizeof unspec));
    say("peer name", getpeername(u, (struct sockaddr *)&from, &len));
    static char big[70000];
    say("too long", sendto(u, big, sizeof big, 0, (struct sockaddr *)&to, sizeof to));
    say("listen", listen(u, 1));
    say("accept", accept(u, NULL, NULL));
    tell();
}
