/* Purpose: `standin ls`: the sessions of this network namespace, one line each. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "core/mem.h"
#include "msg.h"
#include "options.h"
#include "verbs.h"

static int help(void)
{
    puts("Usage: standin ls [OPTION...]\n\n"
         "Lists the sessions in this network namespace, with their addresses and programs.\n");
    options_help(VERB_LS);
    puts("\nExit status: 0; 1 there is none; 2 on trouble.");
    return 0;
}

static unsigned count_sockets(struct peek *p)
{
    struct view_iter at = {0};
    static struct view_sock s;
    unsigned n = 0;

    while (view_next(&p->view, &at, &s)) {
        n++;
    }
    return n;
}

static json_t *session_json(struct peek *p)
{
    const struct arena *a = p->arena;
    json_t *members = json_array();
    json_t *addrs = json_array();
    char buf[ADDR_TEXT_MAX];
    char text[ADDR_TEXT_MAX + 8];

    for (uint32_t m = 1; m < MEMBERS_MAX; m++) {
        if (a->member[m].state == MEMBER_LIVE) {
            snprintf(text, sizeof text, "%.15s", a->member[m].comm);
            json_array_append_new(
                members, json_pack("{s:i, s:s}", "pid", (int)a->member[m].pid, "comm", text));
        }
    }
    for (uint32_t i = 0; i < a->cfg.naddr && i < STACK_ADDRS_MAX; i++) {
        snprintf(text, sizeof text, "%s/%u", addr_text(&a->cfg.addr[i].addr, buf),
                 a->cfg.addr[i].bits);
        json_array_append_new(addrs, json_string(text));
    }
    return json_pack("{s:s, s:s, s:o, s:i, s:b, s:i, s:i, s:I, s:o}", "session", a->name, "device",
                     a->cfg.ifname, "addresses", addrs, "mtu", (int)a->cfg.mtu, "offload",
                     (int)a->cfg.offload, "keeper", (int)a->keeper_pid, "sockets",
                     (int)count_sockets(p), "arena_bytes", (json_int_t)a->size, "members", members);
}

static void session_line(json_t *s)
{
    const char *gap = "";
    size_t i;
    json_t *v;

    printf("%s  %s  ", json_string_value(json_object_get(s, "session")),
           json_string_value(json_object_get(s, "device")));
    json_array_foreach(json_object_get(s, "addresses"), i, v)
    {
        printf("%s%s", gap, json_string_value(v));
        gap = " ";
    }
    int sockets = (int)json_integer_value(json_object_get(s, "sockets"));
    printf("  %d socket%s  keeper %d  ", sockets, sockets == 1 ? "" : "s",
           (int)json_integer_value(json_object_get(s, "keeper")));
    gap = "";
    json_array_foreach(json_object_get(s, "members"), i, v)
    {
        printf("%s%s(%d)", gap, json_string_value(json_object_get(v, "comm")),
               (int)json_integer_value(json_object_get(v, "pid")));
        gap = " ";
    }
    putchar('\n');
}

int verb_ls(int argc, char *argv[])
{
    static char names[PEEK_SESSIONS_MAX][SESSION_NAME];
    static struct peek p;
    struct options o;
    int at = options_parse(&o, VERB_LS, argc, argv);

    if (at < 0) {
        return EXIT_TROUBLE;
    }
    if (o.help) {
        return help();
    }
    json_t *list = json_array();
    unsigned n = peek_list(names, PEEK_SESSIONS_MAX);
    for (unsigned i = 0; i < n && i < PEEK_SESSIONS_MAX; i++) {
        struct session_result r = peek_open(&p, names[i], "");
        if (r.code == SESSION_OK) {
            json_array_append_new(list, session_json(&p));
            peek_close(&p);
        } else if (!o.given[OPTION_JSON]) {
            printf("%s  (%s)\n", names[i],
                   r.code >= SESSION_NO_TUN ? session_strerror(r.code) : strerror(-r.code));
        }
    }
    if (o.given[OPTION_JSON]) {
        json_dumpf(list, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else {
        size_t i;
        json_t *s;
        json_array_foreach(list, i, s)
        {
            session_line(s);
        }
    }
    json_decref(list);
    return n ? 0 : 1;
}
