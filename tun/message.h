/*
 * message.h - what members and the keeper say to each other over the session's socket; for tun
 * only.
 *
 * SOCK_SEQPACKET: one message, one record. A member sends a hello, the keeper answers with a
 * welcome, with descriptors where the operation has some. Both ends are of one build (it is
 * compared), so the structs are sent as they are.
 */
#ifndef STANDIN_TUN_MESSAGE_H
#define STANDIN_TUN_MESSAGE_H

#include "tun/session.h"

#define MESSAGE_MAGIC 0x53544431u /* "STD1" */
#define FILTER_MAX    128
#define NOTE_MAX      512
#define KEEPER_FD     3 /* where a new keeper finds the one who started it */

enum hello_op {
    HELLO_JOIN,    /* become a member: arena, TUN and timer come with the welcome */
    HELLO_HOLD,    /* keep the session while this connection is open */
    HELLO_ATTACH,  /* a member that lost its keeper: nothing but the connection */
    HELLO_FDS,     /* the descriptors again */
    HELLO_LEAVE,   /* the member has let go of everything */
    HELLO_OBSERVE, /* look: the arena comes with the welcome, for reading only */
    HELLO_FORKED,  /* a member made by fork; its pidfd comes along. No welcome */
};

struct hello {
    uint32_t magic;
    uint32_t op;
    uint32_t member;
    int32_t pid;
    char build[48];
    char token[SESSION_TOKEN];
    char comm[16];
};

/* Descriptors of a welcome. */
enum { WELCOME_ARENA, WELCOME_TUN, WELCOME_TIMER, WELCOME_FDS };

struct welcome {
    uint32_t magic;
    int32_t code; /* SESSION_* or -errno */
    int32_t err;
    uint32_t member;
    uint32_t rejoined;
    uint32_t epoch;
    uint64_t map_size;
};

/* From the one who starts a keeper: with its pidfd, or for a session that lost its keeper with the
 * WELCOME_FDS. */
struct order {
    uint32_t magic;
    uint32_t resume;
    char build[48];
    uint64_t map_size;
    int32_t pidfd_at; /* which of the descriptors that come with it; -1: none */
    int32_t pcap_at;
    int32_t link_at;
    int32_t trace_at;
    char note[NOTE_MAX];
    char filter[FILTER_MAX];
    struct session_config cfg;
};

#endif
