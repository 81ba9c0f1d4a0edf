/*
 * pollset.c - theory of operation.
 *
 * A watch lies on four lists: its socket's, its set's, one of the hash table that finds it by (set,
 * key), and, while its socket may be ready, its set's ready list. Being on the ready list is a
 * hint: collecting asks the socket again, as epoll does, so that a stale entry costs a look and
 * never a lie.
 *
 *   socket changes -> sock_notify -> watch on the set's ready list -> set with a sleeper on the
 *   stack's wake list
 *   owner: pollset_next_wake -> wakes a sleeper -> pollset_collect
 *
 * Edge-triggered: an entry leaves the ready list when it is reported and comes back with the next
 * notification. Level-triggered: it goes to the tail, so that all get their turn when `max` is
 * small, and leaves when found idle. One-shot: it is disabled by being reported. Exclusive: a
 * notification stops at the first such watch whose set has a sleeper that is not being woken
 * already; the others note the readiness and are not woken. If one of them belongs to the set whose
 * owner drives the stack just now (st->collecting), it alone gets it: it is awake, and a sleeper
 * that the kernel passed over when it chose the driver may be stopped.
 *
 * All lists are indices over the live watches; recovery makes them anew.
 */
#include "pollset.h"

#include "check.h"
#include "sock_priv.h"
#include "stack.h"

#define ALWAYS ((uint32_t)(LX_POLLERR | LX_POLLHUP))
#define FLAGS  (LX_EPOLLET | LX_EPOLLONESHOT | LX_EPOLLEXCLUSIVE | LX_EPOLLWAKEUP)

#define HASH_ORDER_MAX 10u /* 512 Ki buckets */

/* --- the table by (set, key) --- */

static uint32_t hash_mask(unsigned order)
{
    return (uint32_t)(((size_t)MEM_PAGE << order) / sizeof(struct watch *)) - 1;
}

/* Both are chosen by the program, which can only slow down itself: no key. */
static struct watch **bucket(const struct stack *st, const struct pollset *set, int32_t key)
{
    uint32_t h = (uint32_t)key * UINT32_C(0x9e3779b1) ^ set->obj.id * UINT32_C(0x85ebca6b);
    return &st->watch_hash[(h ^ h >> 15) & hash_mask(st->watch_order)];
}

static bool table_new(struct stack *st, struct env *env, unsigned order)
{
    struct watch **t = mem_pages_get(st->mem, env, order);
    if (t) {
        memset(t, 0, (size_t)MEM_PAGE << order);
        st->watch_hash = t;
        st->watch_order = (uint8_t)order;
    }
    return t != NULL;
}

static void hash_link(struct stack *st, struct watch *w)
{
    struct watch **head = bucket(st, w->set, w->key);
    w->hash_next = *head;
    *head = w;
}

static void hash_unlink(struct stack *st, struct watch *w)
{
    struct watch **at = bucket(st, w->set, w->key);
    while (*at && *at != w) {
        at = &(*at)->hash_next;
    }
    if (*at) {
        *at = w->hash_next;
    }
}

/* The first table, or one twice as large. Without memory the lists grow longer. False: there is
 * none at all. */
static bool hash_grow(struct stack *st, struct env *env)
{
    struct watch **old = st->watch_hash;
    unsigned old_order = st->watch_order;
    if (!old) {
        return table_new(st, env, 0);
    }
    if (st->nwatches <= hash_mask(old_order) || old_order == HASH_ORDER_MAX ||
        !table_new(st, env, old_order + 1)) {
        return true;
    }
    for (uint32_t i = 0; i <= hash_mask(old_order); i++) {
        while (old[i]) {
            struct watch *w = old[i];
            old[i] = w->hash_next;
            hash_link(st, w);
        }
    }
    mem_pages_put(st->mem, old, old_order);
    return true;
}

struct watch *pollset_find(struct stack *st, const struct pollset *set, int32_t key)
{
    if (!st->watch_hash) {
        return NULL;
    }
    for (struct watch *w = *bucket(st, set, key); w; w = w->hash_next) {
        if (w->set == set && w->key == key) {
            return w;
        }
    }
    return NULL;
}

/* --- the lists --- */

/* An exclusive watch goes to the tail of its socket's list, others to the head, as in Linux's wait
 * queues. */
static void sock_link(struct watch *w)
{
    struct watch **head = &w->sock->watches;
    struct watch *after = NULL;
    if (w->events & LX_EPOLLEXCLUSIVE) {
        for (after = *head; after && after->sock_next; after = after->sock_next) {
        }
    }
    w->sock_prev = after;
    w->sock_next = after ? after->sock_next : *head;
    if (w->sock_next) {
        w->sock_next->sock_prev = w;
    }
    *(after ? &after->sock_next : head) = w;
}

static void sock_unlink(struct watch *w)
{
    if (w->sock_next) {
        w->sock_next->sock_prev = w->sock_prev;
    }
    *(w->sock_prev ? &w->sock_prev->sock_next : &w->sock->watches) = w->sock_next;
}

