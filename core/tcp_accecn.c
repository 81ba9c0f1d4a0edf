/*
 * tcp_accecn.c - theory of operation
 *
 * Receiver (RFC 9768 3.2). Every acceptable packet is counted by its codepoint: CE by packets, and
 * each of ECT(1), ECT(0), CE by bytes of payload. The lowest three bits of the CE count stand in
 * AE, CWR and ECE of every segment (ACE); the byte counts go in the option. A mark after none is
 * acknowledged at once, and so is every second one, every third while there is nothing to
 * acknowledge (3.2.2.5.1): the three bits must not go round unseen.
 *
 * The option goes out in Linux's way: tcp_ecn_option 2, with everything; 1, after another codepoint
 * or a mark, for each 4 MiB, and tcp_ecn_option_beacon times a round trip; 3, whatever befell it.
 * The order is always 174's, as many counters as have room, and none at all when those that changed
 * have none. Linux, not RFC 9768 3.2.3.2.3: only to a peer that has sent one; but a client whose
 * SYN was lost begins, for then nobody else would. While it may go SND.MSS leaves room for it.
 *
 * Sender. What is read from the flags is a count modulo 8. An ACK that says nothing newer is not
 * read (appendix A.1). One that delivers seven segments or fewer leaves no doubt; of one that
 * delivers more the largest number is taken that fits, unless the option's bytes tell better, or
 * ACKs come rarely anyway (A.2; the average is Linux's). One mark is one reduction in a round trip
 * (tcp_loss.c), or counts as one where the algorithm counts (RFC 8257).
 *
 * Trust. The handshake feeds back how SYN and SYN-ACK came. They leave as Not-ECT; another
 * codepoint means that the path changes it, and then nothing is sent with ECT (3.2.2.3). A 0 where
 * none can be means that the flags do not come through: no ECT, and no response (3.2.2.1, 3.2.2.4).
 *
 * ECT(0). Linux, not RFC 3168 6.1.4..6.1.6 (RFC 8311 4.3 allows the experiment; the profile says
 * whether): on every segment, acknowledgments and retransmissions too. A bare acknowledgment only
 * where SACK tells the peer's answers to its marks from duplicates.
 *
 * Deliberately missing: watching for marks without end (3.2.2.3, no rule is given), taking back a
 * conservative count when missing ACKs arrive late (3.2.2.5.2, MAY), remembering across connections
 * what a path does (3.1.4.1).
 */
#include "tcp_accecn.h"

#include "abi.h"
#include "check.h"
#include "sock_priv.h"
#include "tcp_cb.h"

#define ACE_MASK     7u
#define COUNTER_MAX  0xffffffu  /* 24 bits */
#define OPT_TOO_LATE (1u << 23) /* bytes sent: the counters may have gone half round */
#define OPT_EVERY    22u        /* 2^22 bytes: 3.2.3.3 */
#define AVG_SHIFT    6u
#define AVG_THIN     (4u << AVG_SHIFT) /* ACKs are thinned: Linux's ACK_COMP_THRESH */

/* Initial values of the byte counters, by codepoint less one. RFC 9768 3.2.1 */
static const uint32_t bytes_init[3] = {[ECN_ECT1 - 1] = 1, [ECN_ECT0 - 1] = 1, [ECN_CE - 1] = 0};

/* Codepoint of each counter of the option. RFC 9768 3.2.3, table 5 */
static const uint8_t opt_order[2][3] = {{ECN_ECT0, ECN_CE, ECN_ECT1}, {ECN_ECT1, ECN_CE, ECN_ECT0}};

/* ---- the object */

bool accecn_new(struct stack *st, struct env *env, struct tcp *c)
{
    struct accecn *x = mem_obj_get(st->mem, env, MEM_ACCECN);

    if (!x) {
        return false;
    }
    x->owner = c;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    c->accecn = x;
    return true;
}

void accecn_free(struct stack *st, struct tcp *c)
{
    struct accecn *x = c->accecn;

    if (x) {
        c->accecn = NULL;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        mem_obj_put(st->mem, x);
    }
}

