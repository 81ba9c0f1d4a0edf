/*
 * matrix.h - the eleven states of RFC 9293 3.3.2 and what arrives in them (3.10.7): a list of
 * cells, one a line, in the notation of the scripts.
 *
 * The eight kinds of segment are those between which 3.10.7 itself decides:
 *
 *     SYN     a SYN alone          DATA    text at RCV.NXT
 *     SYNACK  SYN and ACK          FIN     FIN at RCV.NXT, or again
 *     ACK     an acceptable ACK    RST     a reset exactly at RCV.NXT, or acceptable in SYN-SENT
 *     BADACK  of what was never    RSTOFF  a reset in the window but not at its edge (RFC 5961
 *             sent                         3.2), or unacceptable in SYN-SENT
 *
 * CELL(state, kind, what happens, next state, source): the lines follow the state's own in
 * matrix_lead, each "<" a hundredth of a second later, all others at once; what goes out must be
 * exactly that. EMPTY(state, kind, reason): RFC 9293 fills no such cell. A kind X_... is a
 * further line of the same column. Numbers without an RFC are sections of RFC 9293.
 */
#ifndef STANDIN_TESTS_MATRIX_H
#define STANDIN_TESTS_MATRIX_H

#define CONNECT_                                               \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"            \
    "+0 bind(3, ..., ...) = 0\n"                               \
    "+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"            \
    "+0 connect(3, ..., ...) = -1 EINPROGRESS (In progress)\n" \
    "+0 > S 0:0(0) <...>\n"
#define LISTEN_                                                \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"            \
    "+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0\n" \
    "+0 bind(3, ..., ...) = 0\n"                               \
    "+0 listen(3, 5) = 0\n"
#define ESTABLISHED_                                \
    CONNECT_                                        \
    "+.01 < S. 0:0(0) ack 1 win 65535 <mss 1000>\n" \
    "+0 > . 1:1(0) ack 1\n"
#define FIN_WAIT_1_                 \
    ESTABLISHED_                    \
    "+0 shutdown(3, SHUT_WR) = 0\n" \
    "+0 > F. 1:1(0) ack 1\n"
#define FIN_WAIT_2_ FIN_WAIT_1_ "+.01 < . 1:1(0) ack 2 win 65535\n"
#define CLOSE_WAIT_                      \
    ESTABLISHED_                         \
    "+.01 < F. 1:1(0) ack 1 win 65535\n" \
    "+0 > . 1:1(0) ack 2\n"

/* What brings a connection into its state. */
static const char *const matrix_lead[TCP_STATES] = {
    [TCP_CLOSED] = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n",
    [TCP_LISTEN] = LISTEN_,
    [TCP_SYN_SENT] = CONNECT_,
    [TCP_SYN_RCVD] = LISTEN_ "+0 < S 0:0(0) win 65535 <mss 1000>\n"
                             "+0 > S. 0:0(0) ack 1 <...>\n",
    [TCP_ESTABLISHED] = ESTABLISHED_,
    [TCP_FIN_WAIT_1] = FIN_WAIT_1_,
    [TCP_FIN_WAIT_2] = FIN_WAIT_2_,
    [TCP_CLOSE_WAIT] = CLOSE_WAIT_,
    [TCP_CLOSING] = FIN_WAIT_1_ "+.01 < F. 1:1(0) ack 1 win 65535\n"
                                "+0 > . 2:2(0) ack 2\n",
    [TCP_LAST_ACK] = CLOSE_WAIT_ "+0 close(3) = 0\n"
                                 "+0 > F. 1:1(0) ack 2\n",
    [TCP_TIME_WAIT] = FIN_WAIT_2_ "+.01 < F. 1:1(0) ack 2 win 65535\n"
                                  "+0 > . 2:2(0) ack 2\n",
};

#endif
