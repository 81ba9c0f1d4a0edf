/*
 * keeper_capture.c - theory of operation: the thread of the keeper that writes a capture.
 *
 * It reads the packet ring and the event ring, never takes the session's lock, and may block in
 * write as long as the disk, or the reader of a pipe, likes: the ring goes on, and what is
 * overwritten meanwhile is counted, and told at the packet behind the gap and at the end.
 *
 * If the keeper dies the next one goes on where it can: a file is cut to the last whole write and
 * gets a section of its own; a pipe's other end sees the end.
 *
 * It sleeps on a wake-up that the first publisher after that sends. Then it looks again every BATCH
 * until nothing has come: a busy session costs no wake-ups, a quiet one none at all.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/check.h"
#include "tun/impair.h"
#include "tun/keeper.h"
#include "tun/pcapng.h"
#include "tun/pktnote.h"
#include "tun/sysio.h"

#define NOTE_ALL   4096
#define BATCH      (5 * MSEC)
#define OUT_SIZE   (1u << 20)
#define OUT_ENOUGH (64u << 10)  /* written when there is so much */
#define MUCH       (256u << 10) /* of the ring at once: more is coming, no time to sleep */
#define EVENTS_MAX 64u          /* looked at for one packet, on either side of it */
#define END_WAIT_S 10           /* for a reader that does not read */

struct capture {
    pthread_t thread;
    bool runs;
    bool quit; /* atomic */
    int fd;
    int wake_fd;
    uint32_t wake;
    struct pktring *ring;
    const struct event_ring *events;
    uint64_t pos;
    uint64_t next; /* number of the packet expected */
    uint64_t lost;
    uint64_t told; /* events up to this one are in the file */
    uint64_t file_len;
    nsec from, last; /* first and last packet, since 1970 */
    struct pcapng_out out;
    uint8_t *pkt; /* the packet at hand */
    struct event ev[2][EVENTS_MAX];
    struct pktnote note;
};

static struct capture cap = {.fd = -1};

/* The file */

/* True: all of it. A file that cannot be written to is given up; the session goes on. */
static bool flush(struct capture *c)
{
    size_t at = 0;
    while (at < c->out.len && c->fd >= 0) {
        long n = sys_write(c->fd, c->out.p + at, c->out.len - at);
        if (n == -EAGAIN) { /* somebody made the pipe non-blocking */
            struct pollfd p = {.fd = c->fd, .events = POLLOUT};
            poll(&p, 1, -1);
        } else if (n < 0 && n != -EINTR) {
            __atomic_store_n(&c->ring->failed, (int32_t)-n, __ATOMIC_RELEASE);
            sys_close(c->fd);
            c->fd = -1;
        } else if (n > 0) {
            at += (size_t)n;
        }
    }
    c->file_len += at;
    c->out.len = 0;
    c->out.full = false;
    __atomic_store_n(&c->ring->lost, c->lost, __ATOMIC_RELAXED);
    __atomic_store_n(&c->ring->read, c->pos, __ATOMIC_RELAXED);
    __atomic_store_n(&c->ring->file_len, c->file_len, __ATOMIC_RELAXED);
    __atomic_store_n(&c->ring->written, c->next, __ATOMIC_RELEASE);
    return c->fd >= 0;
}

/* The command line; and where there is an emulated wire, its seed and rules: what repeats the run.
 */
static void note_make(char whole[NOTE_ALL], const char *note)
{
    const struct wire_spec *w = &the_session.arena->cfg.wire;
    char rule[IMPAIR_RULE_MAX];
    size_t n = (size_t)snprintf(whole, NOTE_ALL, "%s", note);
    if (w->nrules) {
        n += (size_t)snprintf(whole + n, NOTE_ALL - n, "; seed %llu", (unsigned long long)w->seed);
    }
    for (uint32_t i = 0; i < w->nrules && n < NOTE_ALL; i++) {
        n += (size_t)snprintf(whole + n, NOTE_ALL - n, "; rule %u: %s", i + 1,
                              impair_print(&w->rule[i], rule));
    }
}

