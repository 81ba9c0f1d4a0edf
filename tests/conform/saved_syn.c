/* TCP_SAVE_SYN and TCP_SAVED_SYN: values, errors, lengths; what is saved is the SYN. TCP_TX_DELAY's
 * bounds. */
#include "conform.h"

void peer(void)
{
    hear();
    for (int i = 0; i < 2; i++) {
        int fd = tcp();
        say("connect", connect_to(fd, ME, PORT));
        hear();
        close(fd);
    }
}

static int set(int fd, int name, int v)
{
    return setsockopt(fd, IPPROTO_TCP, name, &v, sizeof v);
}

static void show(const char *what, int fd, socklen_t len)
{
    uint8_t b[200] = {0};
    long ret = getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, b, &len);
    say(what, ret);
    printf("%s: %u bytes\n", what, (unsigned)len);
    if (ret == 0 && len >= 40) {
        uint16_t to = (uint16_t)(b[22] << 8 | b[23]);
        printf("version %d, protocol %d, to port %d, flags %#x, header %d, first option %d\n",
               b[0] >> 4, b[9], to == PORT, b[33], b[32] >> 4, b[40]);
    }
}

static void get(const char *what, int fd, int name)
{
    int v = -1;
    socklen_t len = sizeof v;
    say(what, getsockopt(fd, IPPROTO_TCP, name, &v, &len));
    printf("%s: %d in %u bytes\n", what, v, (unsigned)len);
}

void test(void)
{
    int l = listen_at(ME, PORT);
    static const int values[] = {2, 3, -1, 1};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        say("TCP_SAVE_SYN", set(l, TCP_SAVE_SYN, values[i]));
    }
    get("TCP_SAVE_SYN", l, TCP_SAVE_SYN);
    say("set TCP_SAVED_SYN", set(l, TCP_SAVED_SYN, 1));
    show("listener", l, 200);
    tell();
    int fd = accept(l, NULL, NULL);
    get("child", fd, TCP_SAVE_SYN);
    show("too short", fd, 10);
    show("saved", fd, 200);
    show("again", fd, 200);
    tell();
    close(fd);
    say("TCP_SAVE_SYN", set(l, TCP_SAVE_SYN, 0));
    fd = accept(l, NULL, NULL); /* whose SYN may have come before or after */
    get("child", fd, TCP_TX_DELAY);
    static const int delays[] = {1000, -1, 0x0fffffff, 0x10000000, 0};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        say("TCP_TX_DELAY", set(fd, TCP_TX_DELAY, delays[i]));
        get("TCP_TX_DELAY", fd, TCP_TX_DELAY);
    }
    tell();
    close(fd);
}
