/*
 * abi.h - the numbers of Linux's socket interface that core speaks, so that a caller hands its
 * own through.
 *
 * core includes no system header. Whoever does (preload, the drill) asserts that these agree with
 * it.
 */
#ifndef STANDIN_CORE_ABI_H
#define STANDIN_CORE_ABI_H

#include <stdint.h>

enum {
    LX_AF_INET = 2,
    LX_AF_INET6 = 10,

    LX_SOCK_STREAM = 1,
    LX_SOCK_DGRAM = 2,

    LX_IPPROTO_IP = 0,
    LX_IPPROTO_ICMP = 1,
    LX_IPPROTO_IGMP = 2,
    LX_IPPROTO_TCP = 6,
    LX_IPPROTO_UDP = 17,
    LX_IPPROTO_IPV6 = 41,
    LX_IPPROTO_ICMPV6 = 58,

    LX_SHUT_RD = 0,
    LX_SHUT_WR = 1,
    LX_SHUT_RDWR = 2,
};

/* poll bits */
enum {
    LX_POLLIN = 0x001,
    LX_POLLPRI = 0x002,
    LX_POLLOUT = 0x004,
    LX_POLLERR = 0x008,
    LX_POLLHUP = 0x010,
    LX_POLLRDNORM = 0x040,
    LX_POLLRDBAND = 0x080,
    LX_POLLWRNORM = 0x100,
    LX_POLLWRBAND = 0x200,
    LX_POLLRDHUP = 0x2000,
};

/* epoll's bits that are not poll's */
#define LX_EPOLLEXCLUSIVE (1u << 28)
#define LX_EPOLLWAKEUP    (1u << 29)
#define LX_EPOLLONESHOT   (1u << 30)
#define LX_EPOLLET        (1u << 31)

#define LX_O_NONBLOCK 0x800u /* of an open file description */

/* flags of send and recv */
enum {
    LX_MSG_OOB = 0x1,
    LX_MSG_PEEK = 0x2,
    LX_MSG_DONTROUTE = 0x4,
    LX_MSG_CTRUNC = 0x8,
    LX_MSG_TRUNC = 0x20,
    LX_MSG_DONTWAIT = 0x40,
    LX_MSG_EOR = 0x80,
    LX_MSG_WAITALL = 0x100,
    LX_MSG_CONFIRM = 0x800,
    LX_MSG_ERRQUEUE = 0x2000,
    LX_MSG_NOSIGNAL = 0x4000,
    LX_MSG_MORE = 0x8000,
    LX_MSG_WAITFORONE = 0x10000,
    LX_MSG_ZEROCOPY = 0x4000000,
    LX_MSG_FASTOPEN = 0x20000000,
    LX_MSG_CMSG_CLOEXEC = 0x40000000,
};

/* SOL_SOCKET */
enum {
    LX_SOL_SOCKET = 1,
    LX_SO_DEBUG = 1,
    LX_SO_REUSEADDR = 2,
    LX_SO_TYPE = 3,
    LX_SO_ERROR = 4,
    LX_SO_DONTROUTE = 5,
    LX_SO_BROADCAST = 6,
    LX_SO_SNDBUF = 7,
    LX_SO_RCVBUF = 8,
    LX_SO_KEEPALIVE = 9,
    LX_SO_OOBINLINE = 10,
    LX_SO_NO_CHECK = 11,
    LX_SO_PRIORITY = 12,
    LX_SO_LINGER = 13,
    LX_SO_REUSEPORT = 15,
    LX_SO_PEERCRED = 17,
    LX_SO_RCVLOWAT = 18,
    LX_SO_SNDLOWAT = 19,
    LX_SO_RCVTIMEO = 20,
    LX_SO_SNDTIMEO = 21,
    LX_SO_BINDTODEVICE = 25,
    LX_SO_TIMESTAMP = 29,
    LX_SO_ACCEPTCONN = 30,
    LX_SO_SNDBUFFORCE = 32,
    LX_SO_RCVBUFFORCE = 33,
    LX_SO_TIMESTAMPNS = 35,
    LX_SO_MARK = 36,
    LX_SO_TIMESTAMPING = 37,
    LX_SO_PROTOCOL = 38,
    LX_SO_DOMAIN = 39,
    LX_SO_RXQ_OVFL = 40,
    LX_SO_PEEK_OFF = 42,
    LX_SO_SELECT_ERR_QUEUE = 45,
    LX_SO_BUSY_POLL = 46,
    LX_SO_MAX_PACING_RATE = 47,
    LX_SO_INCOMING_CPU = 49,
    LX_SO_MEMINFO = 55,
    LX_SO_INCOMING_NAPI_ID = 56,
    LX_SO_COOKIE = 57,
    LX_SO_ZEROCOPY = 60,
    LX_SO_PREFER_BUSY_POLL = 69,
};

