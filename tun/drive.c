/*
 * drive.c - theory of operation: one turn of the stack, and what a member lends to core while it
 * turns.
 *
 * Whoever holds the lock may drive: packets are read from the TUN one by one and fed to the stack,
 * with a fresh time for each (a write in between runs the peer's receive path: microseconds), then
 * what is due expires, then the batch ends. There is one buffer a process: only the holder of the
 * lock reads.
 *
 * A turn without a limit still ends after TURN_MAX packets, so that others get the lock; *drained
 * says whether it should be continued.
 *
 * last_drive is the sign by which the loops see that the program itself drives (loop.h); they mark
 * their own threads with drive_not_program.
 */
#include <errno.h>
#include <string.h>

#include "core/check.h"
#include "tun/arena.h"
#include "tun/live_wire.h"
#include "tun/lock.h"
#include "tun/pktring.h"
#include "tun/sysio.h"

#define TURN_MAX   256u
#define RANDOM_LEN 256u

static __thread bool not_program __attribute__((tls_model("initial-exec")));

/* Used under the lock only. */
static uint8_t scratch[LINK_READ_MAX] __attribute__((aligned(64)));
static uint8_t random_pool[RANDOM_LEN];
static uint32_t random_left;

void drive_not_program(void)
{
    not_program = true;
}

void drive_seen(struct session *s, const struct env *env)
{
    if (!not_program) {
        __atomic_store_n(&s->arena->last_drive, env->now, __ATOMIC_RELAXED);
    }
}

void drive_forked(void)
{
    random_left = 0; /* not the same numbers as the parent */
    not_program = false;
}

/* What core asks of us */

static void op_emit(struct env *env, const struct pkt_out *pkt)
{
    struct session *s = env->ctx;
    uint64_t events = s->stack->events->next;
    int err = LIKELY(s->wire == NULL) ? link_send(&s->link, pkt) : live_wire_out(s, env, pkt);
    if (UNLIKELY(s->arena->pkts != NULL)) {
        pktring_out(s->arena->pkts, s->stack, env, pkt, err != 0, events);
    }
    if (UNLIKELY(err == -EBADF)) {
        s->fds_bad = true;
    }
}

static int op_grow(struct env *env, size_t size)
{
    struct session *s = env->ctx;
    return arena_grow(s, size) ? -ERR_NOMEM : 0;
}

static void random_fill(uint8_t *to, size_t len)
{
    while (len) {
        long n = sys_getrandom(to, len);
        if (n > 0) {
            to += n;
            len -= (size_t)n;
        }
    }
}

static void op_random(struct env *env, void *buf, size_t len)
{
    (void)env;
    if (len > RANDOM_LEN) {
        random_fill(buf, len);
        return;
    }
    if (len > random_left) {
        random_fill(random_pool, RANDOM_LEN);
        random_left = RANDOM_LEN;
    }
    random_left -= (uint32_t)len;
    memcpy(buf, random_pool + random_left, len);
    memset(random_pool + random_left, 0,
           len); /* a number is used once, and not to be found later */
}

/* A packet to ourselves: the capture shows it too. */
static void op_looped(struct env *env, const struct pkt_in *pkt)
{
    struct session *s = env->ctx;
    struct pktring *r = s->arena->pkts;
    if (r) {
        pktring_looped(r, s->stack, env, pkt);
    }
}

const struct env_ops session_ops = {
    .emit = op_emit, .grow = op_grow, .random = op_random, .looped = op_looped};

void drive_input(struct session *s, struct env *env, const struct pkt_in *in)
{
    struct pktring *r = s->arena->pkts;
    if (LIKELY(r == NULL)) {
        stack_input(s->stack, env, in);
        return;
    }
    uint64_t token = pktring_in(r, s->stack, env, in);
    stack_input(s->stack, env, in);
    pktring_in_done(r, s->stack, token);
}

/* A turn */

/* Over the emulated wire: none of its bytes go anywhere at once. */
static int take_to_wire(struct session *s, struct env *env)
{
    struct pkt_in in;
    int ret = link_recv(&s->link, scratch, &in);
    if (ret > 0) {
        live_wire_in(s, env, &in);
    }
    return ret;
}

/* One packet, if there is one: the bytes of a bulk transfer go where they belong at once. `own`:
 * the program's memory for that stream, or empty. *landed: what it got. */
static int take_packet(struct session *s, struct env *env, struct sock *likely, struct mspan own,
                       size_t *landed)
{
    struct rx_place pl;
    struct pkt_in in;

    *landed = 0;
    if (UNLIKELY(s->wire != NULL)) {
        return take_to_wire(s, env);
    }
    bool captured = s->arena->pkts != NULL; /* the ring wants a packet in one piece */
    if (LIKELY(!likely) || captured || !place_ready(s->stack, env, likely, own, &pl)) {
        int ret = link_recv(&s->link, scratch, &in);
        if (ret > 0) {
            drive_input(s, env, &in);
        }
        return ret;
    }
    int ret = link_recv_placed(&s->link, scratch, &pl, &in);
    if (ret > 0 && !stack_input_placed(s->stack, env, &in, &pl, landed)) {
        link_gather(scratch, &pl, &in);
        stack_input(s->stack, env, &in);
    }
    if (UNLIKELY(ret == -EFAULT)) { /* the packet is lost; its next copy goes the usual way */
        place_forget(s->stack);
    }
    return ret;
}

static void turn_ends(struct session *s, struct env *env, int ret, bool *drained)
{
    if (ret <= 0) {
        *drained = true;
        if (UNLIKELY(ret == -EBADF)) {
            s->fds_bad = true;
        }
    }
    if (UNLIKELY(s->wire != NULL)) {
        live_wire_move(s, env); /* what arrived before the deadline counts before it */
    }
    if (*drained && env->now >= stack_deadline(s->stack)) {
        stack_expire(s->stack, env);
    } else {
        stack_flush(s->stack, env);
    }
    drive_seen(s, env);
}

unsigned drive_turn(struct session *s, struct env *env, unsigned max, bool *drained)
{
    unsigned n = 0;
    size_t landed;
    int ret = 1;

    if (max == 0 || max > TURN_MAX) {
        max = TURN_MAX;
    }
    *drained = false;
    while (n < max) {
        struct mspan none = {NULL, 0};
        ret = take_packet(s, env, place_likely(s->stack), none, &landed);
        if (ret <= 0) {
            break;
        }
        if (++n < max) {
            lock_clock(env);
        }
    }
    turn_ends(s, env, ret, drained);
    return n;
}

void drive_into(struct session *s, struct env *env, struct drive_into *into, bool *drained)
{
    size_t landed;
    int ret;

    *drained = false;
    do {
        struct sock *likely = place_likely(s->stack);
        struct mspan own = {into->p + into->done, into->n - into->done};
        if (likely != into->sock || own.n < PLACE_MIN) {
            own.n = 0;
        }
        ret = take_packet(s, env, likely, own, &landed);
        into->done += landed;
        if (landed) {
            lock_clock(env);
        }
    } while (landed && into->done < into->n);
    turn_ends(s, env, ret, drained);
}
