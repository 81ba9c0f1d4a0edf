/*
 * netconf.h - from what was asked for (options, then STANDIN_* variables, then defaults) to a
 * session's configuration.
 */
#ifndef STANDIN_CMD_NETCONF_H
#define STANDIN_CMD_NETCONF_H

#include <stdbool.h>

#include "options.h"
#include "tun/session.h"

/*
 * Fills `cfg`. False after a message about the value that is wrong. Where no address is named,
 * naddr is 0 and the session takes the next free subnet (claimed: false).
 */
bool netconf_make(struct session_config *cfg, const struct options *o);

#endif
