/*
 * timer.c - theory of operation.
 *
 * A pairing heap over `key`: a node's key is never later than its children's. The children of a
 * node form a list (next to the right; prev to the left, and from the first child up to the
 * parent), so that any node can be cut out in O(1). Insertion and "earlier" are one comparison;
 * taking the root pairs its children left to right and joins the pairs right to left, O(log n)
 * amortised. Both passes are loops: a heap of n timers that were set in descending order is a chain
 * n deep.
 *
 * Invariants: (T1) key <= at for every queued entry; (T2) an entry whose key is not its `at` was
 * moved later or cancelled since it was placed, and is put right when it reaches the root; (T3) an
 * entry not queued has no links.
 */
#include "timer.h"

#include <stddef.h>

#include "check.h"

/* Joins two heaps (either may be NULL), whose roots have no siblings. The first one wins a tie. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b) {
        return a ? a : b;
    }
    if (b->key < a->key) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next) {
        b->next->prev = b;
    }
    b->prev = a;
    a->child = b;
    return a;
}

/* Takes the first tree off a list of siblings. */
static struct timer *first_of(struct timer **list)
{
    struct timer *t = *list;
    if (t) {
        *list = t->next;
        t->next = NULL;
        t->prev = NULL;
    }
    return t;
}

/* Makes one heap of a list of siblings. */
static struct timer *meld_all(struct timer *list)
{
    struct timer *pairs = NULL;
    struct timer *heap = NULL;

    while (list) { /* left to right, in pairs, which come out in reverse */
        struct timer *a = first_of(&list);
        struct timer *pair = meld(a, first_of(&list));
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) { /* right to left */
        struct timer *pair = first_of(&pairs);
        heap = meld(heap, pair);
    }
    return heap;
}

/* Cuts t with its subtree out of the heap; t is not the root. */
static void cut(struct timer *t)
{
    CHECK(t->prev);
    if (t->prev->child == t) {
        t->prev->child = t->next;
    } else {
        t->prev->next = t->next;
    }
    if (t->next) {
        t->next->prev = t->prev;
    }
    t->next = NULL;
    t->prev = NULL;
}

/* Takes t alone out of the heap; its children stay. */
static void take(struct timers *h, struct timer *t)
{
    struct timer *children = t->child;
    t->child = NULL;
    if (t == h->root) {
        h->root = meld_all(children);
    } else {
        cut(t);
        h->root = meld(h->root, meld_all(children));
    }
    t->queued = false;
}

static void place(struct timers *h, struct timer *t)
{
    t->key = t->at;
    t->queued = true;
    h->root = meld(h->root, t);
}

void timer_set(struct timers *h, struct timer *t, nsec at)
{
    t->at = at;
    if (!t->queued) {
        if (at != NEVER) {
            place(h, t);
        }
        return;
    }
    if (at >= t->key) {
        return; /* T2 */
    }
    if (t == h->root) {
        t->key = at;
        return;
    }
    cut(t);
    place(h, t);
}

void timer_remove(struct timers *h, struct timer *t)
{
    if (t->queued) {
        take(h, t);
    }
    t->at = NEVER;
    t->key = NEVER;
}

nsec timers_next(struct timers *h)
{
    while (h->root) {
        struct timer *t = h->root;
        CHECK(t->key <= t->at); /* T1 */
        if (t->key == t->at) {
            return t->at;
        }
        take(h, t);
        if (t->at != NEVER) {
            place(h, t);
        }
    }
    return NEVER;
}

struct timer *timers_pop(struct timers *h, nsec now)
{
    nsec next = timers_next(h);
    if (next == NEVER || next > now) {
        return NULL;
    }
    struct timer *t = h->root;
    timer_remove(h, t);
    return t;
}
