/*
 * place.h - direct placement: where the payload of the segment that is expected next belongs, so
 * that the owner reads a packet's payload there at once and nothing is copied afterwards.
 *
 *   owner:  s = place_likely(st)                        bulk data has been arriving for s
 *           place_ready(st, env, s, own, &pl)           where its next bytes go
 *           reads a packet: pl.hdr_len bytes, then pl.span, what is left over
 *           behind a gap as long as the spans
 *           stack_input_placed(st, env, &in, &pl)       false: it was another packet; the owner puts
 *                                                       it together and calls stack_input
 *
 * A guess that was wrong costs a copy and has no other effect: the spans are memory that nobody
 * reads. All of it under the owner's lock.
 */
#ifndef STANDIN_CORE_PLACE_H
#define STANDIN_CORE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "pkt.h"

struct sock;
struct stack;

#define PLACE_MIN 16384u /* bytes of a segment for which it is worth while */

struct rx_place {
    struct sock *sock;
    uint32_t hdr_len; /* of the IP and TCP header that is expected */
    bool own;         /* the span is the program's: what lands there counts as received by it */
    uint8_t nspan;
    struct mspan span[2];
};

/* The connection whose large segments have been arriving, or NULL. */
struct sock *place_likely(const struct stack *st);

/* A packet came that was not worth the guess; after some of them in a row there is nobody likely.
 */
void place_doubt(struct stack *st);

/* The memory of a place could not be written: no more guesses for now. */
void place_forget(struct stack *st);

/*
 * Where the next segment of `s` in sequence goes: into `own` if own.n is not 0 (memory of the
 * program, which has received all that came before), else into the receive ring. False: `s` is not
 * in a state for it; *out is not filled.
 */
bool place_ready(struct stack *st, struct env *env, struct sock *s, struct mspan own,
                 struct rx_place *out);

/*
 * A packet whose first pl->hdr_len bytes lie at in->p and whose further ones lie in pl->span; what
 * the spans could not hold lies at in->p + hdr_len + the spans' length. in->len counts all of it.
 * True: it was the segment that was expected and has been taken; *landed is what it left in the
 * program's memory (0 when !pl->own). False: nothing was done.
 */
bool stack_input_placed(struct stack *st, struct env *env, const struct pkt_in *in,
                        const struct rx_place *pl, size_t *landed);

/* What landed in the program's memory has been received: the window moves, and buffers grow. */
void place_received(struct stack *st, struct env *env, struct sock *s, size_t n);

#endif
