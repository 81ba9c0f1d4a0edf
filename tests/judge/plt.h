/*
 * plt.h - calls that the program itself makes to libc, diverted to another function.
 */
#ifndef STANDIN_JUDGE_PLT_H
#define STANDIN_JUDGE_PLT_H

#include <stdbool.h>

/* Calls of the program to `name` go to `to` from now on. False: it makes none. */
bool plt_divert(const char *name, void *to);

#endif
