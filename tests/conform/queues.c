/* FIONREAD, SIOCOUTQ, SIOCATMARK, FIONBIO and other ioctls. */
#include <linux/sockios.h>
#include <net/if.h>

#include "conform.h"

void peer(void)
{
    int fd = host();
    send_all(fd, "12345", 5);
    tell();
    hear();
    char buf[10];
    recv(fd, buf, 7, MSG_WAITALL);
    tell();
    hear();
}

void test(void)
{
    int v = -1;
    int fd = guest();
    hear();
    await(fd, POLLIN);
    say("FIONREAD", ioctl(fd, FIONREAD, &v));
    printf("%d\n", v);
    recv(fd, &(char){0}, 1, 0);
    ioctl(fd, FIONREAD, &v);
    printf("%d\n", v);
    say("SIOCATMARK", ioctl(fd, SIOCATMARK, &v));
    printf("%d\n", v);
    send_all(fd, "7654321", 7);
    tell();
    hear();
    nap_ms(100);
    say("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &v));
    printf("%d\n", v);
    int on = 1;
    say("FIONBIO", ioctl(fd, FIONBIO, &on));
    printf("nonblock %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    recv(fd, (char[10]){0}, 10, 0);
    say("recv", recv(fd, &v, 1, 0));
    on = 0;
    ioctl(fd, FIONBIO, &on);
    printf("nonblock %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    say("unknown", ioctl(fd, 0x12345678, &v));
    printf("a terminal: %d\n", isatty(fd));
    struct ifreq ifr = {.ifr_name = "lo"};
    say("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &ifr));
    printf("loopback %d\n", (ifr.ifr_flags & IFF_LOOPBACK) != 0);
    int l = listen_at(ME, PORT + 5);
    say("FIONREAD of a listener", ioctl(l, FIONREAD, &v));
    int u = udp();
    say("FIONREAD of a datagram socket", ioctl(u, FIONREAD, &v));
    struct stat st;
    fstat(fd, &st);
    printf("fstat says socket: %d\n", S_ISSOCK(st.st_mode));
    tell();
}