/* flags of SO_TIMESTAMPING */
enum {
    LX_SOF_TIMESTAMPING_TX_SOFTWARE = 1 << 1,
    LX_SOF_TIMESTAMPING_RX_SOFTWARE = 1 << 3,
    LX_SOF_TIMESTAMPING_SOFTWARE = 1 << 4,
    LX_SOF_TIMESTAMPING_OPT_ID = 1 << 7,
    LX_SOF_TIMESTAMPING_TX_SCHED = 1 << 8,
    LX_SOF_TIMESTAMPING_TX_ACK = 1 << 9,
    LX_SOF_TIMESTAMPING_OPT_CMSG = 1 << 10,
    LX_SOF_TIMESTAMPING_OPT_TSONLY = 1 << 11,
    LX_SOF_TIMESTAMPING_OPT_STATS = 1 << 12,
    LX_SOF_TIMESTAMPING_OPT_ID_TCP = 1 << 16,
};

/* IPPROTO_TCP */
enum {
    LX_TCP_NODELAY = 1,
    LX_TCP_MAXSEG = 2,
    LX_TCP_CORK = 3,
    LX_TCP_KEEPIDLE = 4,
    LX_TCP_KEEPINTVL = 5,
    LX_TCP_KEEPCNT = 6,
    LX_TCP_SYNCNT = 7,
    LX_TCP_LINGER2 = 8,
    LX_TCP_DEFER_ACCEPT = 9,
    LX_TCP_WINDOW_CLAMP = 10,
    LX_TCP_INFO = 11,
    LX_TCP_QUICKACK = 12,
    LX_TCP_CONGESTION = 13,
    LX_TCP_MD5SIG = 14,
    LX_TCP_USER_TIMEOUT = 18,
    LX_TCP_FASTOPEN = 23,
    LX_TCP_TIMESTAMP = 24,
    LX_TCP_NOTSENT_LOWAT = 25,
    LX_TCP_CC_INFO = 26,
    LX_TCP_SAVE_SYN = 27,
    LX_TCP_SAVED_SYN = 28,
    LX_TCP_FASTOPEN_CONNECT = 30,
    LX_TCP_ULP = 31,
    LX_TCP_FASTOPEN_KEY = 33,
    LX_TCP_FASTOPEN_NO_COOKIE = 34,
    LX_TCP_MD5SIG_EXT = 32,
    LX_TCP_INQ = 36,
    LX_TCP_TX_DELAY = 37,
};