void accecn_rebuild(struct stack *st)
{
    for (struct tcp *c = mem_obj_next(st->mem, MEM_TCP, NULL); c;
         c = mem_obj_next(st->mem, MEM_TCP, c)) {
        if (c->accecn && (c->accecn->obj.kind != MEM_ACCECN || c->accecn->owner != c)) {
            c->accecn = NULL;
        }
        if (!c->accecn && c->ecn_mode >= ECN_ACCURATE) {
            c->ecn_mode = ECN_OFF; /* died while it was made or freed */
        }
    }
    for (struct accecn *x = mem_obj_next(st->mem, MEM_ACCECN, NULL); x;
         x = mem_obj_next(st->mem, MEM_ACCECN, x)) {
        if (!x->owner || !sock_live(st, &x->owner->s) || x->owner->accecn != x) {
            mem_obj_put(st->mem, x);
        }
    }
}

/* ---- the flags */

uint8_t accecn_ace(uint16_t flags)
{
    return (uint8_t)((flags & TCP_AE ? 4 : 0) | (flags & TCP_CWR ? 2 : 0) |
                     (flags & TCP_ECE ? 1 : 0));
}

uint16_t accecn_flags(uint8_t ace)
{
    return (uint16_t)((ace & 4 ? TCP_AE : 0) | (ace & 2 ? TCP_CWR : 0) | (ace & 1 ? TCP_ECE : 0));
}

uint8_t accecn_reflected(uint8_t ect)
{
    static const uint8_t ace[4] = {2, 3, 4, 6};

    return ace[ect & ECN_MASK];
}

int accecn_reflects(uint8_t ace)
{
    for (unsigned ect = ECN_NOT_ECT; ect <= ECN_CE; ect++) {
        if (accecn_reflected((uint8_t)ect) == ace) {
            return (int)ect;
        }
    }
    return -1;
}

/* ---- opening */

void accecn_syn_fed_back(const struct stack *st, struct tcp *c, uint8_t ace)
{
    int ect = accecn_reflects(ace);

    if (ect == ECN_CE) {
        c->accecn->syn_marked = true;
    }
    if (ect > ECN_NOT_ECT && st->knobs.tcp_ecn_fallback) { /* RFC 9768 3.2.2.3: ours are Not-ECT */
        c->accecn->fail |= ACCECN_ACE_FAIL_RECV;
    }
}

/* What the first options of a peer are worth. RFC 9768 3.2.3.2.4: counters that begin at zero were
 * zeroed on the way. */
static void see_option(struct accecn *x, const struct accecn_opt *o)
{
    if (!o->here || x->seen >= ACCECN_OPT_COUNTER_SEEN) {
        return;
    }
    x->seen = o->n ? ACCECN_OPT_COUNTER_SEEN : ACCECN_OPT_EMPTY_SEEN;
    if ((o->n && o->v[0] == 0) || (o->n == 3 && o->v[2] == 0)) {
        x->seen = ACCECN_OPT_FAIL_SEEN;
        x->fail |= ACCECN_OPT_FAIL_RECV;
    }
}

void accecn_syn_in(struct tcp *c, const struct tcp_seg *seg)
{
    struct accecn *x = c->accecn;

    x->syn_ect = seg->ecn & 3u; /* RFC 9768 3.1.5: of the latest */
    x->prev = seg->ecn & 3u;
    if (!(seg->flags & TCP_ACK)) {
        return; /* 3.2: a SYN's mark is not counted, and its option is none */
    }
    if (seg->ecn == ECN_CE && !x->synack_ce) { /* 3.2.2.2: once, however many there are */
        x->synack_ce = true;
        x->rcv_ce++;
        x->ce_unsent++;
    }
    if (seg->accecn.here) {
        see_option(x, &seg->accecn);
        x->demand = 2; /* 3.2.3.2.1: the ACK, and the first data */
    }
    x->unsure = !x->seen && c->info.total_retrans;
}

