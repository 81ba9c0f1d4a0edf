/*
 * drill_matrix_test.c - the matrix of states and segments: each cell of matrix_cells.h is a test.
 * A cell is the lines that lead to its state, its own lines, and the state after them; it runs
 * over both IP versions, and with our numbers passing 2^32. A cell of the eight columns that is
 * missing is a failure; one that is empty is printed with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/mem.h"
#include "core/tcp.h"
#include "matrix.h"
#include "tests/drill/run.h"

struct cell {
    enum tcp_state state;
    const char *name; /* "ESTABLISHED SYN" */
    const char *kind;
    const char *lines; /* NULL: empty */
    enum tcp_state next;
    const char *source; /* or the reason */
};

#define CELL(from, column, text, to, where) \
    {TCP_##from, #from " " #column, #column, text, TCP_##to, where},
#define EMPTY(from, column, reason) \
    {TCP_##from, #from " " #column, #column, NULL, TCP_##from, reason},
static const struct cell cells[] = {
#include "matrix_cells.h"
};
#undef CELL
#undef EMPTY

static const char *const kinds[] = {"SYN",  "SYNACK", "ACK", "BADACK",
                                    "DATA", "FIN",    "RST", "RSTOFF"};

/* The lines of a cell as a script: segments come a hundredth of a second apart. */
static void write_script(const struct cell *c, struct str *out)
{
    const char *p = c->lines;

    str_add(out, "%s", matrix_lead[c->state]);
    while (*p) {
        size_t n = strcspn(p, ";");
        bool later = *p == '<' && c->state != TCP_LISTEN; /* its number is that of time 0 */
        str_add(out, "%s %.*s\n", later ? "+.01" : "+0", (int)n, p);
        p += n + (p[n] == ';');
        p += strspn(p, " ");
    }
}

/* The state of the one connection; a listener counts only if there is nothing else. */
static enum tcp_state state_now(struct run *r)
{
    struct stack *st = vk_stack(r->vk);
    enum tcp_state state = TCP_CLOSED;
    struct sock *s = NULL;

    while ((s = mem_obj_next(st->mem, MEM_TCP, s)) != NULL) {
        enum tcp_state one = tcp_state_of(s);
        if (one != TCP_CLOSED && (one != TCP_LISTEN || state == TCP_CLOSED)) {
            state = one;
        }
    }
    return state == TCP_LISTEN && st->reqs.n ? TCP_SYN_RCVD : state; /* a request */
}

static void judge(struct run *r, void *ctx)
{
    const struct cell *c = ctx;
    enum tcp_state now = state_now(r);

    if (now != c->next) {
        run_fail(r, "the state is %s, not %s", tcp_state_name(now), tcp_state_name(c->next));
    }
}

/* isn: where the stack begins to count; 0: where it likes. */
static void run_over(struct cell *c, const char *text, enum ip_version ip, uint32_t isn)
{
    struct pool pool = {0};
    struct defines defs = {.pool = &pool};
    struct drill_config cfg;
    struct script s;
    struct str why = {0};
    struct run r;

    config_default(&cfg, ip);
    cfg.isn = isn;
    cfg.isn_given = isn != 0;
    cfg.passed = judge;
    cfg.passed_ctx = c;
    if (!script_parse(c->name, text, &pool, &defs, ip == IP_V6, &s, &why)) {
        fail_msg("%s", str_text(&why));
    }
    if (!run_script(&r, &s, &cfg)) {
        log_tail(&r, 20, &why);
        fail_msg("%s (%s), line %d: %s\n  expected  %s\n  actual    %s\n%s", c->name, c->source,
                 r.why_line, str_text(&r.why), str_text(&r.expected), str_text(&r.actual),
                 str_text(&why));
    }
    run_fini(&r);
    str_free(&why);
    pool_free(&pool);
}

static void run_cell(void **state)
{
    struct cell *c = *state;
    struct str text = {0};

    write_script(c, &text);
    run_over(c, str_text(&text), IP_V4, 0);
    run_over(c, str_text(&text), IP_V6, 0);
    run_over(c, str_text(&text), IP_V4, 0xffffffff); /* SND.UNA is 0 after the SYN */
    run_over(c, str_text(&text), IP_V6, 0xfffffffe); /* ... and after a FIN or a byte */
    str_free(&text);
}

/* How many cells stand in a place of the matrix. */
static unsigned cells_at(enum tcp_state state, const char *kind)
{
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        n += cells[i].state == state && strcmp(cells[i].kind, kind) == 0;
    }
    return n;
}

static void every_place_has_its_cell(void **state)
{
    (void)state;
    for (int s = 0; s < TCP_STATES; s++) {
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            if (cells_at((enum tcp_state)s, kinds[k]) != 1) {
                fail_msg("%s %s: not one cell", tcp_state_name((enum tcp_state)s), kinds[k]);
            }
        }
    }
}

int main(void)
{
    static struct cell copy[ARRAY_LEN(cells)];
    static struct CMUnitTest tests[ARRAY_LEN(cells) + 1];
    size_t n = 0;

    memcpy(copy, cells, sizeof cells);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(every_place_has_its_cell);
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        if (!cells[i].lines) {
            printf("empty: %s: %s\n", cells[i].name, cells[i].source);
            continue;
        }
        tests[n++] = (struct CMUnitTest){
            .name = cells[i].name, .test_func = run_cell, .initial_state = &copy[i]};
    }
    return _cmocka_run_group_tests("matrix", tests, n, NULL, NULL);
}
