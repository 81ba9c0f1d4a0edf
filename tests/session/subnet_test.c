/*
 * Subnets: every session has its own, however many start at once; what others use is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"
#include "tun/netcfg.h"

#define AT_ONCE 12

static struct ifaddr ifaddr(const char *text, uint8_t bits)
{
    struct ifaddr a = {.bits = bits};
    REQUIRE(addr_parse(text, &a.addr));
    return a;
}

static struct session_config named(const char *ours, const char *peer, uint8_t bits)
{
    struct session_config cfg = host_config();
    cfg.claimed = true;
    cfg.addr[0] = ifaddr(ours, bits);
    cfg.peer[0] = ifaddr(peer, bits);
    cfg.naddr = cfg.npeer = 1;
    return cfg;
}

/* The third byte of the address of a session we can join. */
static int subnet_of(int talk, void *arg)
{
    const struct session_config *cfg = &the_session.arena->cfg;
    char name[16];
    (void)arg;
    unsigned n = addr_bytes4(&cfg->addr[0].addr)[2];
    snprintf(name, sizeof name, "standin%u", n);
    REQUIRE(strcmp(cfg->ifname, name) == 0);
    REQUIRE(device_there(name));
    REQUIRE(cfg->addr[1].addr.b[3] == n);
    say(talk, n);
    return 0;
}

static int64_t ask_subnet(const struct session_result *r)
{
    struct child c = member_run(r, subnet_of, NULL);
    int64_t n = hear(c.talk);
    assert_int_equal(child_end(&c), 0);
    return n;
}

/* Starts when told to, and holds what it started. */
static int start_on_call(int talk, void *arg)
{
    struct session_config *cfg = arg;
    hear(talk);
    struct session_result r = session_start(KEEPER, cfg);
    REQUIRE(send(talk, &r, sizeof r, 0) == sizeof r);
    hear(talk);
    return 0;
}

static void start_all(struct child c[AT_ONCE], struct session_result r[AT_ONCE],
                      struct session_config *cfg)
{
    for (int i = 0; i < AT_ONCE; i++) {
        c[i] = child_run(start_on_call, cfg);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        say(c[i].talk, 0);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        assert_int_equal(recv(c[i].talk, &r[i], sizeof r[i], 0), sizeof r[i]);
    }
}

static void end_all(struct child c[AT_ONCE])
{
    for (int i = 0; i < AT_ONCE; i++) {
        say(c[i].talk, 0);
        assert_int_equal(child_end(&c[i]), 0);
    }
}

static bool no_device(void *arg)
{
    (void)arg;
    for (int i = 0; i < AT_ONCE; i++) {
        char name[16];
        snprintf(name, sizeof name, "standin%d", i);
        if (device_there(name)) {
            return false;
        }
    }
    return true;
}

static void each_its_own(void **state)
{
    struct child c[AT_ONCE];
    struct session_result r[AT_ONCE];
    struct session_config cfg = host_config();
    bool used[256] = {false};
    (void)state;
    host_net();
    start_all(c, r, &cfg);
    for (int i = 0; i < AT_ONCE; i++) {
        assert_int_equal(r[i].code, SESSION_OK);
        int64_t n = ask_subnet(&r[i]);
        assert_in_range(n, 0, AT_ONCE - 1);
        assert_false(used[n]);
        used[n] = true;
    }
    end_all(c);
    assert_true(until(no_device, NULL, 5000));
}

/* The same named address: one gets it. */
static void one_gets_it(void **state)
{
    struct child c[AT_ONCE];
    struct session_result r[AT_ONCE];
    struct session_config cfg = named("192.168.77.2", "192.168.77.1", 24);
    int won = 0;
    (void)state;
    host_net();
    start_all(c, r, &cfg);
    for (int i = 0; i < AT_ONCE; i++) {
        won += r[i].code == SESSION_OK;
        assert_true(r[i].code == SESSION_OK || r[i].code == SESSION_ADDR_IN_USE);
    }
    assert_int_equal(won, 1);
    end_all(c);
    assert_true(until(no_device, NULL, 5000));
}

static void overlaps_are_seen(void **state)
{
    (void)state;
    host_net();
    struct session_config cfg = named("10.77.0.130", "10.77.0.129", 25);
    struct session_result r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, SESSION_OK);
    cfg = named("10.77.0.2", "10.77.0.1", 16); /* around it */
    r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, SESSION_ADDR_IN_USE);
    cfg = named("10.77.0.2", "10.77.0.1", 25); /* beside it */
    r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, SESSION_OK);
    cfg = named("127.0.0.2", "127.0.0.3", 8); /* loopback's */
    r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, SESSION_ADDR_IN_USE);
}

/* A route of somebody else to 10.77.0.0/22 and a device called standin4: the first session is
 * number 5. */
static void others_are_left_alone(void **state)
{
    char name[16] = "standin4";
    const char *step;
    struct link l, other;
    struct netcfg nc;
    struct ifaddr a = ifaddr("10.77.1.9", 22);
    char mine[16] = "mine0";
    (void)state;
    host_net();
    assert_int_equal(link_tun_open(&l, name, true, &step), 0);
    assert_int_equal(link_tun_claim(&other, name, true, &step), -EBUSY);
    assert_int_equal(link_tun_open(&other, mine, false, &step), 0);
    assert_int_equal(other.caps, 0);
    assert_int_equal(l.caps & ~(LINK_USO4 | LINK_USO6 | LINK_BIG4),
                     LINK_CSUM | LINK_TSO4 | LINK_TSO6);
    assert_int_equal(netcfg_open(&nc), 0);
    assert_int_equal(netcfg_addr_add(&nc, netcfg_index(mine), &a), 0);
    assert_int_equal(netcfg_addr_add(&nc, netcfg_index(mine), &a), -EEXIST);
    assert_true(netcfg_addr_have(&nc, netcfg_index(mine), &a));
    assert_int_equal(netcfg_up(&nc, netcfg_index(mine), 1400, 100), 0);
    assert_true(netcfg_is_up(&nc, netcfg_index(mine), 1400));
    assert_false(netcfg_is_up(&nc, netcfg_index(mine), 1500));
    assert_int_equal(netcfg_index("nobody"), -ENODEV);
    netcfg_close(&nc);
    struct session_result r = host_start();
    assert_int_equal(ask_subnet(&r), 5);
    close(l.fd);
    close(other.fd);
}

static void bad_values(void **state)
{
    struct session_config cfg = host_config();
    (void)state;
    host_net();
    cfg.mtu = 65536;
    struct session_result r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, -EINVAL);
    assert_string_equal(r.step, "bring standin0 up with an MTU of 65536");
    assert_true(until(no_device, NULL, 5000));
}

/* IPv6 is off here: the session has IPv4 only. */
static void without_v6(void **state)
{
    struct session_config cfg = host_config();
    (void)state;
    host_net();
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
    if (fd < 0 || write(fd, "1", 1) != 1) {
        skip();
    }
    close(fd);
    struct session_result r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, SESSION_OK);
    struct session_result j = session_join(&the_session, r.name, r.token);
    assert_int_equal(j.code, SESSION_OK);
    assert_int_equal(the_session.arena->cfg.naddr, 1);
    assert_int_equal(the_session.stack->naddr, 1);
    session_leave(&the_session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_its_own),      cmocka_unit_test(one_gets_it),
        cmocka_unit_test(overlaps_are_seen), cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(bad_values),        cmocka_unit_test(without_v6),
    };
    return cmocka_run_group_tests_name("session: subnet", tests, NULL, NULL);
}
