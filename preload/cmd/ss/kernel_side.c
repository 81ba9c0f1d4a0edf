/*
 * Purpose: what /proc tells of the session's processes: which descriptors stand for which socket,
 * and the internet sockets that the kernel has for them. Why those are the kernel's is told from
 * their addresses, by the rules of preload/decide.c.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/abi.h"
#include "rows.h"

static void procs_add(struct procs *ps, struct proc_sock x)
{
    if (ps->n == ps->max) {
        unsigned max = ps->max ? 2 * ps->max : 64;
        struct proc_sock *more = realloc(ps->v, max * sizeof *more);
        if (!more) {
            return;
        }
        ps->v = more;
        ps->max = max;
    }
    ps->v[ps->n++] = x;
}

static void read_fds(struct procs *ps, pid_t pid)
{
    char path[64];
    char link[64];
    struct dirent *e;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    while (dir && (e = readdir(dir))) {
        uint64_t inode;
        ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1) {
            procs_add(ps, (struct proc_sock){inode, pid, atoi(e->d_name)});
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static int by_inode(const void *a, const void *b)
{
    const struct proc_sock *x = a;
    const struct proc_sock *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

void procs_read(struct procs *ps, const struct peek *p)
{
    for (uint32_t m = 1; m < MEMBERS_MAX; m++) {
        const struct member *who = &p->arena->member[m];
        if (who->state == MEMBER_LIVE && who->pid > 0) {
            read_fds(ps, who->pid);
        }
    }
    if (ps->n) {
        qsort(ps->v, ps->n, sizeof *ps->v, by_inode);
    }
}

static void read_comm(pid_t pid, char comm[16])
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(comm, 16, f)) {
        snprintf(comm, 16, "?");
    }
    comm[strcspn(comm, "\n")] = '\0';
    if (f) {
        fclose(f);
    }
}

static const struct proc_sock *first_of(const struct procs *ps, uint64_t inode)
{
    struct proc_sock key = {.inode = inode};
    const struct proc_sock *at =
        ps->n ? bsearch(&key, ps->v, ps->n, sizeof *ps->v, by_inode) : NULL;

    while (at && at > ps->v && at[-1].inode == inode) {
        at--;
    }
    return at;
}

void procs_holders(const struct procs *ps, uint64_t inode, struct row *row)
{
    const struct proc_sock *at = inode ? first_of(ps, inode) : NULL;

    for (; at && at < ps->v + ps->n && at->inode == inode; at++) {
        if (row->nholders < HOLDERS_MAX) {
            struct holder *h = &row->holder[row->nholders];
            h->pid = at->pid;
            h->fd = at->fd;
            read_comm(at->pid, h->comm);
        }
        row->nholders++;
    }
}

/* ---- /proc/PID/net */

/* Linux's numbers in /proc/net/tcp. */
static enum tcp_state state_of(unsigned linux_number)
{
    static const enum tcp_state by_number[] = {TCP_CLOSED,    TCP_ESTABLISHED, TCP_SYN_SENT,
                                               TCP_SYN_RCVD,  TCP_FIN_WAIT_1,  TCP_FIN_WAIT_2,
                                               TCP_TIME_WAIT, TCP_CLOSED,      TCP_CLOSE_WAIT,
                                               TCP_LAST_ACK,  TCP_LISTEN,      TCP_CLOSING};
    return linux_number < sizeof by_number / sizeof by_number[0] ? by_number[linux_number]
                                                                 : TCP_CLOSED;
}

/* The words of an address are printed in the machine's order. */
static bool parse_addr(const char *hex, struct addr *out)
{
    uint32_t w[4];

    if (strlen(hex) == 8) {
        uint8_t b[4];
        if (sscanf(hex, "%8" SCNx32, &w[0]) != 1) {
            return false;
        }
        memcpy(b, w, sizeof b);
        *out = addr_of4(b);
        return true;
    }
    if (sscanf(hex, "%8" SCNx32 "%8" SCNx32 "%8" SCNx32 "%8" SCNx32, &w[0], &w[1], &w[2], &w[3]) !=
        4) {
        return false;
    }
    memcpy(out->b, w, sizeof out->b);
    return true;
}

static bool in_subnets(const struct peek *p, const struct addr *a)
{
    const struct session_config *cfg = &p->arena->cfg;

    for (uint32_t i = 0; i < cfg->naddr && i < STACK_ADDRS_MAX; i++) {
        if (addr_is4(a) == addr_is4(&cfg->addr[i].addr) &&
            addr_in_prefix(a, &cfg->addr[i].addr, cfg->addr[i].bits)) {
            return true;
        }
    }
    return false;
}

static const char *why_kernel(const struct peek *p, const struct flow *f)
{
    const struct addr *a = addr_is_any(&f->raddr) ? &f->laddr : &f->raddr;

    if (addr_is_loopback(a)) {
        return "loopback";
    }
    if (addr_is_any(a)) {
        return "undecided";
    }
    return in_subnets(p, a) ? "before-session" : "no-uplink";
}

static bool add_line(struct rows *r, const struct peek *p, const struct procs *ps, const char *line,
                     uint8_t proto, uint8_t family)
{
    char local[40], remote[40];
    unsigned lport, rport, st;
    uint32_t tx, rx, uid;
    uint64_t inode;
    struct flow f = {0};

    if (sscanf(line,
               "%*d: %39[0-9A-F]:%x %39[0-9A-F]:%x %x %" SCNx32 ":%" SCNx32 " %*x:%*x %*x %" SCNu32
               " %*u %" SCNu64,
               local, &lport, remote, &rport, &st, &tx, &rx, &uid, &inode) != 9 ||
        !first_of(ps, inode) || !parse_addr(local, &f.laddr) || !parse_addr(remote, &f.raddr)) {
        return true;
    }
    struct row *row = rows_add(r);
    if (!row) {
        return false;
    }
    f.lport = (uint16_t)lport;
    f.rport = (uint16_t)rport;
    row->why = why_kernel(p, &f);
    row->s.flow = f;
    row->s.proto = proto;
    row->s.family = family;
    row->s.inode = inode;
    row->s.uid = uid;
    row->s.fd = -1;
    row->s.state = state_of(st);
    row->s.connected = rport != 0;
    row->s.rcv_queue = rx;
    row->s.snd_queue = tx;
    procs_holders(ps, inode, row);
    return true;
}

bool kernel_rows(struct rows *r, const struct peek *p, const struct procs *ps)
{
    static const struct {
        const char *name;
        uint8_t proto, family;
    } tables[] = {{"tcp", LX_IPPROTO_TCP, LX_AF_INET},
                  {"tcp6", LX_IPPROTO_TCP, LX_AF_INET6},
                  {"udp", LX_IPPROTO_UDP, LX_AF_INET},
                  {"udp6", LX_IPPROTO_UDP, LX_AF_INET6}};
    char path[64];
    char line[512];
    bool good = true;

    for (unsigned i = 0; ps->n && i < sizeof tables / sizeof tables[0]; i++) {
        snprintf(path, sizeof path, "/proc/%d/net/%s", (int)ps->v[0].pid, tables[i].name);
        FILE *f = fopen(path, "re");
        while (good && f && fgets(line, sizeof line, f)) {
            good = add_line(r, p, ps, line, tables[i].proto, tables[i].family);
        }
        if (f) {
            fclose(f);
        }
    }
    return good;
}
