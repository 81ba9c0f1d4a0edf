/*
 * impair_profile.c - named networks and misbehaving middleboxes.
 *
 * The networks are the usual figures of such links, half of the delay in each direction; they keep
 * the order, as real links do. The middleboxes are one fault each.
 */
#include <string.h>

#include "tun/impair.h"

const struct impair_profile impair_profiles[] = {
    {"gprs", "delay 250ms; rate 50kbit queue 500ms; loss 2%", "mobile, about 2000"},
    {"edge", "delay 150ms; rate 250kbit queue 500ms; loss 1.5%", "mobile, about 2003"},
    {"3g", "delay 100ms jitter 20ms ordered; rate 750kbit queue 500ms; loss 1.5%", "mobile, 2005"},
    {"lte",
     "delay 25ms jitter 8ms ordered; out: rate 10mbit queue 200ms; "
     "in: rate 40mbit queue 200ms; loss 0.1%",
     "mobile, about 2012"},
    {"dialup", "delay 92ms; rate 40kbit queue 1s; loss 2%", "a modem"},
    {"dsl", "delay 20ms; out: rate 1mbit queue 200ms; in: rate 8mbit queue 200ms; loss 0.5%",
     "a telephone line"},
    {"cable", "delay 10ms; out: rate 10mbit queue 250ms; in: rate 100mbit queue 100ms",
     "television cable"},
    {"wifi",
     "delay 2ms jitter 4ms dist pareto ordered; rate 30mbit queue 100ms; "
     "loss ge p=0.2% r=40%",
     "a busy wireless network"},
    {"starlink",
     "delay 20ms jitter 8ms dist normal ordered; out: rate 20mbit queue 100ms; "
     "in: rate 150mbit queue 100ms; loss ge p=0.1% r=20%",
     "satellites, low"},
    {"geo", "delay 300ms; rate 20mbit queue 300ms; loss 0.2%", "a satellite, high"},
    {"lossy", "delay 10ms; loss 3%", "loss alone"},
    {"bufferbloat", "delay 10ms; rate 5mbit queue 2s", "a queue that is far too long"},
    {"strip-sack", "strip sack on syn", "a middlebox that takes SACK out"},
    {"strip-wscale", "strip wscale on syn", "a middlebox that takes window scaling out"},
    {"strip-timestamps", "strip timestamps on syn", "a middlebox that takes timestamps out"},
    {"strip-all", "strip wscale,sack,timestamps,fastopen,md5,accecn,other on all",
     "a middlebox that knows no option but MSS"},
    {"mss-clamp", "mss 1200", "a tunnel that lowers the MSS"},
    {"pmtu-blackhole", "mtu 1280 icmp=silent", "a tunnel that says nothing of its MTU"},
    {"pmtu", "mtu 1280", "a tunnel that says it"},
    {"rst-injector", "rst after 10KiB", "a censor"},
    {"nat-timeout", "idle 30s", "a NAT that forgets"},
    {"ecn-bleach", "ecn-bleach", "a router that clears ECN"},
    {"zero-window", "in: window 0 after 64KiB for 5s", "a peer that does not read"},
    {"outage", "blackhole after 256KiB for 3s", "a link that fails for a while"},
    {NULL, NULL, NULL},
};

const char *impair_profile(const char *name)
{
    for (const struct impair_profile *p = impair_profiles; p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return p->spec;
        }
    }
    return NULL;
}