/* IPPROTO_IP */
enum {
    LX_IP_TOS = 1,
    LX_IP_TTL = 2,
    LX_IP_HDRINCL = 3,
    LX_IP_OPTIONS = 4,
    LX_IP_RECVOPTS = 6,
    LX_IP_RETOPTS = 7,
    LX_IP_PKTINFO = 8,
    LX_IP_PKTOPTIONS = 9,
    LX_IP_MTU_DISCOVER = 10,
    LX_IP_RECVERR = 11,
    LX_IP_RECVTTL = 12,
    LX_IP_RECVTOS = 13,
    LX_IP_MTU = 14,
    LX_IP_FREEBIND = 15,
    LX_IP_TRANSPARENT = 19,
    LX_IP_ORIGDSTADDR = 20,
    LX_IP_MINTTL = 21,
    LX_IP_BIND_ADDRESS_NO_PORT = 24,
    LX_IP_RECVERR_RFC4884 = 26,
    LX_IP_MULTICAST_IF = 32,
    LX_IP_MULTICAST_TTL = 33,
    LX_IP_MULTICAST_LOOP = 34,
    LX_IP_ADD_MEMBERSHIP = 35,
    LX_IP_DROP_MEMBERSHIP = 36,
    LX_IP_UNBLOCK_SOURCE = 37,
    LX_IP_BLOCK_SOURCE = 38,
    LX_IP_ADD_SOURCE_MEMBERSHIP = 39,
    LX_IP_DROP_SOURCE_MEMBERSHIP = 40,
    LX_MCAST_JOIN_GROUP = 42, /* these at IPPROTO_IPV6, too */
    LX_MCAST_BLOCK_SOURCE = 43,
    LX_MCAST_UNBLOCK_SOURCE = 44,
    LX_MCAST_LEAVE_GROUP = 45,
    LX_MCAST_JOIN_SOURCE_GROUP = 46,
    LX_MCAST_LEAVE_SOURCE_GROUP = 47,
    LX_IP_MULTICAST_ALL = 49,
    LX_IP_LOCAL_PORT_RANGE = 51,
};

/* IP_MTU_DISCOVER, IPV6_MTU_DISCOVER */
enum {
    LX_IP_PMTUDISC_DONT = 0,      /* never DF; nothing is told */
    LX_IP_PMTUDISC_WANT = 1,      /* DF where it fits, else fragments */
    LX_IP_PMTUDISC_DO = 2,        /* always DF */
    LX_IP_PMTUDISC_PROBE = 3,     /* always DF, whatever is known of the path */
    LX_IP_PMTUDISC_INTERFACE = 4, /* the device's MTU: nothing is learned, no fragments */
    LX_IP_PMTUDISC_OMIT = 5,      /* the same with fragments */
};

/* IPPROTO_IPV6 */
enum {
    LX_IPV6_FLOWINFO = 11,
    LX_IPV6_UNICAST_HOPS = 16,
    LX_IPV6_MULTICAST_IF = 17,
    LX_IPV6_MULTICAST_HOPS = 18,
    LX_IPV6_MULTICAST_LOOP = 19,
    LX_IPV6_ADD_MEMBERSHIP = 20,
    LX_IPV6_DROP_MEMBERSHIP = 21,
    LX_IPV6_MTU_DISCOVER = 23,
    LX_IPV6_MTU = 24,
    LX_IPV6_RECVERR = 25,
    LX_IPV6_V6ONLY = 26,
    LX_IPV6_RECVERR_RFC4884 = 31,
    LX_IPV6_MULTICAST_ALL = 29,
    LX_IPV6_RECVPKTINFO = 49,
    LX_IPV6_PKTINFO = 50,
    LX_IPV6_RECVHOPLIMIT = 51,
    LX_IPV6_HOPLIMIT = 52,
    LX_IPV6_RECVHOPOPTS = 53,
    LX_IPV6_RECVRTHDR = 56,
    LX_IPV6_RECVDSTOPTS = 58,
    LX_IPV6_RECVPATHMTU = 60,
    LX_IPV6_PATHMTU = 61,
    LX_IPV6_DONTFRAG = 62,
    LX_IPV6_RECVTCLASS = 66,
    LX_IPV6_TCLASS = 67,
    LX_IPV6_AUTOFLOWLABEL = 70,
    LX_IPV6_MINHOPCOUNT = 73,
    LX_IPV6_ORIGDSTADDR = 74,
    LX_IPV6_TRANSPARENT = 75,
    LX_IPV6_FREEBIND = 78,
};

/* IPPROTO_UDP */
enum {
    LX_UDP_CORK = 1,
    LX_UDP_NO_CHECK6_TX = 101,
    LX_UDP_NO_CHECK6_RX = 102,
    LX_UDP_SEGMENT = 103,
    LX_UDP_GRO = 104,
};

/* ioctls on a socket */
enum {
    LX_SIOCINQ = 0x541B,  /* FIONREAD */
    LX_SIOCOUTQ = 0x5411, /* TIOCOUTQ: unacknowledged and unsent bytes */
    LX_SIOCATMARK = 0x8905,
    LX_SIOCOUTQNSD = 0x894B, /* unsent bytes */
};

