/*
 * stats.h - counters of the whole stack; names are those of Linux's SNMP and netstat counters
 * where there is one.
 */
#ifndef STANDIN_CORE_STATS_H
#define STANDIN_CORE_STATS_H

#include <stdint.h>

#include "err.h"

/* STAT(name) */
#define STAT_LIST                   \
    STAT(IpInReceives)              \
    STAT(IpInDelivers)              \
    STAT(IpOutRequests)             \
    STAT(IpReasmOKs)                \
    STAT(IpReasmFails)              \
    STAT(IpReasmReqds)              \
    STAT(IpReasmTimeout)            \
    STAT(IpFragOKs)                 \
    STAT(IpFragFails)               \
    STAT(IpFragCreates)             \
    STAT(IpInBytes)                 \
    STAT(IpOutBytes)                \
    STAT(IcmpInMsgs)                \
    STAT(IcmpOutMsgs)               \
    STAT(IcmpInErrors)              \
    STAT(UdpInDatagrams)            \
    STAT(UdpOutDatagrams)           \
    STAT(UdpNoPorts)                \
    STAT(UdpRcvbufErrors)           \
    STAT(TcpActiveOpens)            \
    STAT(TcpPassiveOpens)           \
    STAT(TcpAttemptFails)           \
    STAT(TcpEstabResets)            \
    STAT(TcpInSegs)                 \
    STAT(TcpOutSegs)                \
    STAT(TcpRetransSegs)            \
    STAT(TcpOutRsts)                \
    STAT(TcpTimeouts)               \
    STAT(TcpFastRetrans)            \
    STAT(TcpLossProbes)             \
    STAT(TcpSackRecovery)           \
    STAT(TcpRenoRecovery)           \
    STAT(TcpListenOverflows)        \
    STAT(TcpListenDrops)            \
    STAT(TcpAbortOnData)            \
    STAT(TcpAbortOnClose)           \
    STAT(TcpAbortOnTimeout)         \
    STAT(TcpAbortOnLinger)          \
    STAT(TcpDelayedAcks)            \
    STAT(TcpPawsDrops)              \
    STAT(TcpOfoQueue)               \
    STAT(TcpChallengeAcks)          \
    STAT(TcpTimeWaits)              \
    STAT(TcpKeepAlives)             \
    STAT(TcpDsackRecv)              \
    STAT(TcpSackScanned)            \
    STAT(TcpDsackSent)              \
    STAT(TcpMtupSuccess)            \
    STAT(TcpMtupFail)               \
    STAT(TcpMD5NotFound)            \
    STAT(TcpMD5Unexpected)          \
    STAT(TcpMD5Failure)             \
    STAT(TcpHpHits)                 \
    STAT(TcpFastOpenActive)         \
    STAT(TcpFastOpenActiveFail)     \
    STAT(TcpFastOpenPassive)        \
    STAT(TcpFastOpenPassiveFail)    \
    STAT(TcpFastOpenListenOverflow) \
    STAT(TcpFastOpenCookieReqd)     \
    STAT(TcpFastOpenBlackhole)      \
    STAT(TcpSyncookiesSent)         \
    STAT(TcpSyncookiesRecv)         \
    STAT(TcpSyncookiesFailed)       \
    STAT(Recoveries)

struct stats {
#define STAT(name) uint64_t name;
    STAT_LIST
#undef STAT
    uint64_t drop[DROP_COUNT];
};

#endif
