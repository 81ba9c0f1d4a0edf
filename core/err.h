/*
 * err.h - the one list of error codes and the one list of drop reasons, with their texts.
 *
 * A verb of core returns 0 (or a count) or -ERR_x. The names are those of errno without the E, so
 * that the edge of a hook maps them by token pasting; the numbers are our own. A packet that is
 * not used is not an error: it has a reason (DROP_x), a counter and an event.
 */
#ifndef STANDIN_CORE_ERR_H
#define STANDIN_CORE_ERR_H

/* ERR(name, text) */
#define ERR_LIST                                     \
    ERR(AGAIN, "would block")                        \
    ERR(INPROGRESS, "connection in progress")        \
    ERR(ALREADY, "connection already in progress")   \
    ERR(ISCONN, "already connected")                 \
    ERR(NOTCONN, "not connected")                    \
    ERR(DESTADDRREQ, "destination address required") \
    ERR(MSGSIZE, "message too long")                 \
    ERR(PIPE, "broken pipe")                         \
    ERR(CONNREFUSED, "connection refused")           \
    ERR(CONNRESET, "connection reset by peer")       \
    ERR(CONNABORTED, "connection aborted")           \
    ERR(TIMEDOUT, "connection timed out")            \
    ERR(HOSTUNREACH, "no route to host")             \
    ERR(NETUNREACH, "network unreachable")           \
    ERR(HOSTDOWN, "host is down")                    \
    ERR(NETDOWN, "network is down")                  \
    ERR(NONET, "machine is not on the network")      \
    ERR(NOPROTOOPT, "protocol option not available") \
    ERR(PROTO, "protocol error")                     \
    ERR(PROTONOSUPPORT, "protocol not supported")    \
    ERR(OPNOTSUPP, "operation not supported")        \
    ERR(AFNOSUPPORT, "address family not supported") \
    ERR(SOCKTNOSUPPORT, "socket type not supported") \
    ERR(PROTOTYPE, "wrong protocol type for socket") \
    ERR(ADDRINUSE, "address already in use")         \
    ERR(ADDRNOTAVAIL, "address not available")       \
    ERR(NOBUFS, "no buffer space")                   \
    ERR(NOMEM, "out of memory")                      \
    ERR(INVAL, "invalid argument")                   \
    ERR(FAULT, "bad address")                        \
    ERR(ACCES, "permission denied")                  \
    ERR(PERM, "operation not permitted")             \
    ERR(DOM, "argument out of domain")               \
    ERR(NOENT, "no such entry")                      \
    ERR(EXIST, "already exists")                     \
    ERR(BADF, "bad descriptor")                      \
    ERR(NOTSOCK, "not a socket")                     \
    ERR(NFILE, "too many sockets")                   \
    ERR(NODEV, "no such device")                     \
    ERR(INTR, "interrupted by a signal")             \
    ERR(NOMSG, "no message of that type")

enum err {
    ERR_OK,
#define ERR(name, text) ERR_##name,
    ERR_LIST
#undef ERR
        ERR_COUNT
};

/* DROP(name, text): why a packet was not used. */
#define DROP_LIST                                              \
    DROP(IP_SHORT, "IP header incomplete")                     \
    DROP(IP_VERSION, "not IP version 4 or 6")                  \
    DROP(IP_LENGTH, "IP length field does not fit the packet") \
    DROP(IP_CHECKSUM, "IP header checksum wrong")              \
    DROP(IP_OPTIONS, "IP options malformed")                   \
    DROP(IP_SOURCE, "source address not allowed")              \
    DROP(IP_NOT_OURS, "destination is not ours")               \
    DROP(IP_PROTOCOL, "no such protocol here")                 \
    DROP(IP_FRAGMENT, "fragment not reassembled")              \
    DROP(IP_MINTTL, "from further away than the socket takes") \
    DROP(IP6_EXTENSION, "IPv6 extension header malformed")     \
    DROP(ICMP_SHORT, "ICMP message incomplete")                \
    DROP(ICMP_CHECKSUM, "ICMP checksum wrong")                 \
    DROP(ICMP_TYPE, "ICMP type not handled")                   \
    DROP(ICMP_QUOTE, "ICMP error quotes nothing of ours")      \
    DROP(ICMP_RATE, "ICMP rate limit")                         \
    DROP(UDP_SHORT, "UDP header incomplete")                   \
    DROP(UDP_LENGTH, "UDP length field does not fit")          \
    DROP(UDP_CHECKSUM, "UDP checksum wrong")                   \
    DROP(UDP_NO_SOCKET, "no UDP socket on that port")          \
    DROP(UDP_BUFFER, "UDP receive buffer full")                \
    DROP(TCP_SHORT, "TCP header incomplete")                   \
    DROP(TCP_OFFSET, "TCP data offset does not fit")           \
    DROP(TCP_CHECKSUM, "TCP checksum wrong")                   \
    DROP(TCP_OPTIONS, "TCP options malformed")                 \
    DROP(TCP_NO_SOCKET, "no TCP socket for that segment")      \
    DROP(TCP_FLAGS, "flags make no sense here")                \
    DROP(TCP_WINDOW, "outside the receive window")             \
    DROP(TCP_PAWS, "older timestamp (PAWS)")                   \
    DROP(TCP_ACK, "acknowledgment not acceptable")             \
    DROP(TCP_RST, "reset not in sequence")                     \
    DROP(TCP_SYN, "SYN in a synchronized state")               \
    DROP(TCP_BACKLOG, "accept queue full")                     \
    DROP(TCP_SYN_QUEUE, "SYN queue full")                      \
    DROP(TCP_DEFER, "data must come first: TCP_DEFER_ACCEPT")  \
    DROP(TCP_CLOSED, "connection closed")                      \
    DROP(TCP_OLD, "old duplicate")                             \
    DROP(TCP_MEMORY, "no memory for out-of-order data")        \
    DROP(TCP_MD5_MISSING, "no TCP-MD5 signature")              \
    DROP(TCP_MD5_UNEXPECTED, "TCP-MD5 signature not wanted")   \
    DROP(TCP_MD5_FAILURE, "TCP-MD5 signature wrong")           \
    DROP(NO_MEMORY, "no memory")                               \
    DROP(MARTIAN, "source and destination cannot be right")    \
    DROP(IMPAIRED, "dropped by the emulated wire")

enum drop {
    DROP_NONE,
#define DROP(name, text) DROP_##name,
    DROP_LIST
#undef DROP
        DROP_COUNT
};

/* The text of an error (a positive or negative code); "success" for 0. Never NULL. */
const char *err_text(int err);

/* The name of an error as errno spells it ("ECONNRESET"); "OK" for 0. Never NULL. */
const char *err_name(int err);

/* The name ("TCP_PAWS") and text of a drop reason. Never NULL. */
const char *drop_name(enum drop d);
const char *drop_text(enum drop d);

#endif
