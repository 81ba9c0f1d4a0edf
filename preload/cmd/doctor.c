/*
 * Purpose: `standin doctor [PROGRAM]`: looks whether the stack can run here, and the program on it,
 * and says what repairs what. It tries what it says: a device is really made (and gone again when
 * its descriptor is closed).
 */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "msg.h"
#include "options.h"
#include "place.h"
#include "program.h"
#include "tun/link.h"
#include "tun/netcfg.h"
#include "tun/peek.h"
#include "verbs.h"

enum { EXIT_FOUND = 1, EXIT_BAD_USE = 2 };

struct findings {
    json_t *list; /* NULL: text */
    bool bad;
};

static int help(void)
{
    puts("Usage: standin doctor [OPTION...] [PROGRAM]\n\n"
         "Looks whether the stack can run here, and PROGRAM on it. It changes nothing.\n");
    options_help(VERB_DOCTOR);
    puts("\nExit status: 0 all is well; 1 something was found; 2 on trouble.");
    return 0;
}

static void found(struct findings *f, bool good, const char *what, const char *remedy,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void found(struct findings *f, bool good, const char *what, const char *remedy,
                  const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    f->bad = f->bad || !good;
    if (f->list) {
        json_array_append_new(f->list,
                              json_pack("{s:s, s:b, s:s, s:s*}", "check", what, "good", (int)good,
                                        "found", text, "remedy", good ? NULL : remedy));
        return;
    }
    printf("%-5s %-12s %s\n", good ? "ok" : "WRONG", what, text);
    if (!good && remedy) {
        printf("      Fix:         %s\n", remedy);
    }
}

static void check_kernel(struct findings *f)
{
    struct utsname u;

    if (uname(&u) == 0) {
        found(f, strcmp(u.machine, "x86_64") == 0, "kernel", "an x86-64 machine", "Linux %s, %s",
              u.release, u.machine);
    }
}

static void check_parts(struct findings *f)
{
    char path[PATH_MAX];
    bool library = place_find(PLACE_LIBRARY, path);
    found(f, library, "library", "make install, or run the command from its build folder", "%s",
          library ? path : PLACE_LIBRARY " is not where the command looks");
    bool keeper = place_find(PLACE_KEEPER, path);
    found(f, keeper, "keeper", "make install, or run the command from its build folder", "%s",
          keeper ? path : PLACE_KEEPER " is not where the command looks");
    bool watch = place_find(PLACE_WATCH, path);
    found(f, watch, "watch", "make install, or run the command from its build folder", "%s",
          watch ? path : PLACE_WATCH " is not where the command looks");
}

static void check_node(struct findings *f)
{
    struct stat st;
    bool there = stat("/dev/net/tun", &st) == 0;

    if (!there) {
        found(f, false, "/dev/net/tun",
              "modprobe tun; mkdir -p /dev/net; mknod -m 0666 /dev/net/tun c 10 200", "%s",
              strerror(errno));
        return;
    }
    bool may = access("/dev/net/tun", R_OK | W_OK) == 0;
    found(f, may, "/dev/net/tun", "sudo chmod 0666 /dev/net/tun    (what Debian's udev rule sets)",
          "mode %04o%s", (unsigned)(st.st_mode & 07777), may ? "" : ", not for us");
}

/* Makes a device and lets it go. */
static void check_device(struct findings *f)
{
    struct link l;
    char name[16] = "";
    const char *step = "";
    int err = link_tun_open(&l, name, true, &step);

    if (err) {
        found(f, false, "device", "sudo standin ..., or unshare -rn standin ...", "%s: %s", step,
              strerror(-err));
        return;
    }
    found(f, true, "device", NULL, "%s was made%s", name,
          l.caps & LINK_TSO4 ? ", with offloads" : ", without offloads");
    close(l.fd);
}

static void check_subnet(struct findings *f)
{
    struct netcfg nc;
    struct ifaddr a = {.bits = 24};
    int err = netcfg_open(&nc);

    if (err) {
        found(f, false, "netlink", "a kernel with rtnetlink", "%s", strerror(-err));
        return;
    }
    addr_parse("10.77.0.2", &a.addr);
    bool taken = netcfg_taken(&nc, 0, &a, true);
    netcfg_close(&nc);
    found(f, true, "subnet", NULL, "%s",
          taken ? "10.77.0.0/24 is in use: the next free one will be taken"
                : "10.77.0.0/24 is free");
}

static void check_sessions(struct findings *f)
{
    static char names[PEEK_SESSIONS_MAX][SESSION_NAME];
    unsigned n = peek_list(names, PEEK_SESSIONS_MAX);

    found(f, true, "sessions", NULL, "%u in this network namespace", n);
}

/* Its own words go to stderr; what they come to is a finding. */
static void check_program(struct findings *f, const char *name)
{
    char path[PATH_MAX];
    fflush(stdout); /* in the order in which it is said, in a file, too */
    int ret = program_check(name, path);

    found(f, ret == 0, "program", "see above", "%s",
          ret == 0              ? path
          : ret == EXIT_MISSING ? "there is no such program"
                                : "cannot run on the stack");
}

int verb_doctor(int argc, char *argv[])
{
    struct options o;
    struct findings f = {0};
    int at = options_parse(&o, VERB_DOCTOR, argc, argv);

    if (at < 0) {
        return EXIT_BAD_USE;
    }
    if (o.help) {
        return help();
    }
    f.list = o.given[OPTION_JSON] ? json_array() : NULL;
    check_kernel(&f);
    check_parts(&f);
    check_node(&f);
    check_device(&f);
    check_subnet(&f);
    check_sessions(&f);
    for (; at < argc; at++) {
        check_program(&f, argv[at]);
    }
    if (f.list) {
        json_dumpf(f.list, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(f.list);
    }
    return f.bad ? EXIT_FOUND : 0;
}
