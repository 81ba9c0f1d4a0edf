/* connect(2) to a port where nobody listens, blocking and not, and what the socket is
 * afterwards. */
#include "conform.h"

void peer(void)
{
    hear();
}

void test(void)
{
    int fd = tcp();
    printf("fresh: %s\n", polled(fd, 0));
    say("connect", connect_to(fd, PEER, 5999));
    printf("after: %s SO_ERROR %s\n", polled(fd, 0), ename(so_error(fd)));
    say("connect again", connect_to(fd, PEER, 5999));
    say("recv", recv(fd, &(char){0}, 1, 0));
    say("send", send(fd, "x", 1, MSG_NOSIGNAL));

    int nb = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("non-blocking", connect_to(nb, PEER, 5999));
    await(nb, POLLOUT);
    printf("failed: %s\n", polled(nb, 0));
    printf("SO_ERROR %s then %s\n", ename(so_error(nb)), ename(so_error(nb)));
    printf("then: %s\n", polled(nb, 0));

    int nb2 = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("non-blocking", connect_to(nb2, PEER, 5999));
    await(nb2, POLLOUT);
    say("connect tells", connect_to(nb2, PEER, 5999));
    tell();
}