void accecn_opened(const struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    struct accecn *x = c->accecn;
    uint8_t ace = accecn_ace(seg->flags);

    see_option(x, &seg->accecn);
    if (seg->was_syn || seg->len || seg->nsack) {
        return; /* a counter like any other */
    }
    x->handshake = true;
    if (ace == 0) { /* RFC 9768 3.2.2.1, note 1 */
        x->fail |= ACCECN_ACE_FAIL_RECV | ACCECN_OPT_FAIL_RECV;
        x->deaf = true;
        return;
    }
    accecn_syn_fed_back(st, c, ace);
    if (x->syn_marked) {
        c->info.delivered_ce = 1; /* table 4: s.cep is 6 */
    }
}

/* ---- receiver: counting */

void accecn_in(struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    struct accecn *x = c->accecn;
    uint8_t ect = seg->ecn & ECN_MASK;
    bool edge = ect != x->prev;
    uint32_t segs = seg->gso_size ? (seg->len + seg->gso_size - 1) / seg->gso_size : 1;

    x->prev = seg->ecn & 3u;
    if (seg->was_syn) {
        return; /* accecn_syn_in has counted it */
    }
    if (edge || ect == ECN_CE) {
        x->demand = 2; /* Linux: the second one tells that it goes on */
    }
    if (ect == ECN_NOT_ECT) {
        return;
    }
    c->ecn_seen = true;
    if (seg->len) {
        uint32_t before = x->rcv_bytes[ect - 1];
        uint8_t at = ect == ECN_ECT1 ? 1 : ect == ECN_CE ? 2 : 3; /* in the order that we send */
        x->rcv_bytes[ect - 1] += seg->len;
        x->need = at > x->need ? at & 3u : x->need;
        if ((x->rcv_bytes[ect - 1] ^ before) >> OPT_EVERY && !x->demand) {
            x->demand = 1; /* RFC 9768 3.2.3.3 */
        }
    }
    if (ect != ECN_CE) {
        return;
    }
    x->rcv_ce += segs;
    x->ce_unsent = (uint8_t)min_u32(x->ce_unsent + segs, 15);
    bool data = seg->len || !seq_eq(c->rcv.wup, c->rcv.nxt) || c->fl->ooo.n;
    if ((seg->len && edge) || x->ce_unsent >= (data ? 2 : 3)) { /* 3.2.2.5.1 */
        tcp_want_ack(st, c, data || c->want_ack ? TX_ACK : TX_ECN);
    }
}

/* Linux: what was repeated and reported comes once more: the report, which had our option, did not
 * arrive. */
void accecn_again(struct tcp *c, seq at)
{
    if (c->accecn->dsack_before && seq_eq(c->accecn->dsack_from, at)) {
        c->accecn->fail |= ACCECN_OPT_FAIL_SEND;
    }
}

/* ---- receiver: feeding back */

static bool may_send_option(const struct stack *st, const struct accecn *x)
{
    int32_t mode = st->knobs.tcp_ecn_option;

    return mode && (x->seen || x->unsure) && (mode >= 3 || !(x->fail & ACCECN_OPT_FAIL_SEND));
}

uint8_t accecn_reserve(const struct stack *st, const struct tcp *c)
{
    return may_send_option(st, c->accecn) ? ACCECN_OPT_LEN : 0;
}

static bool beacon_due(const struct stack *st, const struct tcp *c, nsec now)
{
    int32_t per_rtt = st->knobs.tcp_ecn_option_beacon;

    return per_rtt && (now - c->accecn->opt_at) * per_rtt >= c->rtt.srtt;
}

static void put_option(struct tcp_seg *seg, const uint32_t bytes[3], uint8_t need)
{
    seg->accecn = (struct accecn_opt){.here = true, .order1 = true};
    for (int i = 0; i < 3; i++) {
        uint8_t ect = opt_order[1][i];
        seg->accecn.v[i] = (bytes_init[ect - 1] + bytes[ect - 1]) & COUNTER_MAX;
    }
    tcp_accecn_fit(seg, need);
}

void accecn_synack_option(struct tcp_seg *seg)
{
    static const uint32_t none[3];

    put_option(seg, none, 0); /* RFC 9768 3.2.3.2.1: also an empty one tests the path */
}

