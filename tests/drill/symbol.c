/*
 * The constants a script may name, by their names in the system's headers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/check.h"
#include "script.h"

/* Newer than some headers. */
#ifndef SO_EE_ORIGIN_ZEROCOPY
#define SO_EE_ORIGIN_ZEROCOPY 5
#endif
#ifndef SO_EE_CODE_ZEROCOPY_COPIED
#define SO_EE_CODE_ZEROCOPY_COPIED 1
#endif
#ifndef TCP_CM_INQ
#define TCP_CM_INQ 36
#endif
#ifndef SIOCINQ
#define SIOCINQ FIONREAD
#endif
#ifndef SIOCOUTQ
#define SIOCOUTQ TIOCOUTQ
#endif
#define TCP_TX_DELAY_ 37

struct symbol {
    const char *name;
    int64_t value;
};

#define S(x)  \
    {         \
#x, x \
    }

static const struct symbol symbols[] = {
    {"NULL", 0},
    {"SOL_TCP", IPPROTO_TCP},
    {"SOL_UDP", IPPROTO_UDP},
    {"SOL_IP", IPPROTO_IP},
    {"SOL_IPV6", IPPROTO_IPV6},
    {"SOL_ICMPV6", IPPROTO_ICMPV6},
    {"TCP_CM_INQ", TCP_CM_INQ},
    {"TCP_TX_DELAY", TCP_TX_DELAY_},
    {"TCP_FASTOPEN_CONNECT", 30},
    {"TCP_FASTOPEN_KEY", 33},
    {"TCP_FASTOPEN_NO_COOKIE", 34},
    {"TCP_INQ", 36},
    {"IPV6_MINHOPCOUNT", 73},
    {"UDP_SEGMENT", 103},
    {"UDP_GRO", 104},
    {"SO_MEMINFO", 55},
    {"SO_PEEK_OFF", 42},
    {"SO_COOKIE", 57},
    {"SO_ZEROCOPY", 60},
    {"MSG_ZEROCOPY", 0x4000000},
    {"SCM_TIMESTAMPING", SO_TIMESTAMPING},
    S(AF_INET),
    S(AF_INET6),
    S(AF_UNSPEC),
    S(PF_INET),
    S(PF_INET6),
    S(SOCK_STREAM),
    S(SOCK_DGRAM),
    S(SOCK_RAW),
    S(SOCK_NONBLOCK),
    S(SOCK_CLOEXEC),
    S(IPPROTO_IP),
    S(IPPROTO_IPV6),
    S(IPPROTO_TCP),
    S(IPPROTO_UDP),
    S(IPPROTO_ICMP),
    S(IPPROTO_ICMPV6),
    S(INADDR_ANY),
    S(INADDR_LOOPBACK),
    S(SHUT_RD),
    S(SHUT_WR),
    S(SHUT_RDWR),
    S(SOL_SOCKET),
    S(SO_ACCEPTCONN),
    S(SO_BROADCAST),
    S(SO_DEBUG),
    S(SO_DOMAIN),
    S(SO_DONTROUTE),
    S(SO_ERROR),
    S(SO_KEEPALIVE),
    S(SO_LINGER),
    S(SO_MARK),
    S(SO_MAX_PACING_RATE),
    S(SO_NO_CHECK),
    S(SO_OOBINLINE),
    S(SO_PRIORITY),
    S(SO_PROTOCOL),
    S(SO_RCVBUF),
    S(SO_RCVBUFFORCE),
    S(SO_RCVLOWAT),
    S(SO_RCVTIMEO),
    S(SO_REUSEADDR),
    S(SO_REUSEPORT),
    S(SO_SNDBUF),
    S(SO_SNDBUFFORCE),
    S(SO_SNDLOWAT),
    S(SO_SNDTIMEO),
    S(SO_TIMESTAMP),
    S(SO_TIMESTAMPNS),
    S(SO_TIMESTAMPING),
    S(SO_TYPE),
    S(TCP_CONGESTION),
    S(TCP_CORK),
    S(TCP_DEFER_ACCEPT),
    S(TCP_FASTOPEN),
    S(TCP_INFO),
    S(TCP_KEEPCNT),
    S(TCP_KEEPIDLE),
    S(TCP_KEEPINTVL),
    S(TCP_LINGER2),
    S(TCP_MAXSEG),
    S(TCP_MD5SIG),
    S(TCP_NODELAY),
    S(TCP_NOTSENT_LOWAT),
    S(TCP_QUICKACK),
    S(TCP_SAVE_SYN),
    S(TCP_SAVED_SYN),
    S(TCP_SYNCNT),
    S(TCP_TIMESTAMP),
    S(TCP_USER_TIMEOUT),
    S(TCP_WINDOW_CLAMP),
    S(IP_BIND_ADDRESS_NO_PORT),
    S(IP_FREEBIND),
    S(IP_MINTTL),
    S(IP_MTU),
    S(IP_MTU_DISCOVER),
    S(IP_OPTIONS),
    S(IP_PKTINFO),
    S(IP_PMTUDISC_DO),
    S(IP_PMTUDISC_DONT),
    S(IP_PMTUDISC_INTERFACE),
    S(IP_PMTUDISC_OMIT),
    S(IP_PMTUDISC_PROBE),
    S(IP_PMTUDISC_WANT),
    S(IP_RECVERR),
    S(IP_RECVTOS),
    S(IP_RECVTTL),
    S(IP_TOS),
    S(IP_TTL),
    S(IPV6_HOPLIMIT),
    S(IPV6_MTU),
    S(IPV6_MTU_DISCOVER),
    S(IPV6_PKTINFO),
    S(IPV6_RECVERR),
    S(IPV6_RECVHOPLIMIT),
    S(IPV6_RECVPKTINFO),
    S(IPV6_RECVTCLASS),
    S(IPV6_TCLASS),
    S(IPV6_UNICAST_HOPS),
    S(IPV6_V6ONLY),
    S(MSG_CTRUNC),
    S(MSG_DONTROUTE),
    S(MSG_DONTWAIT),
    S(MSG_EOR),
    S(MSG_ERRQUEUE),
    S(MSG_FASTOPEN),
    S(MSG_MORE),
    S(MSG_NOSIGNAL),
    S(MSG_OOB),
    S(MSG_PEEK),
    S(MSG_TRUNC),
    S(MSG_WAITALL),
    S(F_GETFL),
    S(F_SETFL),
    S(F_GETFD),
    S(F_SETFD),
    S(F_DUPFD),
    S(FD_CLOEXEC),
    S(O_RDONLY),
    S(O_WRONLY),
    S(O_RDWR),
    S(O_NONBLOCK),
    S(FIONREAD),
    S(FIONBIO),
    S(SIOCATMARK),
    S(SIOCINQ),
    S(SIOCOUTQ),
    S(SIOCOUTQNSD),
    S(TIOCOUTQ),
    S(POLLERR),
    S(POLLHUP),
    S(POLLIN),
    S(POLLNVAL),
    S(POLLOUT),
    S(POLLPRI),
    S(POLLRDBAND),
    {"POLLRDHUP", 0x2000},
    S(POLLRDNORM),
    S(POLLWRBAND),
    S(POLLWRNORM),
    S(EPOLL_CTL_ADD),
    S(EPOLL_CTL_DEL),
    S(EPOLL_CTL_MOD),
    S(EPOLLERR),
    {"EPOLLET", 1u << 31},
    {"EPOLLEXCLUSIVE", 1u << 28},
    {"EPOLLONESHOT", 1u << 30},
    S(EPOLLHUP),
    S(EPOLLIN),
    S(EPOLLOUT),
    S(EPOLLPRI),
    S(EPOLLRDHUP),
    S(EPOLLRDNORM),
    S(EPOLLWRNORM),
    S(SO_EE_ORIGIN_ICMP),
    S(SO_EE_ORIGIN_ICMP6),
    S(SO_EE_ORIGIN_LOCAL),
    S(SO_EE_ORIGIN_NONE),
    S(SO_EE_ORIGIN_TIMESTAMPING),
    S(SO_EE_ORIGIN_ZEROCOPY),
    S(SO_EE_CODE_ZEROCOPY_COPIED),
    S(SCM_TSTAMP_ACK),
    S(SCM_TSTAMP_SCHED),
    S(SCM_TSTAMP_SND),
    S(SOF_TIMESTAMPING_OPT_CMSG),
    S(SOF_TIMESTAMPING_OPT_ID),
    S(SOF_TIMESTAMPING_OPT_TSONLY),
    S(SOF_TIMESTAMPING_RX_SOFTWARE),
    S(SOF_TIMESTAMPING_SOFTWARE),
    S(SOF_TIMESTAMPING_TX_ACK),
    S(SOF_TIMESTAMPING_TX_SCHED),
    S(SOF_TIMESTAMPING_TX_SOFTWARE),
    S(IPTOS_LOWDELAY),
    S(IPTOS_RELIABILITY),
    S(IPTOS_THROUGHPUT),
};

