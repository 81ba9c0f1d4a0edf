/*
 * %{ code }%: what getsockopt(TCP_INFO) says at that moment becomes variables, and all snippets
 * run in one Python at the end of the script, each under its own line numbers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "run.h"

static const struct {
    const char *name;
    unsigned value;
} constants[] = {
    {"TCP_ESTABLISHED", 1},
    {"TCP_SYN_SENT", 2},
    {"TCP_SYN_RECV", 3},
    {"TCP_FIN_WAIT1", 4},
    {"TCP_FIN_WAIT2", 5},
    {"TCP_TIME_WAIT", 6},
    {"TCP_CLOSE", 7},
    {"TCP_CLOSE_WAIT", 8},
    {"TCP_LAST_ACK", 9},
    {"TCP_LISTEN", 10},
    {"TCP_CLOSING", 11},
    {"TCP_CA_Open", 0},
    {"TCP_CA_Disorder", 1},
    {"TCP_CA_CWR", 2},
    {"TCP_CA_Recovery", 3},
    {"TCP_CA_Loss", 4},
    {"TCPI_OPT_TIMESTAMPS", 1},
    {"TCPI_OPT_SACK", 2},
    {"TCPI_OPT_WSCALE", 4},
    {"TCPI_OPT_ECN", 8},
    {"TCPI_OPT_ECN_SEEN", 16},
    {"TCPI_OPT_SYN_DATA", 32},
    {"TCPI_ECN_MODE_DISABLED", 0},
    {"TCPI_ECN_MODE_RFC3168", 1},
    {"TCPI_ECN_MODE_ACCECN", 2},
    {"TCPI_ECN_MODE_PENDING", 3},
    {"TCP_ACCECN_OPT_NOT_SEEN", 0},
    {"TCP_ACCECN_OPT_EMPTY_SEEN", 1},
    {"TCP_ACCECN_OPT_COUNTER_SEEN", 2},
    {"TCP_ACCECN_OPT_FAIL_SEEN", 3},
    {"TCP_ACCECN_ACE_FAIL_SEND", 1},
    {"TCP_ACCECN_ACE_FAIL_RECV", 2},
    {"TCP_ACCECN_OPT_FAIL_SEND", 4},
    {"TCP_ACCECN_OPT_FAIL_RECV", 8},
};

static const char prologue[] =
    "import sys, traceback\n"
    "path = sys.argv[1]\n"
    "g = {}\n"
    "def run(line, names, source):\n"
    "    g.update(names)\n"
    "    try:\n"
    "        exec(compile('\\n' * (line - 1) + source + '\\n\\n', path, 'exec'), g)\n"
    "    except BaseException as e:\n"
    "        at = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == path]\n"
    "        print('@failed %d %s: %s' % (at[-1] if at else line, type(e).__name__, e))\n"
    "        sys.exit(1)\n";

/* Every field of struct lx_tcp_info, in its order. */
#define INFO_FIELDS(F)           \
    F(state)                     \
    F(ca_state)                  \
    F(retransmits)               \
    F(probes)                    \
    F(backoff)                   \
    F(options)                   \
    F(snd_wscale)                \
    F(rcv_wscale)                \
    F(delivery_rate_app_limited) \
    F(fastopen_client_fail)      \
    F(rto)                       \
    F(ato)                       \
    F(snd_mss)                   \
    F(rcv_mss)                   \
    F(unacked)                   \
    F(sacked)                    \
    F(lost)                      \
    F(retrans)                   \
    F(fackets)                   \
    F(last_data_sent)            \
    F(last_ack_sent)             \
    F(last_data_recv)            \
    F(last_ack_recv)             \
    F(pmtu)                      \
    F(rcv_ssthresh)              \
    F(rtt)                       \
    F(rttvar)                    \
    F(snd_ssthresh)              \
    F(snd_cwnd)                  \
    F(advmss)                    \
    F(reordering)                \
    F(rcv_rtt)                   \
    F(rcv_space)                 \
    F(total_retrans)             \
    F(pacing_rate)               \
    F(max_pacing_rate)           \
    F(bytes_acked)               \
    F(bytes_received)            \
    F(segs_out)                  \
    F(segs_in)                   \
    F(notsent_bytes)             \
    F(min_rtt)                   \
    F(data_segs_in)              \
    F(data_segs_out)             \
    F(delivery_rate)             \
    F(busy_time)                 \
    F(rwnd_limited)              \
    F(sndbuf_limited)            \
    F(delivered)                 \
    F(delivered_ce)              \
    F(bytes_sent)                \
    F(bytes_retrans)             \
    F(dsack_dups)                \
    F(reord_seen)                \
    F(rcv_ooopack)               \
    F(snd_wnd)                   \
    F(rcv_wnd)                   \
    F(rehash)                    \
    F(total_rto)                 \
    F(total_rto_recoveries)      \
    F(total_rto_time)            \
    F(received_ce)               \
    F(delivered_e1_bytes)        \
    F(delivered_e0_bytes)        \
    F(delivered_ce_bytes)        \
    F(received_e1_bytes)         \
    F(received_e0_bytes)         \
    F(received_ce_bytes)         \
    F(ecn_mode)                  \
    F(accecn_fail_mode)          \
    F(accecn_opt_seen)

