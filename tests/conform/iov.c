/* readv, writev, sendmsg, recvmsg, recvmmsg, sendmmsg: pieces, counts, errors. */
#include "conform.h"

void peer(void)
{
    char buf[100];
    int fd = host();
    say_text("peer recv", buf, recv(fd, buf, 12, MSG_WAITALL));
    send_all(fd, "abcdefghijkl", 12);
    hear();
    close(fd);
}

void test(void)
{
    char a[5], b[4], c[10];
    int fd = guest();
    struct iovec out[4] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"end.", 4}};
    say("writev", writev(fd, out, 4));
    struct iovec in[3] = {{a, 5}, {b, 4}, {c, 10}};
    await(fd, POLLIN);
    nap_ms(30);
    say("readv", readv(fd, in, 3));
    printf("%.5s %.4s %.3s\n", a, b, c);
    say("readv of none", readv(fd, in, 0));
    say("readv of -1", readv(fd, in, -1));
    say("readv of 2000", readv(fd, in, 2000));
    struct iovec bad[1] = {{a, (size_t)-1}};
    say("negative length", readv(fd, bad, 1));
    struct iovec zero[1] = {{a, 0}};
    say("readv of nothing", readv(fd, zero, 1));
    say("read of nothing", read(fd, a, 0));
    say("pread", pread(fd, a, 1, 0));
    say("pwrite", pwrite(fd, "x", 1, 0));
    say("lseek", lseek(fd, 0, SEEK_SET));
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 2000};
    say("too many", sendmsg(fd, &m, 0));
    tell();
    say("end", readv(fd, in, 3));

    int u = udp(), v = udp();
    bind_to(u, ME, PORT + 4);
    connect_to(v, ME, PORT + 4);
    struct mmsghdr mm[3] = {0};
    struct iovec dg[3] = {{"d1", 2}, {"d22", 3}, {"d333", 4}};
    for (int i = 0; i < 3; i++) {
        mm[i].msg_hdr.msg_iov = &dg[i];
        mm[i].msg_hdr.msg_iovlen = 1;
    }
    say("sendmmsg", sendmmsg(v, mm, 3, 0));
    printf("lengths %u %u %u\n", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
    char got[4][8];
    struct iovec rg[4] = {{got[0], 8}, {got[1], 8}, {got[2], 8}, {got[3], 8}};
    struct mmsghdr rr[4] = {0};
    for (int i = 0; i < 4; i++) {
        rr[i].msg_hdr.msg_iov = &rg[i];
        rr[i].msg_hdr.msg_iovlen = 1;
    }
    say("recvmmsg", recvmmsg(u, rr, 4, MSG_WAITFORONE, NULL));
    printf("lengths %u %u %u\n", rr[0].msg_len, rr[1].msg_len, rr[2].msg_len);
    say("recvmmsg, empty", recvmmsg(u, rr, 4, MSG_DONTWAIT, NULL));
}
