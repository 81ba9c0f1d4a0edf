/*
 * profile_test.c - the knobs of a profile: set together, undone together, and overridden by what is
 * set after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/profile.h"

static void linux_is_the_default(void **state)
{
    struct knobs k;
    (void)state;
    knobs_default(&k);
    assert_string_equal(profile_of(&k)->name, "linux");
    assert_true(profile_of(&k)->close_unread_resets && profile_of(&k)->quickacks);
}

static void there_and_back(void **state)
{
    struct knobs before, k;
    (void)state;
    knobs_default(&before);
    knobs_default(&k);
    assert_int_equal(knobs_set(&k, "user_profile", PROFILE_FREEBSD), 0);
    assert_string_equal(profile_of(&k)->name, "freebsd");
    assert_int_equal(k.tcp_rmem_default, 65536);
    assert_int_equal(k.tcp_wmem_default, 32768);
    assert_int_equal(knobs_set(&k, "user_profile", PROFILE_LINUX), 0);
    assert_memory_equal(&k, &before, sizeof k);
}

static void what_is_set_after_holds(void **state)
{
    struct knobs k;
    (void)state;
    knobs_default(&k);
    knobs_set(&k, "user_profile", PROFILE_FREEBSD);
    assert_int_equal(knobs_set(&k, "tcp_fin_timeout", 7), 0);
    assert_int_equal(k.tcp_fin_timeout, 7);
    assert_int_equal(knobs_set(&k, "user_profile", PROFILES), -ERR_DOM);
    assert_string_equal(profile_of(&k)->name, "freebsd");
}

static void by_name(void **state)
{
    (void)state;
    assert_int_equal(profile_find("linux"), PROFILE_LINUX);
    assert_int_equal(profile_find("freebsd"), PROFILE_FREEBSD);
    assert_int_equal(profile_find("plan9"), PROFILES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_is_the_default),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_is_set_after_holds),
        cmocka_unit_test(by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
