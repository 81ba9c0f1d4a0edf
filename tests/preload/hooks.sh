#!/bin/bash
# hooks.sh - descriptors, signals and cancellation on stack sockets: the same programs on the kernel (127.0.0.1) and on us.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"
LIB=$BUILD/libstandin.so
ip link set lo up

on_kernel() { "$1" 127.0.0.1 "${@:2}"; }
on_us() { LD_PRELOAD=$LIB "$1" "$OURS4" "${@:2}"; }

same_descriptors()
{
    on_kernel "$BUILD/tests/preload/fdapi" >"$work/kernel" 2>&1
    on_us "$BUILD/tests/preload/fdapi" >"$work/ours" 2>&1
    diff "$work/kernel" "$work/ours"
}

storm() { on_us "$BUILD/tests/preload/sigstorm" "$1"; }

# Signals fall into the instants before and after the system call. On both stacks some come before the call: as many.
instants()
{
    local kernel ours
    kernel=$(on_kernel "$BUILD/tests/preload/sigstorm" instants | grep -oE '[0-9]+' | head -n 1)
    ours=$(on_us "$BUILD/tests/preload/sigstorm" instants | grep -oE '[0-9]+' | head -n 1)
    echo "came before the call: kernel $kernel, ours $ours"
    ((ours < kernel + kernel / 2 + 200))
}

check "descriptors: copies, ranges, stdio, fork, exec, mail" same_descriptors
check "signals: 100000, none lost" storm lost
check "signals: EINTR and SA_RESTART" storm restart
check "signals: masks of ppoll, pselect, epoll_pwait" storm mask
check "signals: at any instant of a call" instants
check "signals: siglongjmp out of recv" storm jump
check "signals: handlers that send and receive" storm inside
check "signals: a fault in the stack" storm fault
check "signals: alternate stack" storm altstack
check "signals: default action kills" storm dies
check "cancellation of blocked calls" storm cancel
check "threads that talk while others fork, vfork and spawn" on_us "$BUILD/tests/preload/forkstorm" 5
finish
