/* MSG_PEEK leaves the bytes; MSG_WAITALL, MSG_DONTWAIT, MSG_TRUNC on a stream. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    send_all(fd, "hello", 5);
    tell();
    hear();
    nap_ms(50);
    send_all(fd, "wor", 3);
    nap_ms(50);
    send_all(fd, "ld!", 3);
    hear();
    close(fd);
}

void test(void)
{
    char buf[100];
    int fd = guest();
    hear();
    await(fd, POLLIN);
    say_text("peek", buf, recv(fd, buf, 3, MSG_PEEK));
    say_text("peek", buf, recv(fd, buf, sizeof buf, MSG_PEEK));
    say_text("recv", buf, recv(fd, buf, 2, 0));
    say_text("peek", buf, recv(fd, buf, sizeof buf, MSG_PEEK | MSG_DONTWAIT));
    say("truncate", recv(fd, NULL, 2, MSG_TRUNC));
    say_text("waitall, no wait", buf, recv(fd, buf, 10, MSG_WAITALL | MSG_DONTWAIT));
    say("empty", recv(fd, buf, 1, MSG_DONTWAIT));
    tell();
    say_text("peek waitall", buf, recv(fd, buf, 6, MSG_PEEK | MSG_WAITALL));
    say_text("waitall", buf, recv(fd, buf, 6, MSG_WAITALL));
    tell();
    say_text("waitall at the end", buf, recv(fd, buf, 6, MSG_WAITALL));
}