static void set_link(struct watch *w)
{
    w->set_prev = NULL;
    w->set_next = w->set->watches;
    if (w->set_next) {
        w->set_next->set_prev = w;
    }
    w->set->watches = w;
    w->set->nwatches++;
}

static void set_unlink(struct watch *w)
{
    if (w->set_next) {
        w->set_next->set_prev = w->set_prev;
    }
    *(w->set_prev ? &w->set_prev->set_next : &w->set->watches) = w->set_next;
    w->set->nwatches--;
}

static void ready_push(struct watch *w)
{
    struct pollset *set = w->set;
    w->ready_next = NULL;
    w->ready_prev = set->ready_tail;
    *(set->ready_tail ? &set->ready_tail->ready_next : &set->ready_head) = w;
    set->ready_tail = w;
    w->in_ready = true;
    set->nready++;
}

static void ready_drop(struct watch *w)
{
    struct pollset *set = w->set;
    if (!w->in_ready) {
        return;
    }
    *(w->ready_prev ? &w->ready_prev->ready_next : &set->ready_head) = w->ready_next;
    *(w->ready_next ? &w->ready_next->ready_prev : &set->ready_tail) = w->ready_prev;
    w->in_ready = false;
    set->nready--;
}

static void watch_free(struct stack *st, struct watch *w)
{
    ready_drop(w);
    hash_unlink(st, w);
    set_unlink(w);
    sock_unlink(w);
    st->nwatches--;
    mem_obj_put(st->mem, w);
}

/* --- waking --- */

static bool wake(struct stack *st, struct pollset *set)
{
    if (set->sleepers == 0 || set->waking) {
        return false;
    }
    set->waking = true;
    set->wake_next = st->wake_head;
    st->wake_head = set;
    return true;
}

struct pollset *pollset_next_wake(struct stack *st)
{
    struct pollset *set = st->wake_head;
    if (set) {
        st->wake_head = set->wake_next;
        set->wake_next = NULL;
        set->waking = false;
    }
    return set;
}

static void wake_remove(struct stack *st, struct pollset *set)
{
    for (struct pollset **at = &st->wake_head; set->waking && *at; at = &(*at)->wake_next) {
        if (*at == set) {
            *at = set->wake_next;
            break;
        }
    }
    set->waking = false;
}

/* The watch's socket may be ready now: notes it. Whether a sleeper will be woken for it. */
static bool watch_ready(struct stack *st, struct watch *w)
{
    if (!w->in_ready) {
        ready_push(w);
    }
    return wake(st, w->set);
}

static bool wants(const struct watch *w, uint32_t bits)
{
    return (bits & w->events & ~FLAGS) != 0;
}

/* Whether an exclusive watch belongs to the set whose owner drives and will collect right after. */
static bool collector_takes(const struct stack *st, const struct sock *s, uint32_t bits)
{
    for (const struct watch *w = s->watches; st->collecting && w; w = w->sock_next) {
        if (w->set == st->collecting && (w->events & LX_EPOLLEXCLUSIVE) && wants(w, bits)) {
            return true;
        }
    }
    return false;
}

void sock_notify(struct stack *st, struct sock *s, uint32_t bits)
{
    bool collector = collector_takes(st, s, bits);
    bool served = false; /* an exclusive watch has a sleeper on its way */
    for (struct watch *w = s->watches; w; w = w->sock_next) {
        bool exclusive = (w->events & LX_EPOLLEXCLUSIVE) != 0;
        if (!wants(w, bits) || (exclusive && collector && w->set != st->collecting)) {
            continue;
        }
        if (exclusive && served) { /* noted: who was chosen may be stopped */
            if (!w->in_ready) {
                ready_push(w);
            }
            continue;
        }
        bool woken = watch_ready(st, w);
        served = served || (exclusive && woken);
    }
    s->ready = (uint16_t)sock_ready(st, s);
}

void sock_unwatch(struct stack *st, struct sock *s)
{
    while (s->watches) {
        watch_free(st, s->watches);
    }
}

/* --- sets --- */

struct pollset *pollset_new(struct stack *st, struct env *env, uint64_t owner)
{
    struct pollset *set = mem_obj_get(st->mem, env, MEM_POLLSET);
    if (set) {
        set->member = env->member;
        set->owner = owner;
    }
    return set;
}

void pollset_free(struct stack *st, struct pollset *set)
{
    while (set->watches) {
        watch_free(st, set->watches);
    }
    wake_remove(st, set);
    if (st->collecting == set) {
        st->collecting = NULL;
    }
    mem_obj_put(st->mem, set);
}

static void check_now(struct stack *st, struct watch *w)
{
    if (wants(w, sock_ready(st, w->sock))) {
        watch_ready(st, w);
    }
}

