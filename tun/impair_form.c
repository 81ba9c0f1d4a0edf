/*
 * impair_form.c - the mini-language told: each form of a rule once, with what it does and an
 * example. The manual page is made of this table, and the tests over real programs fail for a word
 * of it that they do not use.
 *
 * In a syntax, words in capitals stand for values, brackets for what may be left out, bars for a
 * choice; all else is written as it is.
 */
#include "tun/impair.h"

#include "tun/impair_priv.h"

const struct impair_form impair_forms[] = {
    {"delay", "delay TIME [jitter TIME] [dist uniform|normal|pareto] [ordered] [of WHICH]",
     "Every packet takes TIME longer, give or take the jitter: evenly spread, or with it as the "
     "deviation of the distribution. With a jitter packets overtake each other, unless they are "
     "ordered.",
     "delay 20ms jitter 5ms dist normal"},
    {"loss", "loss CHANCE [of WHICH]", "Each packet is lost with this chance.", "loss 1%"},
    {"loss", "loss ge p=CHANCE r=CHANCE [bad=CHANCE] [good=CHANCE]",
     "Loss in bursts, by the model of Gilbert and Elliott: with chance p the wire turns bad, with "
     "chance r good again; in the bad state packets are lost with chance bad (100%), in the good "
     "one with chance good (0%).",
     "loss ge p=1% r=30%"},
    {"drop", "drop WHICH", "Exactly these packets are lost.", "out: drop data#3"},
    {"dup", "dup CHANCE|WHICH [xN]", "These packets arrive twice, or N times.", "in: dup ack#3 x3"},
    {"reorder", "reorder CHANCE|WHICH by TIME",
     "These packets are held back for that long, and others pass them.", "reorder 5% by 10ms"},
    {"reorder", "reorder WHICH after WHICH",
     "The first are held back until one of the second has passed (for a second at most).",
     "in: reorder data#4 after data#6"},
    {"corrupt", "corrupt CHANCE|WHICH [at FIELD] [fixed]",
     "One bit of these packets is turned over: of the field, or anywhere. With fixed the checksums "
     "are made right again, so that the receiver cannot know.",
     "out: corrupt data#2 at tcp.checksum"},
    {"rate", "rate BITRATE [queue SIZE|TIME|Np] [aqm droptail|codel] [ecn]",
     "A bottleneck, once for a direction. Its queue holds so many bytes, what the rate carries in "
     "that time, or N packets; more are dropped. CoDel drops earlier, or marks what can be marked.",
     "rate 10mbit queue 100ms"},
    {"blackhole", "blackhole [after SIZE|TIME] [for TIME]",
     "Nothing passes: from the first packet, or so many bytes or so much time behind it; for good, "
     "or for a while.",
     "blackhole after 1MiB for 10s"},
    {"mtu", "mtu BYTES [icmp=sent|silent]",
     "Larger packets do not pass. Their sender is told by ICMP, or not; what may be fragmented is.",
     "mtu 1280 icmp=silent"},
    {"mss", "mss BYTES", "The MSS option of SYNs is lowered to BYTES.", "mss 1200"},
    {"strip", "strip OPTION[,OPTION...] [on syn|all]",
     "A middlebox takes TCP options out: of SYNs, or of all segments.", "strip sack,wscale on syn"},
    {"ecn-mark", "ecn-mark CHANCE|WHICH",
     "Those that say they know ECN are marked \"congestion experienced\" (RFC 3168).",
     "out: ecn-mark 5%"},
    {"ecn-bleach", "ecn-bleach", "The ECN bits of the IP header are cleared.", "ecn-bleach"},
    {"rst", "rst [after SIZE]",
     "Once for a connection and direction, a reset is put behind a segment; with a size, behind "
     "that many bytes of the stream.",
     "in: rst after 10KiB"},
    {"window", "window BYTES [after SIZE] [for TIME]",
     "The window that segments offer is lowered to BYTES, from so many acknowledged bytes on, for "
     "good or for a while.",
     "in: window 0 after 64KiB for 5s"},
    {"idle", "idle TIME",
     "A middlebox forgets a connection that was silent for longer: nothing of it passes any more.",
     "idle 30s"},
    {"profile", "profile NAME", "The rules of that name.", "profile wifi"},
    {NULL, NULL, NULL, NULL},
};

const struct impair_form impair_whiches[] = {
    {"any", "any", "every packet", NULL},
    {"syn", "syn", "SYN without ACK", NULL},
    {"syn+ack", "syn+ack", "SYN with ACK", NULL},
    {"ack", "ack", "nothing but an acknowledgment", NULL},
    {"data", "data", "has payload", NULL},
    {"fin", "fin", "FIN", NULL},
    {"rst", "rst", "RST", NULL},
    {"retransmit", "retransmit", "payload, SYN or FIN that went before", NULL},
    {"udp", "udp", "a datagram", NULL},
    {"icmp", "icmp", "ICMP or ICMPv6", NULL},
    {NULL, NULL, NULL, NULL},
};

const char *const *impair_options(void)
{
    return strip_names;
}
