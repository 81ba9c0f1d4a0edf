/*
 * build_id.c - the one place that knows which build this is. It is made anew when that changes
 * (tun.mk).
 */
#include "tun/session.h"

const char *session_build_id(void)
{
    return STANDIN_BUILD_ID;
}
