/*
 * msg.h - what the command says to people: on stderr, one clear line, then what repairs it.
 *
 *     standin: cannot open /dev/net/tun: Permission denied (mode 0600 root:root)
 *           The user stack sends and receives packets through a TUN device.
 *           Fix:    sudo chmod 0666 /dev/net/tun
 */
#ifndef STANDIN_CMD_MSG_H
#define STANDIN_CMD_MSG_H

/* The command's own exit codes; every other one is the program's (timeout(1), env(1), sh). */
enum exit_code {
    EXIT_STANDIN = 125, /* standin itself failed, the program was not started */
    EXIT_CANNOT = 126,  /* the program is there and cannot run on the stack */
    EXIT_MISSING = 127, /* there is no such program */
};

/* "standin: ..." and a newline. */
void msg(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A further line, indented: a sentence, or with a label ("Fix:", "Or:", "Check:") a command to
 * type. */
void msg_more(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_do(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The word of a list that was probably meant, or NULL when none is near. words: `n` of them. Near
 * is a distance (insert, delete, change, swap neighbours) of at most a third of the word.
 */
const char *msg_meant(const char *word, const char *const *words, unsigned n);

#endif