static void write_head(struct capture *c, const char *note)
{
    static char whole[NOTE_ALL];
    struct utsname u;
    char os[sizeof u.sysname + sizeof u.release + 2] = "";
    if (uname(&u) == 0) {
        snprintf(os, sizeof os, "%s %s", u.sysname, u.release);
    }
    char appl[64] = "standin ";
    strncat(appl, session_build_id(), sizeof appl - strlen(appl) - 1);
    note_make(whole, note);
    pcapng_section(&c->out, appl, os, whole);
    pcapng_interface(&c->out, the_session.arena->cfg.ifname, c->ring->snaplen);
    flush(c);
}

static void write_end(struct capture *c)
{
    static const char missing[] = "packets are missing: they came faster than they were written";
    pcapng_counts(&c->out, (uint64_t)c->from, (uint64_t)c->last, c->next, c->lost,
                  c->lost ? missing : NULL);
    flush(c);
}

/* Packets */

/* Events [from, to), at most EVENTS_MAX; none when they are not there any more. */
static uint32_t events_of(struct capture *c, uint64_t from, uint64_t to, struct event *ev)
{
    uint64_t lost = 0;
    if (to <= from) {
        return 0;
    }
    uint32_t want = (uint32_t)(to - from);
    uint64_t at = from;
    uint32_t n = event_read(c->events, &at, ev, want, &lost);
    return at == to ? n : 0;
}

/* Whether a record of this kind is about a packet itself. */
static bool is_own(uint8_t kind, bool sent)
{
    return sent ? kind == EV_SEG_OUT || kind == EV_DGRAM_OUT || kind == EV_ICMP_OUT
                : kind == EV_SEG_IN || kind == EV_DGRAM_IN || kind == EV_ICMP_IN;
}

static void take_events(struct capture *c, const struct pktrec *rec, struct pktnote_events *out)
{
    bool sent = (rec->flags & PKTREC_OUT) != 0 && (rec->flags & PKTREC_LOOP) == 0;
    uint64_t own = sent && rec->ev_from ? rec->ev_from - 1 : rec->ev_from;
    uint64_t to = rec->ev_to;

    *out = (struct pktnote_events){.before = c->ev[0], .after = c->ev[1]};
    uint64_t first = own - c->told > EVENTS_MAX ? own - EVENTS_MAX : c->told;
    out->nbefore = own > c->told ? events_of(c, first, own, c->ev[0]) : 0;
    out->nafter = events_of(c, own, to - own > EVENTS_MAX ? own + EVENTS_MAX : to, c->ev[1]);
    if (out->nafter && is_own(c->ev[1][0].kind, sent)) {
        out->own = out->after++;
        out->nafter--;
    }
    if (to > c->told) {
        c->told = to;
    }
}

static uint32_t flags_of(const struct pktrec *rec)
{
    return (rec->flags & PKTREC_OUT ? PCAPNG_OUT : PCAPNG_IN) |
           (rec->flags & PKTREC_PARTIAL ? PCAPNG_CSUM_NOT_DONE : 0) |
           (rec->gso_size ? PCAPNG_TSO : 0);
}

static struct pcapng_text text_of(const char *s)
{
    return (struct pcapng_text){s, strlen(s)};
}

static void write_packet(struct capture *c, const struct pktrec *rec)
{
    struct pktnote_events ev;
    uint64_t missing = rec->no > c->next ? rec->no - c->next : 0;
    c->lost += missing;
    take_events(c, rec, &ev);
    pktnote_make(&c->note, rec, &ev, missing);
    struct pcapng_packet p = {
        .at = (uint64_t)rec->real,
        .id = rec->no,
        .flags = flags_of(rec),
        .len = rec->len,
        .data = c->pkt,
        .caplen = rec->caplen,
        .ncomments = 3,
        .comment = {text_of(c->note.people), text_of(c->note.machine), text_of(c->note.before)},
    };
    pcapng_packet(&c->out, &p);
    c->next = rec->no + 1;
    c->from = c->from ? c->from : rec->real;
    c->last = rec->real;
}

