/* Urgent data: POLLPRI, MSG_OOB, the mark, inline. */
#include "conform.h"

void peer(void)
{
    for (int i = 0; i < 2; i++) {
        int fd = host();
        send_all(fd, "ab", 2);
        send(fd, "!", 1, MSG_OOB);
        send_all(fd, "cd", 2);
        tell();
        hear();
        close(fd);
    }
}

void test(void)
{
    char buf[20];
    for (int i = 0; i < 2; i++) {
        int fd = guest();
        setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &i, sizeof i);
        hear();
        await(fd, POLLPRI);
        nap_ms(50);
        printf("urgent: %s\n", polled(fd, 0));
        printf("at mark %d\n", sockatmark(fd));
        say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
        printf("at mark %d\n", sockatmark(fd));
        say_text("oob", buf, recv(fd, buf, 1, MSG_OOB));
        printf("then: %s\n", polled(fd, 0));
        say_text("oob again", buf, recv(fd, buf, 1, MSG_OOB));
        say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
        printf("at mark %d\n", sockatmark(fd));
        tell();
        close(fd);
    }
}
