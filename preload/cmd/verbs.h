/*
 * verbs.h - the verbs of the command, one file each. A verb gets argv from its own name on and
 * returns the exit code.
 */
#ifndef STANDIN_CMD_VERBS_H
#define STANDIN_CMD_VERBS_H

/* VERB(name, function, usage, help) */
#define VERB_LIST                                                                                 \
    VERB("run", verb_run, "[OPTION...] [--] PROGRAM [ARGUMENT...]", "run a program on the stack") \
    VERB("trace", verb_trace, "[OPTION...] [PID | SESSION]", "what a session does, a line an event")

#define VERB(name, function, usage, help) int function(int argc, char *argv[]);
VERB_LIST
#undef VERB

#endif
