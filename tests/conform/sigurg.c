/* SIGURG: its owner, by fcntl and ioctl; once per announcement; nobody without an owner. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    for (int i = 0; i < 3; i++) {
        hear();
        send(fd, "!", 1, MSG_OOB);
        tell();
    }
    hear();
    close(fd);
}

static volatile sig_atomic_t count;

static void on_urgent(int sig)
{
    (void)sig;
    count++;
}

static void one(int fd, const char *what)
{
    char c = 0;
    tell();
    hear();
    await(fd, POLLPRI);
    for (int i = 0; i < 20 && count == 0; i++) {
        nap_ms(5);
    }
    printf("%s: %d signals\n", what, (int)count);
    say_text("oob", &c, recv(fd, &c, 1, MSG_OOB));
    count = 0;
}

void test(void)
{
    int fd = guest();
    signal(SIGURG, on_urgent);
    one(fd, "no owner");
    say("setown", fcntl(fd, F_SETOWN, getpid()));
    printf("owner is me: %d\n", fcntl(fd, F_GETOWN) == getpid());
    one(fd, "fcntl");
    say("setown", fcntl(fd, F_SETOWN, 0));
    int me = getpid();
    say("ioctl", ioctl(fd, FIOSETOWN, &me));
    one(fd, "ioctl");
    tell();
    close(fd);
}
