/* Purpose: the parts of the page that are files of their own, in the command: its style, its
 * script, and uPlot (MIT). */
#include "embed.h"

#define EMBED(name, file)                                \
    __asm__(".section .rodata\n"                         \
            ".global embed_" #name "\n"                  \
            ".balign 16\n"                               \
            "embed_" #name ":\n"                         \
            ".incbin \"preload/cmd/compare/" file "\"\n" \
            ".byte 0\n"                                  \
            ".previous\n")

EMBED(css, "page.css");
EMBED(js, "page.js");
EMBED(uplot_css, "uplot/uPlot.min.css");
EMBED(uplot_js, "uplot/uPlot.iife.min.js");