/* RFC 9768 3.2.3.2.2: the first data and what followed it were lost: perhaps for the option. */
static bool option_to_blame(const struct tcp *c, const struct tcp_seg *seg, enum tx_reason why)
{
    return why == TX_RTO && c->retries && seg->len && seq_eq(seg->seq, tcp_snd_base(c));
}

static void add_option(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg,
                       enum tx_reason why)
{
    struct accecn *x = c->accecn;

    if (option_to_blame(c, seg, why)) {
        x->fail |= ACCECN_OPT_FAIL_SEND;
    }
    bool wanted = st->knobs.tcp_ecn_option >= 2 || x->demand || beacon_due(st, c, env->now);
    if (wanted && may_send_option(st, x) && (!seg->len || x->reserve)) {
        put_option(seg, x->rcv_bytes, x->need);
    }
    x->dsack_before = seg->accecn.here && c->fl->has_dsack;
    x->dsack_from = c->fl->has_dsack ? c->fl->dsack.from : x->dsack_from;
    if (seg->accecn.here) {
        x->need = 0;
        x->opt_at = env->now;
        x->demand = x->demand ? (x->demand - 1) & 3u : 0;
    }
}

/* Whether a segment goes as ECT(0). */
static bool capable(const struct stack *st, const struct tcp *c, const struct tcp_seg *seg,
                    enum tx_reason why)
{
    if (c->accecn->fail & (ACCECN_ACE_FAIL_SEND | ACCECN_ACE_FAIL_RECV) || seg->flags & TCP_RST) {
        return false;
    }
    if (profile_of(&st->knobs)->accecn_ect_all) {
        return seg->len || seg->flags & TCP_FIN || c->sack_ok;
    }
    return seg->len && tcp_ecn_is_fresh(why);
}

uint8_t accecn_out(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg,
                   enum tx_reason why)
{
    struct accecn *x = c->accecn;

    if (why == TX_ECN) {
        seg->nsack = 0; /* RFC 9768 3.2.2.5.1: nobody may take it for a duplicate */
    }
    bool bare = !seg->len && !seg->nsack && !(seg->flags & TCP_FIN);
    /* 3.2.2.1, 3.2.2.2 */
    uint32_t cep = x->rcv_ce + ACCECN_CEP_INIT;
    uint8_t ace = x->reflect && bare ? accecn_reflected(x->syn_ect) : (uint8_t)(cep & ACE_MASK);
    seg->flags |= accecn_flags(ace);
    x->ce_unsent = 0;
    if (!(seg->flags & TCP_RST)) {
        add_option(st, env, c, seg, why);
    }
    return capable(st, c, seg, why) ? ECN_ECT0 : ECN_NOT_ECT;
}

/* ---- sender */

uint32_t accecn_delta(uint8_t ace, uint32_t s_ce, const struct accecn_ack *k)
{
    uint32_t d = (ace - ACCECN_CEP_INIT - s_ce) & ACE_MASK;

    if (k->segs <= ACE_MASK) {
        return d;
    }
    uint32_t safe = k->segs - ((k->segs - d) & ACE_MASK); /* all that can be */
    if (!k->options) {
        return k->acked_avg > AVG_THIN ? d : safe;
    }
    if (k->segs >= 2 * (ACE_MASK + 1)) { /* it may have gone round more than once */
        uint32_t likely =
            k->ce_bytes >= k->bytes
                ? k->segs
                : (uint32_t)(((uint64_t)k->ce_bytes * k->segs + k->bytes - 1) / k->bytes);
        uint32_t rounds = likely > d ? (likely - d + ACE_MASK / 2 + 1) & ~ACE_MASK : 0;
        return min_u32(safe, d + rounds);
    }
    if (k->ce_bytes > d * k->mss) {
        return safe; /* d would mean segments of more than an MSS */
    }
    return k->ce_bytes < safe * k->mss / 2 ? d : safe; /* SAFETY_FACTOR */
}

