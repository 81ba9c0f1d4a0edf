/*
 * Purpose: `standin explain FILE [N|A-B]` and `standin explain --hex BYTES`: any packet in words. A
 * single packet is shown with all its fields, several with one line and what they mean in their
 * connection; --depth says otherwise.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../capture.h"
#include "../msg.h"
#include "../options.h"
#include "../verbs.h"
#include "dissect.h"
#include "flow.h"
#include "show.h"
#include "words.h"

#define HEX_MAX 65575u /* IPv6 header and the most it can announce */

enum { EXIT_TROUBLE = 2 }; /* as grep and diff */

struct wanted {
    unsigned long from, to;
    enum depth depth;
    json_t *list; /* --json: where the packets go; NULL: text */
};

static int help(void)
{
    puts("Usage: standin explain [OPTION...] FILE [N | A-B]\n"
         "       standin explain [OPTION...] --hex BYTES\n\n"
         "Explains packets of a capture (pcap, pcapng): every field, the checksum's addition,\n"
         "and what a packet means in its connection. --hex takes one from the IP header on.\n");
    options_help(VERB_EXPLAIN);
    puts("\nExit status: 0; 2 on trouble.");
    return 0;
}

static bool range_of(const char *word, struct wanted *w)
{
    char *end;

    if (!isdigit((unsigned char)word[0])) {
        return false;
    }
    w->from = w->to = strtoul(word, &end, 10);
    if (*end == '-' && isdigit((unsigned char)end[1])) {
        w->to = strtoul(end + 1, &end, 10);
    } else if (strcmp(end, "-") == 0) {
        w->to = (unsigned long)-1;
        end++;
    }
    return *end == '\0' && w->from > 0 && w->from <= w->to;
}

static void show(const struct wanted *w, const struct shown *s)
{
    if (w->list) {
        json_array_append_new(w->list, show_json(s));
    } else {
        show_text(s, w->depth);
    }
}

/* ---- a capture */

static int explain_file(const char *path, struct wanted *w)
{
    struct capture *c = capture_open(path);
    struct flows *flows = flows_new();
    struct cap_packet p;
    int64_t first = 0;
    unsigned long shown = 0;
    uint64_t last = 0;
    int got = -1;

    while (c && flows && (got = capture_next(c, &p)) > 0) {
        static struct dissection d;
        static struct context ctx;
        first = p.no == 1 ? p.time_ns : first;
        last = p.no;
        dissect(&d, p.p, p.len, p.wire_len);
        flows_take(flows, &d, p.no, p.time_ns, &ctx);
        if (p.no >= w->from && p.no <= w->to) {
            struct shown s = {&d, &ctx, &p, p.time_ns - first};
            show(w, &s);
            shown++;
        }
        if (p.no >= w->to) {
            got = 0;
            break;
        }
    }
    flows_free(flows);
    capture_close(c);
    if (got == 0 && shown == 0) {
        msg("%s holds %llu packets; there is no packet %lu", path, (unsigned long long)last,
            w->from);
        return EXIT_TROUBLE;
    }
    return got == 0 ? 0 : EXIT_TROUBLE;
}

/* ---- hex */

static int nibble(char ch)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, tolower((unsigned char)ch));
    return ch && at ? (int)(at - digits) : -1;
}

/* Digits in pairs; blanks, colons and newlines between them; an 0x in front is skipped. -1 with a
 * message. */
static long hex_bytes(const char *text, uint8_t *out)
{
    size_t n = 0;

    for (size_t i = 0; text[i]; i++) {
        if (isspace((unsigned char)text[i]) || strchr(":,-", text[i])) {
            continue;
        }
        if (text[i] == '0' && (text[i + 1] == 'x' || text[i + 1] == 'X')) {
            i++;
            continue;
        }
        int high = nibble(text[i]);
        int low = high < 0 ? -1 : nibble(text[i + 1]);
        if (high < 0 || low < 0) {
            msg("--hex: character %zu, \"%.8s\", is no pair of hexadecimal digits", i + 1,
                text + i);
            msg_do("Like:", "standin explain --hex '45 00 00 28 ...'");
            return -1;
        }
        if (n == HEX_MAX) {
            msg("--hex: more than %u bytes", HEX_MAX);
            return -1;
        }
        out[n++] = (uint8_t)(high << 4 | low);
        i++;
    }
    return (long)n;
}

static int explain_hex(const char *text, const struct wanted *w)
{
    static uint8_t bytes[HEX_MAX];
    static struct dissection d;
    static struct context ctx;
    struct flows *flows = flows_new();
    long n = hex_bytes(text, bytes);

    if (n <= 0 || !flows) {
        if (n == 0) {
            msg("--hex: no bytes");
        }
        flows_free(flows);
        return EXIT_TROUBLE;
    }
    dissect(&d, bytes, (size_t)n, (size_t)n);
    flows_take(flows, &d, 1, 0, &ctx);
    ctx.nlines = 0; /* one packet has no connection to mean something in */
    ctx.conn = 0;
    struct shown s = {&d, &ctx, NULL, 0};
    show(w, &s);
    flows_free(flows);
    return 0;
}

static bool choose(const struct options *o, bool single, struct wanted *w)
{
    w->depth = single ? DEPTH_FIELDS : DEPTH_LINE;
    if (!words_choose(o->given[OPTION_LANG])) {
        msg("--lang %s: the languages are en and ko", o->given[OPTION_LANG]);
        return false;
    }
    if (o->given[OPTION_DEPTH]) {
        if (strlen(o->given[OPTION_DEPTH]) != 1 || !strchr("123", o->given[OPTION_DEPTH][0])) {
            msg("--depth %s: 1 (a line), 2 (all fields) or 3 (every word of the checksums)",
                o->given[OPTION_DEPTH]);
            return false;
        }
        w->depth = (enum depth)(o->given[OPTION_DEPTH][0] - '0');
    }
    return true;
}

int verb_explain(int argc, char *argv[])
{
    struct options o;
    struct wanted w = {.from = 1, .to = (unsigned long)-1};
    int at = options_parse(&o, VERB_EXPLAIN, argc, argv);

    if (at < 0) {
        return EXIT_TROUBLE;
    }
    if (o.help) {
        return help();
    }
    int words_left = argc - at;
    if (words_left != (o.given[OPTION_HEX] ? 0 : 1) && (o.given[OPTION_HEX] || words_left != 2)) {
        msg("which packets? standin explain FILE [N | A-B], or --hex BYTES");
        msg_do("Check:", "standin explain --help");
        return EXIT_TROUBLE;
    }
    if (words_left == 2 && !range_of(argv[at + 1], &w)) {
        msg("%s is no packet number (7) and no range (3-9, 3-)", argv[at + 1]);
        return EXIT_TROUBLE;
    }
    if (!choose(&o, o.given[OPTION_HEX] || w.from == w.to, &w)) {
        return EXIT_TROUBLE;
    }
    w.list = o.given[OPTION_JSON] ? json_array() : NULL;
    int ret =
        o.given[OPTION_HEX] ? explain_hex(o.given[OPTION_HEX], &w) : explain_file(argv[at], &w);
    if (w.list) {
        if (ret == 0) {
            json_dumpf(w.list, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
            putchar('\n');
        }
        json_decref(w.list);
    }
    return ret;
}
