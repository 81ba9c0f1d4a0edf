/* Purpose: rows.h, but for the kernel's side. */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "core/abi.h"

#define EVENTS_BATCH 256u

struct row *rows_add(struct rows *r)
{
    if ((r->n & (r->n - 1)) == 0) { /* a power of two: full */
        struct row *more = realloc(r->row, (r->n ? 2 * r->n : 1) * sizeof *more);
        if (!more) {
            return NULL;
        }
        r->row = more;
    }
    struct row *row = &r->row[r->n++];
    memset(row, 0, sizeof *row);
    return row;
}

void rows_free(struct rows *r)
{
    free(r->row);
    *r = (struct rows){0};
}

/* Members that hold it whose processes could not be looked into: by what the session knows of them.
 */
static void holders_of_members(const struct peek *p, struct row *row)
{
    for (uint32_t m = 1; m < MEMBERS_MAX; m++) {
        const struct member *who = &p->arena->member[m];
        bool holds = row->s.members.w[m / 64] >> (m % 64) & 1;
        if (!holds || who->state != MEMBER_LIVE) {
            continue;
        }
        if (row->nholders < HOLDERS_MAX) {
            struct holder *h = &row->holder[row->nholders];
            h->pid = who->pid;
            h->fd = row->s.fd;
            memcpy(h->comm, who->comm, sizeof h->comm);
            h->comm[sizeof h->comm - 1] = '\0';
        }
        row->nholders++;
    }
}

static struct row *find(struct rows *r, uint32_t id, uint8_t proto)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (r->row[i].s.id == id && r->row[i].s.proto == proto) {
            return &r->row[i];
        }
    }
    return NULL;
}

/* One walk over the log: the last call of each socket. */
static void last_calls(struct rows *r, struct peek *p)
{
    static struct event ev[EVENTS_BATCH];
    uint64_t from = 0;
    uint64_t lost = 0;
    uint32_t n;
    uint32_t batches = 0;

    while ((n = view_events(&p->view, &from, ev, EVENTS_BATCH, &lost)) > 0 &&
           batches++ < 2 * EVENT_RING_LEN / EVENTS_BATCH) {
        for (uint32_t i = 0; i < n; i++) {
            r->now = ev[i].at > r->now ? ev[i].at : r->now;
            struct row *row = ev[i].kind == EV_CALL ? find(r, ev[i].sock_id, ev[i].proto) : NULL;
            if (row) {
                row->last_call = ev[i];
            }
        }
    }
}

bool rows_gather(struct rows *r, struct peek *p)
{
    struct view_iter at = {0};
    struct view_sock s;
    struct procs ps = {0};
    bool good = true;

    *r = (struct rows){.now = session_now(), .knobs = p->view.st.knobs};
    p->view.now = r->now;
    procs_read(&ps, p);
    while (good && view_next(&p->view, &at, &s)) {
        struct row *row = rows_add(r);
        good = row != NULL;
        if (good) {
            row->on_stack = true;
            row->why = "stack";
            row->s = s;
            procs_holders(&ps, s.inode, row);
            if (row->nholders == 0) {
                holders_of_members(p, row);
            }
        }
    }
    last_calls(r, p);
    good = good && kernel_rows(r, p, &ps);
    free(ps.v);
    return good;
}
