/*
 * verbs.h - the verbs of the command, each once. A verb gets argv from its own name on and returns
 * the exit code.
 *
 * VERB(ID, name, function, usage, help): help, completion and the manual pages come from it.
 */
#ifndef STANDIN_CMD_VERBS_H
#define STANDIN_CMD_VERBS_H

#include <stddef.h>

#define VERB_LIST                                                                    \
    VERB(RUN, "run", verb_run, "[OPTION...] [--] PROGRAM [ARGUMENT...]",             \
         "run a program on the stack")                                               \
    VERB(COMPARE, "compare", verb_compare, "[OPTION...] [--] PROGRAM [ARGUMENT...]", \
         "a program on the kernel's stack and on ours, and what differs")            \
    VERB(TRACE, "trace", verb_trace, "[OPTION...] [PID | SESSION]",                  \
         "what a session does, a line an event")                                     \
    VERB(EXPLAIN, "explain", verb_explain, "[OPTION...] FILE [N | A-B]",             \
         "explain packets of a capture in words")                                    \
    VERB(SS, "ss", verb_ss, "[OPTION...] [FILTER]", "the sockets of sessions")       \
    VERB(LS, "ls", verb_ls, "[OPTION...]", "the sessions of this network namespace") \
    VERB(DOCTOR, "doctor", verb_doctor, "[OPTION...] [PROGRAM...]",                  \
         "whether the stack, and a program on it, can run here")                     \
    VERB(COMPLETION, "completion", verb_completion, "bash | zsh",                    \
         "print the completion for a shell")

enum verb_number {
    VERB_NO_NONE,
#define VERB(id, name, function, usage, help) VERB_NO_##id,
    VERB_LIST
#undef VERB
        VERB_COUNT
};

/* One bit each, for the table of options. */
enum verb {
    VERB_NONE = 1, /* before the verb */
#define VERB(id, name, function, usage, help) VERB_##id = 1 << VERB_NO_##id,
    VERB_LIST
#undef VERB
        VERB_ALL = 0x7fffffff
};

struct verb_info {
    const char *name;
    const char *usage;
    const char *help;
    enum verb bit;
};

#define VERBS ((size_t)VERB_COUNT - 1)
extern const struct verb_info verb_table[VERBS];

/* "run" of VERB_RUN; "" of VERB_NONE. */
const char *verb_name(enum verb verb);

/* VERB_NONE when there is none of that name. */
enum verb verb_of(const char *name);

#define VERB(id, name, function, usage, help) int function(int argc, char *argv[]);
VERB_LIST
#undef VERB

#endif
