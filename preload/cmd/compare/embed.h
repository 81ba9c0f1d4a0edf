/*
 * embed.h - texts that are part of the command: what page.c puts into each page.
 */
#ifndef STANDIN_COMPARE_EMBED_H
#define STANDIN_COMPARE_EMBED_H

extern const char embed_css[];
extern const char embed_js[];
extern const char embed_uplot_css[];
extern const char embed_uplot_js[];

#endif
