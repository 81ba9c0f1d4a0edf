/*
 * Purpose: finds a session for a verb that looks at one, and says what to do where there is none,
 * where there are several, or where it may not look.
 */
#include "attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msg.h"

#define SESSION_VARIABLE "STANDIN_SESSION"
#define SESSION_TEXT     (SESSION_NAME + SESSION_TOKEN + 2)

static char names[PEEK_SESSIONS_MAX][SESSION_NAME];

static void list_names(unsigned n)
{
    for (unsigned i = 0; i < n && i < PEEK_SESSIONS_MAX; i++) {
        msg_more("  %s", names[i]);
    }
}

static void explain(const struct session_result *r, const char *name)
{
    switch (r->code) {
    case SESSION_DEAD:
        msg("the session %s does not answer: it has ended", name);
        msg_do("Check:",
               "grep @standin- /proc/net/unix    (the sessions of this network namespace)");
        break;
    case SESSION_REFUSED:
        msg("the session %s is another user's", name);
        msg_do("Fix:", "sudo standin ...    or name it with its token: %s,TOKEN", name);
        break;
    case SESSION_BUILD:
        msg("the session %s was started by another build of standin", name);
        msg_do("Fix:", "use the standin that started it");
        break;
    default:
        msg("cannot look at the session %s: %s%s%s", name, r->step, r->step[0] ? ": " : "",
            r->code >= SESSION_NO_TUN ? session_strerror(r->code) : strerror(-r->code));
        break;
    }
}

static bool open_named(struct peek *p, const char *name, const char *token)
{
    struct session_result r = peek_open(p, name, token);
    if (r.code == SESSION_OK) {
        return true;
    }
    explain(&r, name);
    return false;
}

/* "@NAME,TOKEN", "@NAME" or "NAME". */
static bool open_text(struct peek *p, const char *text)
{
    char full[SESSION_TEXT];
    char name[SESSION_NAME];
    char token[SESSION_TOKEN];
    int n = snprintf(full, sizeof full, "%s%s%s", text[0] == '@' ? "" : "@", text,
                     strchr(text, ',') ? "" : ",");
    if (n >= (int)sizeof full || !session_parse(full, name, token)) {
        msg("%s is no session's name: @NAME or @NAME,TOKEN", text);
        return false;
    }
    return open_named(p, name, token);
}

/* The session that a process is a member of. */
static bool open_pid(struct peek *p, const char *text)
{
    long pid = strtol(text, NULL, 10);
    unsigned n = peek_list(names, PEEK_SESSIONS_MAX);
    for (unsigned i = 0; i < n && i < PEEK_SESSIONS_MAX; i++) {
        if (peek_open(p, names[i], "").code != SESSION_OK) {
            continue;
        }
        if (pid > 0 && pid <= INT32_MAX && peek_member(p, (int32_t)pid)) {
            return true;
        }
        peek_close(p);
    }
    msg("process %s is in no session of this network namespace", text);
    msg_more("It joins one with its first internet socket. In another namespace: nsenter -t %s -n",
             text);
    return false;
}

static bool open_only(struct peek *p)
{
    unsigned n = peek_list(names, PEEK_SESSIONS_MAX);
    if (n == 1) {
        return open_named(p, names[0], "");
    }
    if (n == 0) {
        msg("there is no session in this network namespace");
        msg_do("Fix:", "standin run PROGRAM ...");
    } else {
        msg("there are %u sessions in this network namespace; which one?", n);
        list_names(n);
    }
    return false;
}

static bool is_number(const char *text)
{
    return text[0] && text[strspn(text, "0123456789")] == '\0';
}

bool attach_open(struct peek *p, const char *which)
{
    const char *env = getenv(SESSION_VARIABLE);
    if (which && is_number(which)) {
        return open_pid(p, which);
    }
    if (which) {
        return open_text(p, which);
    }
    return env && *env ? open_text(p, env) : open_only(p);
}