static void add_info(struct str *out, const struct lx_tcp_info *info)
{
#define F(name) str_add(out, "'tcpi_" #name "': %llu, ", (unsigned long long)info->tcpi_##name);
    INFO_FIELDS(F)
#undef F
}

static void add_text(struct str *out, const char *text)
{
    str_add(out, "'");
    for (const char *p = text; *p; p++) {
        if (*p == '\n') {
            str_add(out, "\\n");
        } else if (*p == '\'' || *p == '\\') {
            str_add(out, "\\%c", *p);
        } else {
            str_add(out, "%c", *p);
        }
    }
    str_add(out, "'");
}

/* The descriptor of the socket under test, or of the last connection that has one; -1: none. */
static int under_test(const struct run *r)
{
    if (r->cur && r->cur->live_fd >= 0) {
        return r->cur->live_fd;
    }
    for (const struct conv *c = r->convs; c; c = c->next) {
        if (c->live_fd >= 0 && c->state == CONV_OPEN) {
            return c->live_fd;
        }
    }
    return -1;
}

static void begin(struct run *r)
{
    str_add(&r->code, "%s", prologue);
    for (size_t i = 0; i < ARRAY_LEN(constants); i++) {
        str_add(&r->code, "g['%s'] = %u\n", constants[i].name, constants[i].value);
    }
    r->have_code = true;
}

bool code_capture(struct run *r, const char *text, int line)
{
    struct lx_tcp_info info = {0};
    socklen_t len = sizeof info;
    struct vk_call c = {.op = VK_GETSOCKOPT, .fd = under_test(r)};
    c.u.opt.level = LX_IPPROTO_TCP;
    c.u.opt.name = LX_TCP_INFO;
    c.u.opt.val = &info;
    c.u.opt.len = &len;
    if (c.fd < 0) {
        return run_fail(r, "code, but no socket is under test");
    }
    vk_start(r->vk, &c);
    if (c.ret != 0 || len != sizeof info) {
        return run_fail(r, "getsockopt(TCP_INFO): %s, %u bytes", strerror(c.err), len);
    }
    if (!r->have_code) {
        begin(r);
    }
    log_add(r, run_now(r), "%%{ line %d }%%", line);
    str_add(&r->code, "run(%d, {", line);
    add_info(&r->code, &info);
    str_add(&r->code, "}, ");
    add_text(&r->code, text);
    str_add(&r->code, ")\n");
    return true;
}

/* What Python said: "@failed LINE Type: text" behind what the code printed, or something else
 * when it did not get that far. */
static void failed(struct run *r, char *text)
{
    static const char mark[] = "@failed ";
    char *said = strstr(text, mark);
    if (!said) {
        run_fail(r, "python3 failed: %s", *text ? text : "it said nothing");
        return;
    }
    char *rest = said + sizeof mark - 1;
    long at = strtol(rest, &rest, 10);
    rest[strcspn(rest, "\n")] = '\0';
    run_fail(r, "code:%s", rest);
    r->why_line = (int)at;
}

static void run_python(struct run *r, const char *program)
{
    struct str cmd = {0}, said = {0};
    char buf[512];
    str_add(&said, "%s", "");
    /* The system's own first: wrappers around python3 cost more than what runs in it. */
    const char *python = access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3";
    str_add(&cmd, "%s -I -S %s '%s' 2>&1", python, program, r->script->path);
    fflush(stdout);
    FILE *out = popen(str_text(&cmd), "r");
    while (out && fgets(buf, sizeof buf, out)) {
        str_add(&said, "%s", buf);
    }
    if (!out || pclose(out) != 0) {
        failed(r, said.p);
    }
    str_free(&cmd);
    str_free(&said);
}

bool code_run_all(struct run *r)
{
    char path[] = "/tmp/drill-XXXXXX";
    if (!r->have_code) {
        return true;
    }
    int fd = mkstemp(path);
    if (fd < 0) {
        return run_fail(r, "no temporary file for code");
    }
    if (write(fd, r->code.p, r->code.n) == (ssize_t)r->code.n) {
        run_python(r, path);
    } else {
        run_fail(r, "the temporary file for code cannot be written");
    }
    close(fd);
    unlink(path);
    return !run_failed(r);
}
