/*
 * pktring.c - theory of operation.
 *
 * Offsets count bytes since the beginning and are taken modulo the size for a place. A record never
 * wraps: where it does not fit before the end, a record without a packet fills the rest. Before a
 * place is overwritten, tail moves past the records that were there; a reader copies first and
 * looks at tail again after that. A record counts (wr) when it is complete, so one whose writer
 * died is overwritten by the next.
 *
 * A received packet's record is put before the stack sees the packet, so that the file has the
 * order of the wire; and is published after, when the events it caused have numbers.
 */
#include "tun/pktring.h"

#include <string.h>

#include "core/check.h"
#include "core/sock.h"

#define ALIGN 16u
#define SKIP  UINT32_MAX

_Static_assert(PKTRING_SIZE % ALIGN == 0 && (PKTRING_SIZE & (PKTRING_SIZE - 1)) == 0, "by masking");

static struct pktrec *rec_at(struct pktring *r, uint64_t at)
{
    return (struct pktrec *)(void *)&r->bytes[at & (PKTRING_SIZE - 1)];
}

void pktring_init(struct pktring *r, uint32_t snaplen)
{
    memset(r, 0, offsetof(struct pktring, bytes));
    r->snaplen = snaplen;
}

/* The oldest records make room for [wr, wr + size). */
static void make_room(struct pktring *r, uint32_t size)
{
    uint64_t tail = r->tail;
    while (r->wr + size - tail > PKTRING_SIZE) {
        uint32_t old = rec_at(r, tail)->size;
        /* One who died here may have left anything behind tail: then all of it goes. */
        tail = old >= ALIGN && old % ALIGN == 0 && old <= r->wr - tail ? tail + old : r->wr;
    }
    __atomic_store_n(&r->tail, tail, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before a byte of them changes */
}

/* Room for a packet of caplen bytes, its head cleared. */
static struct pktrec *begin(struct pktring *r, uint32_t caplen)
{
    uint32_t size = ((uint32_t)sizeof(struct pktrec) + caplen + ALIGN - 1) & ~(ALIGN - 1);
    uint32_t left = PKTRING_SIZE - (uint32_t)(r->wr & (PKTRING_SIZE - 1));
    if (left < size) {
        make_room(r, left);
        struct pktrec *skip = rec_at(r, r->wr);
        skip->size = left;
        skip->caplen = SKIP;
        r->wr += left;
    }
    make_room(r, size);
    struct pktrec *rec = rec_at(r, r->wr);
    memset(rec, 0, sizeof *rec);
    rec->size = size;
    rec->caplen = caplen;
    return rec;
}

static void finish(struct pktring *r, struct pktrec *rec, const struct env *env)
{
    rec->at = env->now;
    rec->real = env->real;
    rec->no = r->count++;
    r->wr += rec->size;
}

static uint8_t proto_of(const uint8_t *p, size_t len)
{
    return len < 20 ? 0 : p[0] >> 4 == 4 ? p[9] : p[6];
}

void pktring_out(struct pktring *r, const struct stack *st, const struct env *env,
                 const struct pkt_out *p, bool failed, uint64_t ev_from)
{
    uint32_t len = (uint32_t)pkt_out_len(p);
    uint32_t left = min_u32(len, r->snaplen);
    struct pktrec *rec = begin(r, left);
    uint8_t *to = (uint8_t *)(rec + 1);

    uint32_t n = min_u32(left, p->hdr_len);
    memcpy(to, p->hdr, n);
    for (unsigned i = 0; i < p->nspan && left > n; i++) {
        to += n;
        left -= n;
        n = (uint32_t)min_size(left, p->span[i].n);
        memcpy(to, p->span[i].p, n);
    }
    rec->len = len;
    rec->gso_size = p->gso_size;
    rec->flags = (uint8_t)(PKTREC_OUT | (p->csum_partial ? PKTREC_PARTIAL : 0) |
                           (failed ? PKTREC_FAILED : 0));
    rec->reason = (uint8_t)p->reason;
    rec->proto = p->proto;
    rec->sock_id = p->sock_id;
    rec->ev_from = ev_from;
    rec->ev_to = st->events->next;
    rec->fd = -1;
    const struct sock *s =
        p->sock_id ? mem_obj_at(st->mem, p->proto == LX_IPPROTO_TCP ? MEM_TCP : MEM_UDP, p->sock_id)
                   : NULL;
    if (s) {
        rec->fd = s->fd;
        rec->call = env->call_sock == p->sock_id && env->call_proto == p->proto ? env->call : 0;
    }
    finish(r, rec, env);
}

static uint64_t put_in(struct pktring *r, const struct stack *st, const struct env *env,
                       const struct pkt_in *p, uint8_t flags)
{
    uint32_t caplen = (uint32_t)min_size(p->len, r->snaplen);
    struct pktrec *rec = begin(r, caplen);
    uint64_t at = r->wr;

    memcpy(rec + 1, p->p, caplen);
    rec->len = (uint32_t)p->len;
    rec->gso_size = p->gso_size;
    rec->flags = (uint8_t)(flags | (p->csum_ok ? PKTREC_PARTIAL : 0));
    rec->proto = proto_of(p->p, p->len);
    rec->fd = -1;
    rec->ev_from = rec->ev_to = st->events->next;
    finish(r, rec, env);
    return at;
}

uint64_t pktring_in(struct pktring *r, const struct stack *st, const struct env *env,
                    const struct pkt_in *p)
{
    return put_in(r, st, env, p, 0);
}

void pktring_looped(struct pktring *r, const struct stack *st, const struct env *env,
                    const struct pkt_in *p)
{
    put_in(r, st, env, p, PKTREC_OUT | PKTREC_LOOP);
}

void pktring_lost(struct pktring *r, const struct stack *st, const struct env *env,
                  const struct pkt_in *p, uint64_t ev_from)
{
    uint64_t at = put_in(r, st, env, p, PKTREC_LOST);
    rec_at(r, at)->ev_from = ev_from;
}

void pktring_in_done(struct pktring *r, const struct stack *st, uint64_t token)
{
    if (token >= r->tail) {
        rec_at(r, token)->ev_to = st->events->next;
    }
}

bool pktring_publish(struct pktring *r)
{
    if (r->head == r->wr) {
        return false;
    }
    __atomic_store_n(&r->head, r->wr, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&r->waiting, __ATOMIC_SEQ_CST) != 0 &&
           __atomic_exchange_n(&r->waiting, 0, __ATOMIC_SEQ_CST) != 0;
}

/* Whether what was copied from `at` is whole. */
static bool still_there(const struct pktring *r, uint64_t at)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&r->tail, __ATOMIC_RELAXED) <= at;
}

int pktring_read(const struct pktring *r, uint64_t *pos, struct pktrec *rec, uint8_t *buf,
                 uint32_t max)
{
    for (;;) {
        uint64_t head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
        uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
        *pos = *pos > head ? head : *pos < tail ? tail : *pos;
        if (*pos >= head) {
            return 0;
        }
        uint32_t place = (uint32_t)(*pos & (PKTRING_SIZE - 1));
        memcpy(rec, &r->bytes[place], min_size(sizeof *rec, PKTRING_SIZE - place));
        if (!still_there(r, *pos)) {
            continue;
        }
        if (rec->size < ALIGN || rec->size > PKTRING_SIZE - place) {
            *pos = head; /* not what a writer of ours leaves there */
            continue;
        }
        if (rec->caplen == SKIP) {
            *pos += rec->size;
            continue;
        }
        if (rec->size < sizeof *rec) {
            *pos = head;
            continue;
        }
        rec->caplen = min_u32(rec->caplen, min_u32(max, rec->size - (uint32_t)sizeof *rec));
        memcpy(buf, &r->bytes[place + sizeof *rec], rec->caplen);
        if (still_there(r, *pos)) {
            *pos += rec->size;
            return 1;
        }
    }
}