/* struct tcp_info of Linux 7.0: 280 bytes, AccECN fields included */
struct lx_tcp_info {
    uint8_t tcpi_state;
    uint8_t tcpi_ca_state;
    uint8_t tcpi_retransmits;
    uint8_t tcpi_probes;
    uint8_t tcpi_backoff;
    uint8_t tcpi_options;
    uint8_t tcpi_snd_wscale : 4, tcpi_rcv_wscale : 4;
    uint8_t tcpi_delivery_rate_app_limited : 1, tcpi_fastopen_client_fail : 2;

    uint32_t tcpi_rto; /* us */
    uint32_t tcpi_ato; /* us */
    uint32_t tcpi_snd_mss;
    uint32_t tcpi_rcv_mss;

    uint32_t tcpi_unacked; /* segments */
    uint32_t tcpi_sacked;
    uint32_t tcpi_lost;
    uint32_t tcpi_retrans;
    uint32_t tcpi_fackets;

    uint32_t tcpi_last_data_sent; /* ms ago */
    uint32_t tcpi_last_ack_sent;
    uint32_t tcpi_last_data_recv;
    uint32_t tcpi_last_ack_recv;

    uint32_t tcpi_pmtu;
    uint32_t tcpi_rcv_ssthresh;
    uint32_t tcpi_rtt;    /* us */
    uint32_t tcpi_rttvar; /* us */
    uint32_t tcpi_snd_ssthresh;
    uint32_t tcpi_snd_cwnd;
    uint32_t tcpi_advmss;
    uint32_t tcpi_reordering;

    uint32_t tcpi_rcv_rtt;
    uint32_t tcpi_rcv_space;
    uint32_t tcpi_total_retrans;

    uint64_t tcpi_pacing_rate;
    uint64_t tcpi_max_pacing_rate;
    uint64_t tcpi_bytes_acked;
    uint64_t tcpi_bytes_received;
    uint32_t tcpi_segs_out;
    uint32_t tcpi_segs_in;

    uint32_t tcpi_notsent_bytes;
    uint32_t tcpi_min_rtt;
    uint32_t tcpi_data_segs_in;
    uint32_t tcpi_data_segs_out;

    uint64_t tcpi_delivery_rate;
    uint64_t tcpi_busy_time;
    uint64_t tcpi_rwnd_limited;
    uint64_t tcpi_sndbuf_limited;

    uint32_t tcpi_delivered;
    uint32_t tcpi_delivered_ce;

    uint64_t tcpi_bytes_sent;
    uint64_t tcpi_bytes_retrans;
    uint32_t tcpi_dsack_dups;
    uint32_t tcpi_reord_seen;

    uint32_t tcpi_rcv_ooopack;
    uint32_t tcpi_snd_wnd;
    uint32_t tcpi_rcv_wnd;
    uint32_t tcpi_rehash;

    uint16_t tcpi_total_rto;
    uint16_t tcpi_total_rto_recoveries;
    uint32_t tcpi_total_rto_time;

    uint32_t tcpi_received_ce;
    uint32_t tcpi_delivered_e1_bytes;
    uint32_t tcpi_delivered_e0_bytes;
    uint32_t tcpi_delivered_ce_bytes;
    uint32_t tcpi_received_e1_bytes;
    uint32_t tcpi_received_e0_bytes;
    uint32_t tcpi_received_ce_bytes;
    uint32_t tcpi_ecn_mode : 2, tcpi_accecn_opt_seen : 2, tcpi_accecn_fail_mode : 4,
        tcpi_options2 : 24;
};

enum {
    LX_TCPI_OPT_TIMESTAMPS = 1,
    LX_TCPI_OPT_SACK = 2,
    LX_TCPI_OPT_WSCALE = 4,
    LX_TCPI_OPT_ECN = 8,
    LX_TCPI_OPT_ECN_SEEN = 16,
    LX_TCPI_OPT_SYN_DATA = 32,
};

#endif
