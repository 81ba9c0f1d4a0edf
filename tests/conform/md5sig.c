/* TCP_MD5SIG: the same key on both ends, another, none; keys changed and deleted; prefixes. */
#include "conform.h"

static int key(int fd, const char *ip, const char *text, int prefix)
{
    struct tcp_md5sig sig;
    struct sockaddr_in sin = at(ip, 0);
    memset(&sig, 0, sizeof sig);
    memcpy(&sig.tcpm_addr, &sin, sizeof sin);
    sig.tcpm_keylen = (uint16_t)strlen(text);
    memcpy(sig.tcpm_key, text, strlen(text));
    if (prefix >= 0) {
        sig.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
        sig.tcpm_prefixlen = (uint8_t)prefix;
    }
    return setsockopt(fd, IPPROTO_TCP, prefix >= 0 ? TCP_MD5SIG_EXT : TCP_MD5SIG, &sig, sizeof sig);
}

/* The peer serves, with a key for everybody in 10.77.0.0/24. */
void peer(void)
{
    char buf[4000];
    int l = listen_at(PEER, PORT);
    say("key", key(l, "10.77.0.0", "secret", 24));
    tell();
    int fd = accept(l, NULL, NULL);
    size_t got = 0;
    while (got < 100000) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    printf("got %zu\n", got);
    send_all(fd, "thanks", 6);
    hear();
    close(fd);
    tell();

    /* and then asks */
    hear();
    fd = tcp();
    say("key", key(fd, ME, "hello", -1));
    say("connect", connect_to(fd, ME, PORT));
    send_all(fd, "abc", 3);
    say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
    close(fd);
}

static int attempt(const char *text)
{
    int fd = tcp();
    int ms = 300;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &(int){1}, sizeof(int));
    if (text) {
        say("key", key(fd, PEER, text, -1));
    }
    long ret = connect_to(fd, PEER, PORT);
    printf("%s: %s\n", text ? text : "no key", ret < 0 ? ename(errno) : "connected");
    if (ret == 0) {
        return fd;
    }
    close(fd);
    return -1;
}

void test(void)
{
    static char buf[100000];
    hear();
    attempt(NULL);
    attempt("another");
    int fd = attempt("secret");
    send_all(fd, buf, sizeof buf);
    say_text("recv", buf, recv(fd, buf, 100, 0));
    tell();
    hear();
    say("end", recv(fd, buf, 100, 0));
    close(fd);

    fd = tcp();
    say("delete what is not there", key(fd, PEER, "", -1));
    say("set", key(fd, PEER, "one", -1));
    say("delete", key(fd, PEER, "", -1));
    say("delete again", key(fd, PEER, "", -1));
    say("prefix", key(fd, "10.0.0.0", "x", 8));
    say("prefix too long", key(fd, "10.0.0.0", "x", 33));
    struct tcp_md5sig sig = {.tcpm_keylen = 81, .tcpm_addr.ss_family = AF_INET};
    say("key too long", setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof sig));
    sig.tcpm_addr.ss_family = AF_INET6;
    sig.tcpm_keylen = 3;
    say("family", setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof sig));
    say("short", setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof sig - 1));
    socklen_t len = sizeof sig;
    say("get", getsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &sig, &len));
    close(fd);

    int l = listen_at(ME, PORT);
    say("key", key(l, PEER, "hello", -1));
    tell();
    fd = accept(l, NULL, NULL);
    say_text("recv", buf, recv(fd, buf, 100, 0));
    send_all(fd, "def", 3);
    say("end", recv(fd, buf, 100, 0));
    close(fd);
}
