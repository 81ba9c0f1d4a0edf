/* shutdown and close of a listener: blocked accept ends, pending connections are reset. */
#include <pthread.h>

#include "conform.h"

static int l;

static void *accepter(void *unused)
{
    (void)unused;
    say("blocked accept", accept(l, NULL, NULL));
    return NULL;
}

void peer(void)
{
    hear();
    int fd = dial(ME, PORT + 1);
    tell();
    hear();
    await(fd, POLLHUP);
    say("peer recv", recv(fd, &(char){0}, 1, 0));
    tell();
}

void test(void)
{
    pthread_t t;
    l = listen_at(ME, PORT);
    pthread_create(&t, NULL, accepter, NULL);
    nap_ms(100);
    say("shutdown", shutdown(l, SHUT_RDWR));
    pthread_join(t, NULL);
    printf("shut: %s\n", polled(l, 0));
    say("accept", accept(l, NULL, NULL));
    say("listen again", listen(l, 5));
    close(l);

    l = listen_at(ME, PORT + 1);
    tell();
    hear();
    nap_ms(50);
    close(l);
    tell();
    hear();
    say("refused now", connect_to(tcp(), ME, PORT + 1));
}