int pollset_add(struct stack *st, struct env *env, struct pollset *set, struct sock *s, int32_t key,
                uint32_t events, uint64_t data)
{
    const uint32_t exclusive_ok =
        LX_POLLIN | LX_POLLOUT | ALWAYS | LX_EPOLLWAKEUP | LX_EPOLLET | LX_EPOLLEXCLUSIVE;
    if ((events & LX_EPOLLEXCLUSIVE) != 0 && (events & ~exclusive_ok) != 0) {
        return -ERR_INVAL;
    }
    if (pollset_find(st, set, key)) {
        return -ERR_EXIST;
    }
    if (!hash_grow(st, env)) {
        return -ERR_NOMEM;
    }
    struct watch *w = mem_obj_get(st->mem, env, MEM_WATCH);
    if (!w) {
        return -ERR_NOMEM;
    }
    w->data = data;
    w->key = key;
    w->events = events | ALWAYS;
    w->sock = s;
    w->set = set;
    st->nwatches++;
    sock_link(w);
    set_link(w);
    hash_link(st, w);
    check_now(st, w);
    return 0;
}

int pollset_mod(struct stack *st, struct pollset *set, int32_t key, uint32_t events, uint64_t data)
{
    struct watch *w = pollset_find(st, set, key);
    if (!w) {
        return -ERR_NOENT;
    }
    if (((events | w->events) & LX_EPOLLEXCLUSIVE) != 0) {
        return -ERR_INVAL;
    }
    w->events = events | ALWAYS;
    w->data = data;
    check_now(st, w);
    return 0;
}

int pollset_del(struct stack *st, struct pollset *set, int32_t key)
{
    struct watch *w = pollset_find(st, set, key);
    if (!w) {
        return -ERR_NOENT;
    }
    watch_free(st, w);
    return 0;
}

unsigned pollset_collect(struct stack *st, struct pollset *set, struct poll_event *out,
                         unsigned max)
{
    unsigned n = 0;
    /* Only what is listed now: entries that go to the tail are not met again. */
    for (uint32_t left = set->nready; left > 0 && n < max; left--) {
        struct watch *w = set->ready_head;
        ready_drop(w);
        uint32_t bits = sock_ready(st, w->sock) & w->events & ~FLAGS;
        if (bits == 0) {
            continue;
        }
        out[n++] =
            (struct poll_event){.events = bits, .key = w->key, .data = w->data, .sock = w->sock};
        if (w->events & LX_EPOLLONESHOT) {
            w->events = 0;
        } else if ((w->events & LX_EPOLLET) == 0) {
            ready_push(w);
        }
    }
    return n;
}

bool pollset_ready(struct stack *st, struct pollset *set)
{
    while (set->ready_head) {
        struct watch *w = set->ready_head;
        if (wants(w, sock_ready(st, w->sock))) {
            return true;
        }
        ready_drop(w);
    }
    return false;
}

bool pollset_sleep(struct stack *st, struct pollset *set)
{
    if (pollset_ready(st, set)) {
        return false;
    }
    set->sleepers++;
    return true;
}

void pollset_awake(struct pollset *set)
{
    if (set->sleepers > 0) {
        set->sleepers--;
    }
}

void pollset_forget(struct stack *st, uint32_t member)
{
    for (struct pollset *set = mem_obj_next(st->mem, MEM_POLLSET, NULL); set;
         set = mem_obj_next(st->mem, MEM_POLLSET, set)) {
        if (set->member == member) {
            set->sleepers = 0;
            wake_remove(st, set);
        }
    }
}

/* --- recovery --- */

static void sets_clear(struct stack *st)
{
    st->wake_head = NULL;
    st->nwatches = 0;
    for (struct pollset *set = mem_obj_next(st->mem, MEM_POLLSET, NULL); set;
         set = mem_obj_next(st->mem, MEM_POLLSET, set)) {
        set->watches = NULL;
        set->ready_head = NULL;
        set->ready_tail = NULL;
        set->nwatches = 0;
        set->nready = 0;
        set->waking = false;
        set->wake_next = NULL;
    }
}

static void socks_clear(struct stack *st, enum mem_kind kind)
{
    for (struct sock *s = mem_obj_next(st->mem, kind, NULL); s;
         s = mem_obj_next(st->mem, kind, s)) {
        s->watches = NULL;
    }
}

static bool set_live(const struct stack *st, const struct pollset *set)
{
    return set && set->obj.kind == MEM_POLLSET &&
           mem_obj_at(st->mem, MEM_POLLSET, set->obj.id) == set;
}

void pollset_rebuild(struct stack *st, struct env *env)
{
    st->collecting = NULL;
    unsigned order = min_u32(st->watch_order, HASH_ORDER_MAX);
    st->watch_hash = NULL;
    while (!table_new(st, env, order) && order > 0) {
        order--;
    }
    sets_clear(st);
    socks_clear(st, MEM_TCP);
    socks_clear(st, MEM_UDP);
    for (struct watch *w = mem_obj_next(st->mem, MEM_WATCH, NULL); w;
         w = mem_obj_next(st->mem, MEM_WATCH, w)) {
        if (!st->watch_hash || !sock_live(st, w->sock) || !set_live(st, w->set) ||
            w->sock->orphan) {
            mem_obj_put(st->mem, w);
            continue;
        }
        w->in_ready = false;
        st->nwatches++;
        sock_link(w);
        set_link(w);
        hash_link(st, w);
        watch_ready(st, w); /* looked at again when collected */
    }
}
