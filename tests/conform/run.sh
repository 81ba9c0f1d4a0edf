#!/bin/bash
# Runs each conformance program on the kernel's stack and on ours and compares what it and its peer print.
#
#   run.sh PROGRAMS LIBRARY KEEPER OUT [NAME...]
#
# The kernel's run: test and peer in two network namespaces joined by a veth pair, 10.77.0.2 and 10.77.0.1. Ours: the test
# with LD_PRELOAD, the peer a plain kernel process at the other end of the TUN. Both inside a namespace of their own, which
# goes when this script ends. One line for each program; the differences follow. Exit status 1 if any differ.
set -u
here=$(cd "$(dirname "$0")" && pwd)
limit=${CONFORM_TIMEOUT:-30}

plain() { env STANDIN_DISABLE=1 "$@"; } # exec puts LD_PRELOAD back where it was taken away

# one NAME SIDE-PREFIX COMMAND...: runs the pair; the test under the prefix command
one() {
    local name=$1 out=$2 peer
    shift 2
    plain rm -f "$out.ctl"
    plain timeout "$limit" "$programs/$name" peer "$out.ctl" >"$out.peer" 2>&1 &
    peer=$!
    timeout "$limit" "$@" "$programs/$name" test "$out.ctl" >"$out.test" 2>&1
    echo "exit $?" >>"$out.test"
    wait "$peer"
    echo "exit $?" >>"$out.peer"
    plain rm -f "$out.ctl"
}

addresses() { # DEVICE HOST: 10.77.0.HOST and fd77::HOST
    ip addr add "10.77.0.$2/24" dev "$1"
    ip addr add "fd77::$2/64" dev "$1" nodad
    ip link set "$1" up
}

side_kernel() {
    ip link set lo up
    unshare -n sleep 100000 &
    holder=$!
    trap 'kill $holder' EXIT
    while [ "$(readlink /proc/$holder/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    ip link add tc0 type veth peer name tc1
    ip link set tc1 netns "$holder"
    addresses tc0 1
    in_test="nsenter -n -t $holder"
    $in_test ip link set lo up
    $in_test bash -c "$(declare -f addresses); addresses tc1 2"
    mac=$(ip -o link show tc0 | sed 's/.*link.ether \([0-9a-f:]*\).*/\1/')
    $in_test ip neigh replace 10.77.0.99 lladdr "$mac" dev tc1 nud permanent # nobody answers, silently
    for name in $names; do
        one "$name" "$out/$name.kernel" $in_test
    done
}

side_stack() {
    ip link set lo up
    exec 9<>/dev/udp/10.77.0.1/9 # the session begins here and is the children's
    for name in $names; do
        one "$name" "$out/$name.stack" env
    done
    exec 9>&-
}

case ${1:-} in
--kernel | --stack)
    side=$1 programs=$2 out=$3 names=$4
    side_${side#--}
    exit 0
    ;;
esac

programs=$1 library=$2 keeper=$3 out=$4
shift 4
names=$*
if [ -z "$names" ]; then
    names=$(cd "$here" && ls -- *.c | sed 's/\.c$//')
fi
mkdir -p "$out"
if [ "${CONFORM_ONLY:-}" != stack ]; then
    unshare -n "$here/run.sh" --kernel "$programs" "$out" "$names"
fi
if [ "${CONFORM_ONLY:-}" != kernel ]; then
    unshare -n env LD_PRELOAD="$library" STANDIN_KEEPER="$keeper" STANDIN_ADDR=10.77.0.2/24,fd77::2/64 \
        STANDIN_PEER=10.77.0.1/24,fd77::1/64 bash "$here/run.sh" --stack "$programs" "$out" "$names"
fi

same=0 differ=0 skipped=0 again=()
for name in $names; do
    # a comment "SKIP: reason" in the program: it is known to differ, and must not be said to when it no longer does
    known=$(sed -n 's|.*SKIP: \(.*\) \*/|\1|p' "$here/$name.c" | head -n 1)
    if cmp -s "$out/$name.kernel.test" "$out/$name.stack.test" &&
        cmp -s "$out/$name.kernel.peer" "$out/$name.stack.peer"; then
        if [ -n "$known" ]; then
            echo "FAIL  $name: the same on both now; take its SKIP out"
            differ=$((differ + 1))
        else
            echo "same  $name"
            same=$((same + 1))
        fi
    elif [ -n "$known" ]; then
        echo "skip  $name: $known"
        skipped=$((skipped + 1))
    else
        echo "DIFF  $name"
        diff -U2 --label "$name: kernel" --label "$name: stack" "$out/$name.kernel.test" "$out/$name.stack.test"
        diff -U2 --label "$name: kernel's peer" --label "$name: stack's peer" "$out/$name.kernel.peer" "$out/$name.stack.peer"
        if [ "${RETRY:-0}" = 1 ]; then # one more chance: the machine may have been too busy
            again+=("$name")
        else
            differ=$((differ + 1))
        fi
    fi
done
if [ ${#again[@]} -gt 0 ]; then
    echo "again: ${again[*]}"
    said=$(RETRY=0 "$here/run.sh" "$programs" "$library" "$keeper" "$out" "${again[@]}")
    echo "$said" | sed '$d'
    same=$((same + $(echo "$said" | grep -c '^same ')))
    differ=$((differ + $(echo "$said" | grep -Ec '^(DIFF|FAIL) ')))
fi
echo "$same passed, $differ failed, $skipped skipped"
[ "$differ" -eq 0 ]
