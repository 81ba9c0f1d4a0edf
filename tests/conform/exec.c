/* Sockets that stay open over exec: a connection, a listener on the wildcard address, their
 * flags. */
#include "conform.h"

void peer(void)
{
    char buf[10];
    int fd = host();
    say_text("peer recv", buf, recv(fd, buf, 5, MSG_WAITALL));
    hear();
    int c = dial(ME, PORT + 1);
    say_text("peer recv", buf, recv(c, buf, 2, MSG_WAITALL));
    say("peer recv", recv(fd, buf, 1, 0));
    close(c);
}

static void serve(int l)
{
    int c = accept(l, NULL, NULL);
    send_all(c, "ok", 2);
    close(c);
}

int again(int argc, char **argv)
{
    char buf[2];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 5) {
        return 1;
    }
    int fd = atoi(argv[2]), l = atoi(argv[3]);
    ctl = atoi(argv[4]);
    printf("after exec: nonblock %d, closed %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0,
           fcntl(atoi(argv[5]), F_GETFD) < 0);
    fcntl(fd, F_SETFL, 0);
    send_all(fd, "hello", 5);
    tell();
    printf("listener: %s\n", polled(l, 3000));
    serve(l);
    int k = tcp();
    say("loopback", connect_to(k, "127.0.0.1", PORT + 1));
    printf("listener: %s\n", polled(l, 3000));
    serve(l);
    say("recv", recv(k, buf, 2, MSG_WAITALL));
    return 0;
}

void test(void)
{
    char a[4][12];
    int fd = guest();
    int l = listen_at("0.0.0.0", PORT + 1);
    int gone = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    nonblock(fd);
    int n[4] = {fd, l, ctl, gone};
    for (int i = 0; i < 4; i++) {
        snprintf(a[i], sizeof a[i], "%d", n[i]);
    }
    execl("/proc/self/exe", "exec", "again", a[0], a[1], a[2], a[3], (char *)NULL);
    die("execl");
}
