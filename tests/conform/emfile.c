/* No descriptors left: socket and accept say EMFILE, the waiting connection is not lost. */
#include <sys/resource.h>

#include "conform.h"

void peer(void)
{
    char c;
    hear();
    int fd = dial(ME, PORT);
    tell();
    say("peer recv", recv(fd, &c, 1, 0));
}

void test(void)
{
    int l = listen_at(ME, PORT);
    struct rlimit lim;
    int held[2000];
    int n = 0;
    tell();
    hear();
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = 40;
    setrlimit(RLIMIT_NOFILE, &lim);
    while (n < 2000 && (held[n] = dup(0)) >= 0) {
        n++;
    }
    say("dup", -1);
    say("socket", socket(AF_INET, SOCK_STREAM, 0));
    printf("listener: %s\n", polled(l, 1000));
    say("accept", accept(l, NULL, NULL));
    printf("listener: %s\n", polled(l, 0));
    close(held[n - 1]);
    int c = accept(l, NULL, NULL);
    printf("accepted %d\n", c >= 0);
    say("send", send(c, "x", 1, 0));
    close(held[n - 2]);
}