/* Everything there is. Returns how many bytes of the ring that were. */
static uint64_t drain(struct capture *c)
{
    struct pktrec rec;
    uint64_t before = c->pos;
    while (pktring_read(c->ring, &c->pos, &rec, c->pkt, c->ring->snaplen)) {
        write_packet(c, &rec);
        if (c->out.len >= OUT_ENOUGH) {
            flush(c);
        }
    }
    if (c->out.len) {
        flush(c);
    }
    return c->pos - before;
}

/* The thread */

static bool quits(const struct capture *c)
{
    return __atomic_load_n(&c->quit, __ATOMIC_ACQUIRE);
}

/* Until somebody publishes. */
static void sleep_on(struct capture *c)
{
    struct pollfd p = {.fd = c->wake_fd, .events = POLLIN};
    __atomic_store_n(&c->ring->waiting, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->ring->head, __ATOMIC_SEQ_CST) == c->pos && !quits(c)) {
        poll(&p, 1, -1);
    }
    wake_drain(c->wake_fd);
    __atomic_store_n(&c->ring->waiting, 0, __ATOMIC_SEQ_CST);
}

static void *run(void *arg)
{
    struct capture *c = arg;
    const struct timespec batch = {.tv_nsec = BATCH};
    while (!quits(c)) {
        uint64_t n = drain(c);
        if (n == 0) {
            sleep_on(c);
        } else if (n < MUCH) {
            sys_nanosleep(&batch);
        }
    }
    drain(c);
    write_end(c);
    sys_close(c->fd);
    return NULL;
}

/* The file's own name, for the keeper after us. */
static void learn_path(struct capture *c)
{
    char link[32];
    struct stat st = {0};
    if (sys_fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", c->fd);
    ssize_t n = readlink(link, c->ring->path, sizeof c->ring->path - 1);
    if (n <= 0 || (size_t)n == sizeof c->ring->path - 1) {
        c->ring->path[0] = 0;
    }
}

int capture_reopen(void)
{
    struct pktring *r = the_session.arena->pkts;
    if (!r || r->failed) {
        return -1;
    }
    int fd = r->path[0] == '/' ? sys_open(r->path, O_WRONLY | O_APPEND | O_CLOEXEC) : -EOWNERDEAD;
    int err = fd < 0 ? fd : sys_ftruncate(fd, r->file_len);
    if (err < 0) {
        r->failed = -err;
        return -1;
    }
    return fd;
}

static int start_thread(struct capture *c)
{
    pthread_attr_t attr;
    sigset_t all;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setsigmask_np(&attr, &all);
    int err = pthread_create(&c->thread, &attr, run, c);
    pthread_attr_destroy(&attr);
    return err;
}

void capture_start(struct keeper *k)
{
    struct capture *c = &cap;
    c->ring = the_session.arena->pkts;
    c->events = the_session.stack->events;
    c->fd = k->pcap_fd;
    c->out = (struct pcapng_out){.p = malloc(OUT_SIZE), .max = OUT_SIZE};
    c->wake_fd = wake_open(&the_session, &c->wake);
    if (!c->ring) {
        return;
    }
    c->pkt = malloc(c->ring->snaplen);
    if (!c->out.p || !c->pkt || c->wake_fd < 0) {
        c->ring->failed = ENOMEM;
        return;
    }
    c->ring->wake = c->wake;
    c->pos = c->ring->read;
    c->next = c->ring->written;
    c->lost = c->ring->lost;
    c->file_len = c->ring->file_len;
    c->told = c->pos ? c->events->next : 0;
    if (c->file_len == 0) {
        learn_path(c);
    }
    write_head(c, k->note);
    c->runs = start_thread(c) == 0;
    c->ring->failed = c->runs ? c->ring->failed : EAGAIN;
}

void capture_end(void)
{
    struct capture *c = &cap;
    struct timespec until;
    if (!c->runs) {
        return;
    }
    __atomic_store_n(&c->quit, true, __ATOMIC_RELEASE);
    wake_send(&the_session, c->wake);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_WAIT_S;
    pthread_timedjoin_np(c->thread, NULL, &until);
}
