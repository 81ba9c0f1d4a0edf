/*
 * optname.c - the names of Linux's socket options, for people: what abi.h numbers.
 */
#include "abi.h"
#include "event.h"

#define NAME(name) [LX_##name] = #name

static const char *const so[] = {NAME(SO_DEBUG),
                                 NAME(SO_REUSEADDR),
                                 NAME(SO_TYPE),
                                 NAME(SO_ERROR),
                                 NAME(SO_DONTROUTE),
                                 NAME(SO_BROADCAST),
                                 NAME(SO_SNDBUF),
                                 NAME(SO_RCVBUF),
                                 NAME(SO_KEEPALIVE),
                                 NAME(SO_OOBINLINE),
                                 NAME(SO_NO_CHECK),
                                 NAME(SO_PRIORITY),
                                 NAME(SO_LINGER),
                                 NAME(SO_REUSEPORT),
                                 NAME(SO_PEERCRED),
                                 NAME(SO_RCVLOWAT),
                                 NAME(SO_SNDLOWAT),
                                 NAME(SO_RCVTIMEO),
                                 NAME(SO_SNDTIMEO),
                                 NAME(SO_BINDTODEVICE),
                                 NAME(SO_TIMESTAMP),
                                 NAME(SO_ACCEPTCONN),
                                 NAME(SO_SNDBUFFORCE),
                                 NAME(SO_RCVBUFFORCE),
                                 NAME(SO_TIMESTAMPNS),
                                 NAME(SO_MARK),
                                 NAME(SO_TIMESTAMPING),
                                 NAME(SO_PROTOCOL),
                                 NAME(SO_DOMAIN),
                                 NAME(SO_RXQ_OVFL),
                                 NAME(SO_PEEK_OFF),
                                 NAME(SO_SELECT_ERR_QUEUE),
                                 NAME(SO_BUSY_POLL),
                                 NAME(SO_MAX_PACING_RATE),
                                 NAME(SO_INCOMING_CPU),
                                 NAME(SO_MEMINFO),
                                 NAME(SO_INCOMING_NAPI_ID),
                                 NAME(SO_COOKIE),
                                 NAME(SO_ZEROCOPY),
                                 NAME(SO_PREFER_BUSY_POLL)};

static const char *const tcp[] = {NAME(TCP_NODELAY),
                                  NAME(TCP_MAXSEG),
                                  NAME(TCP_CORK),
                                  NAME(TCP_KEEPIDLE),
                                  NAME(TCP_KEEPINTVL),
                                  NAME(TCP_KEEPCNT),
                                  NAME(TCP_SYNCNT),
                                  NAME(TCP_LINGER2),
                                  NAME(TCP_DEFER_ACCEPT),
                                  NAME(TCP_WINDOW_CLAMP),
                                  NAME(TCP_INFO),
                                  NAME(TCP_QUICKACK),
                                  NAME(TCP_CONGESTION),
                                  NAME(TCP_MD5SIG),
                                  NAME(TCP_USER_TIMEOUT),
                                  NAME(TCP_FASTOPEN),
                                  NAME(TCP_TIMESTAMP),
                                  NAME(TCP_NOTSENT_LOWAT),
                                  NAME(TCP_CC_INFO),
                                  NAME(TCP_SAVE_SYN),
                                  NAME(TCP_SAVED_SYN),
                                  NAME(TCP_FASTOPEN_CONNECT),
                                  NAME(TCP_ULP),
                                  NAME(TCP_FASTOPEN_KEY),
                                  NAME(TCP_FASTOPEN_NO_COOKIE),
                                  NAME(TCP_MD5SIG_EXT),
                                  NAME(TCP_INQ),
                                  NAME(TCP_TX_DELAY)};

static const char *const ip[] = {NAME(IP_TOS),
                                 NAME(IP_TTL),
                                 NAME(IP_HDRINCL),
                                 NAME(IP_OPTIONS),
                                 NAME(IP_RECVOPTS),
                                 NAME(IP_RETOPTS),
                                 NAME(IP_PKTINFO),
                                 NAME(IP_PKTOPTIONS),
                                 NAME(IP_MTU_DISCOVER),
                                 NAME(IP_RECVERR),
                                 NAME(IP_RECVTTL),
                                 NAME(IP_RECVTOS),
                                 NAME(IP_MTU),
                                 NAME(IP_FREEBIND),
                                 NAME(IP_TRANSPARENT),
                                 NAME(IP_ORIGDSTADDR),
                                 NAME(IP_MINTTL),
                                 NAME(IP_BIND_ADDRESS_NO_PORT),
                                 NAME(IP_RECVERR_RFC4884),
                                 NAME(IP_MULTICAST_IF),
                                 NAME(IP_MULTICAST_TTL),
                                 NAME(IP_MULTICAST_LOOP),
                                 NAME(IP_ADD_MEMBERSHIP),
                                 NAME(IP_DROP_MEMBERSHIP),
                                 NAME(IP_UNBLOCK_SOURCE),
                                 NAME(IP_BLOCK_SOURCE),
                                 NAME(IP_ADD_SOURCE_MEMBERSHIP),
                                 NAME(IP_DROP_SOURCE_MEMBERSHIP),
                                 NAME(IP_MULTICAST_ALL),
                                 NAME(IP_LOCAL_PORT_RANGE)};

static const char *const ip6[] = {
    NAME(IPV6_FLOWINFO),        NAME(IPV6_UNICAST_HOPS),   NAME(IPV6_MULTICAST_IF),
    NAME(IPV6_MULTICAST_HOPS),  NAME(IPV6_MULTICAST_LOOP), NAME(IPV6_ADD_MEMBERSHIP),
    NAME(IPV6_DROP_MEMBERSHIP), NAME(IPV6_MTU_DISCOVER),   NAME(IPV6_MTU),
    NAME(IPV6_RECVERR),         NAME(IPV6_V6ONLY),         NAME(IPV6_RECVERR_RFC4884),
    NAME(IPV6_MULTICAST_ALL),   NAME(IPV6_RECVPKTINFO),    NAME(IPV6_PKTINFO),
    NAME(IPV6_RECVHOPLIMIT),    NAME(IPV6_HOPLIMIT),       NAME(IPV6_RECVHOPOPTS),
    NAME(IPV6_RECVRTHDR),       NAME(IPV6_RECVDSTOPTS),    NAME(IPV6_RECVPATHMTU),
    NAME(IPV6_PATHMTU),         NAME(IPV6_DONTFRAG),       NAME(IPV6_RECVTCLASS),
    NAME(IPV6_TCLASS),          NAME(IPV6_AUTOFLOWLABEL),  NAME(IPV6_MINHOPCOUNT),
    NAME(IPV6_ORIGDSTADDR),     NAME(IPV6_TRANSPARENT),    NAME(IPV6_FREEBIND)};

const char *event_option_name(unsigned level, unsigned option)
{
    static const struct {
        unsigned level, n;
        const char *const *names;
    } tables[] = {{LX_SOL_SOCKET, sizeof so / sizeof *so, so},
                  {LX_IPPROTO_TCP, sizeof tcp / sizeof *tcp, tcp},
                  {LX_IPPROTO_IP, sizeof ip / sizeof *ip, ip},
                  {LX_IPPROTO_IPV6, sizeof ip6 / sizeof *ip6, ip6}};

    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (tables[i].level == level && option < tables[i].n) {
            return tables[i].names[option];
        }
    }
    return 0;
}
