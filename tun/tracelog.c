/* Purpose: the filter of a trace, for the command and the keeper. */
#include "tun/tracelog.h"

#include <string.h>

#include "core/check.h"

#define BIT(kind) (1u << (kind))

static const struct {
    const char *word;
    uint32_t kinds;
} kinds[] = {
    {"seg", BIT(EV_SEG_IN) | BIT(EV_SEG_OUT)},
    {"dgram", BIT(EV_DGRAM_IN) | BIT(EV_DGRAM_OUT)},
    {"icmp", BIT(EV_ICMP_IN) | BIT(EV_ICMP_OUT)},
    {"drop", BIT(EV_DROP)},
    {"state", BIT(EV_STATE)},
    {"timer", BIT(EV_TIMER)},
    {"call", BIT(EV_CALL)},
    {"cwnd", BIT(EV_CWND)},
    {"impair", BIT(EV_IMPAIR)},
    {"member", BIT(EV_MEMBER) | BIT(EV_RECOVER)},
};

_Static_assert(EV_KINDS <= 32, "a bit each");

const char *tracelog_kind(unsigned i)
{
    return i < ARRAY_LEN(kinds) ? kinds[i].word : NULL;
}

static bool number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || (v = v * 10 + (uint64_t)(*text - '0')) > max) {
            return false;
        }
    }
    *out = (uint32_t)v;
    return true;
}

static enum tracelog_error take_port(struct tracelog *t, const char *text)
{
    uint32_t v;
    if (!number(text, UINT16_MAX, &v)) {
        return TRACELOG_NUMBER;
    }
    if (t->nport == TRACELOG_PICK_MAX) {
        return TRACELOG_MANY;
    }
    t->port[t->nport++] = (uint16_t)v;
    return TRACELOG_OK;
}

static enum tracelog_error take_conn(struct tracelog *t, const char *text)
{
    uint32_t v;
    if (!number(text, UINT32_MAX, &v)) {
        return TRACELOG_NUMBER;
    }
    if (t->nconn == TRACELOG_PICK_MAX) {
        return TRACELOG_MANY;
    }
    t->conn[t->nconn++] = v;
    return TRACELOG_OK;
}

static enum tracelog_error take_kind(const char *word, uint32_t *only, uint32_t *except)
{
    bool no = word[0] == '!';
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(word + no, kinds[i].word) == 0) {
            *(no ? except : only) |= kinds[i].kinds;
            return TRACELOG_OK;
        }
    }
    return TRACELOG_WORD;
}

enum tracelog_error tracelog_parse(struct tracelog *t, const char *text,
                                   char word[TRACELOG_WORD_MAX])
{
    uint32_t only = 0, except = BIT(EV_NONE);
    *t = (struct tracelog){0};
    while (text && *text) {
        size_t n = strcspn(text, ",");
        size_t kept = min_size(n, TRACELOG_WORD_MAX - 1);
        memcpy(word, text, kept);
        word[kept] = 0;
        enum tracelog_error err = n == 0                           ? TRACELOG_OK
                                  : strncmp(word, "port=", 5) == 0 ? take_port(t, word + 5)
                                  : strncmp(word, "conn=", 5) == 0
                                      ? take_conn(t, word + 5)
                                      : take_kind(word, &only, &except);
        if (err) {
            return err;
        }
        text += n + (text[n] == ',');
    }
    t->kinds = (only ? only : UINT32_MAX) & ~except;
    return TRACELOG_OK;
}

bool tracelog_shows(const struct tracelog *t, const struct event *ev)
{
    bool picked = t->nport + t->nconn == 0;
    for (unsigned i = 0; i < t->nport; i++) {
        picked = picked || ev->lport == t->port[i] || ev->rport == t->port[i];
    }
    for (unsigned i = 0; i < t->nconn; i++) {
        picked = picked || ev->sock_id == t->conn[i];
    }
    return picked && ev->kind < EV_KINDS && (t->kinds & BIT(ev->kind)) != 0;
}