/* Takes the option's counters. False: none, or none that is to be believed. */
static bool take_option(struct tcp *c, const struct accecn_opt *o)
{
    struct accecn *x = c->accecn;
    bool good = true;

    see_option(x, o);
    if (!o->here && x->seen == ACCECN_OPT_NOT_SEEN && c->info.bytes_sent >= OPT_TOO_LATE - 1) {
        x->seen = ACCECN_OPT_FAIL_SEEN; /* Linux: one that comes now cannot be compared */
        x->fail |= ACCECN_OPT_FAIL_RECV;
    }
    if (!o->here || x->fail & ACCECN_OPT_FAIL_RECV) {
        return false;
    }
    for (uint8_t i = 0; i < o->n; i++) {
        uint8_t at = (uint8_t)(opt_order[o->order1][i] - 1);
        uint32_t more = (o->v[i] - bytes_init[at] - x->dlv_bytes[at]) & COUNTER_MAX;
        if (more > COUNTER_MAX / 2) {
            good = false; /* it went back: not from this connection's receiver, or spoiled */
        } else {
            x->dlv_bytes[at] += more;
        }
    }
    return good;
}

static void average(struct accecn *x, uint32_t segs)
{
    uint32_t avg = x->acked_avg;

    if (segs) { /* Linux: weight 1/64 */
        avg = avg ? avg - (avg >> AVG_SHIFT) + segs : segs << AVG_SHIFT;
        x->acked_avg = (uint16_t)min_u32(avg, UINT16_MAX);
    }
}

/* RFC 9768 3.2.3.2.5: bytes were marked and no packet was, and it cannot have been eight. */
static bool contradicts(const struct tcp *c, const struct accecn_ack *k, uint32_t delta)
{
    return k->options && k->ce_bytes && !delta && k->segs && k->segs <= ACE_MASK &&
           !c->fl->tx.retrans && c->ca_state < CA_RECOVERY;
}

void accecn_feedback(struct tcp *c, const struct tcp_seg *seg, struct tcp_acked *a, bool newer)
{
    struct accecn *x = c->accecn;
    uint32_t ce_before = x->dlv_bytes[ECN_CE - 1];
    bool handshake = x->handshake || seg->was_syn;
    uint8_t ace = accecn_ace(seg->flags);

    x->handshake = false;
    if (!a->new_data && !a->sacked && !newer) {
        return; /* RFC 9768 A.1: overtaken, or nothing tells that it was not */
    }
    bool option = take_option(c, &seg->accecn);
    struct accecn_ack k = {
        .segs = a->delivered,
        .bytes = a->delivered_bytes,
        .mss = c->snd.mss,
        .ce_bytes = x->dlv_bytes[ECN_CE - 1] - ce_before,
        .options = option && x->opt_before,
    };
    x->opt_before = option;
    average(x, a->delivered);
    k.acked_avg = x->acked_avg;
    if (handshake) {
        return;
    }
    if (!x->fed && ace == 0) { /* 3.2.2.4 */
        x->fail |= ACCECN_ACE_FAIL_RECV;
        x->deaf = true;
    }
    x->fed = true;
    if (x->deaf) {
        return;
    }
    uint32_t delta = accecn_delta(ace, c->info.delivered_ce, &k);
    if (contradicts(c, &k, delta)) {
        x->fail |= ACCECN_ACE_FAIL_RECV;
    }
    c->info.delivered_ce += delta;
    a->marked = delta;
    a->ece = delta != 0;
}

void accecn_info(const struct tcp *c, struct lx_tcp_info *i)
{
    const struct accecn *x = c->accecn;

    i->tcpi_received_ce = x->rcv_ce;
    i->tcpi_received_e1_bytes = x->rcv_bytes[ECN_ECT1 - 1];
    i->tcpi_received_e0_bytes = x->rcv_bytes[ECN_ECT0 - 1];
    i->tcpi_received_ce_bytes = x->rcv_bytes[ECN_CE - 1];
    i->tcpi_delivered_e1_bytes = x->dlv_bytes[ECN_ECT1 - 1];
    i->tcpi_delivered_e0_bytes = x->dlv_bytes[ECN_ECT0 - 1];
    i->tcpi_delivered_ce_bytes = x->dlv_bytes[ECN_CE - 1];
    i->tcpi_accecn_opt_seen = x->seen & 3u;
    i->tcpi_accecn_fail_mode = x->fail & 15u;
}