static const struct symbol errnos[] = {
    S(EACCES),
    S(EADDRINUSE),
    S(EADDRNOTAVAIL),
    S(EAFNOSUPPORT),
    S(EAGAIN),
    S(EALREADY),
    S(EBADF),
    S(ECONNABORTED),
    S(ECONNREFUSED),
    S(ECONNRESET),
    S(EDESTADDRREQ),
    S(EDOM),
    S(EEXIST),
    S(EFAULT),
    S(EHOSTDOWN),
    S(EHOSTUNREACH),
    S(EINPROGRESS),
    S(EINTR),
    S(EINVAL),
    S(EIO),
    S(EISCONN),
    S(EMFILE),
    S(EMSGSIZE),
    S(ENETDOWN),
    S(ENETUNREACH),
    S(ENFILE),
    S(ENOBUFS),
    S(ENODEV),
    S(ENOENT),
    S(ENOMEM),
    S(ENOMSG),
    S(ENONET),
    S(ENOPROTOOPT),
    S(ENOSYS),
    S(ENOTCONN),
    S(ENOTSOCK),
    S(ENOTTY),
    S(EOPNOTSUPP),
    S(EPERM),
    S(EPIPE),
    S(EPROTO),
    S(EPROTONOSUPPORT),
    S(EPROTOTYPE),
    S(ESOCKTNOSUPPORT),
    S(ESPIPE),
    S(ETIMEDOUT),
    {"EWOULDBLOCK", EAGAIN},
};

bool symbol_find(const char *name, int64_t *value)
{
    for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
        if (strcmp(symbols[i].name, name) == 0) {
            *value = symbols[i].value;
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
        if (strcmp(errnos[i].name, name) == 0) {
            *value = errnos[i].value;
            return true;
        }
    }
    return false;
}

const char *symbol_errno(int err, char buf[24])
{
    for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
        if (errnos[i].value == err) {
            return errnos[i].name;
        }
    }
    snprintf(buf, 24, "errno %d", err);
    return buf;
}
