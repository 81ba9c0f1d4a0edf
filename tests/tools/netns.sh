#!/bin/bash
# netns.sh COMMAND... - runs it in a network namespace of its own, loopback up; where the system allows it also in a PID
# namespace, so that whatever it leaves running ends with it. Without privileges a user namespace gives them, if a TUN
# device can be opened there.
set -euo pipefail

if [[ ${STANDIN_OWN_NETNS:-} == 1 ]]; then
    exec "$@"
fi
export STANDIN_OWN_NETNS=1

user=()
if ((EUID != 0)); then
    user=(--user --map-root-user)
fi
if unshare "${user[@]}" --net --pid --fork --mount-proc --kill-child true 2>/dev/null; then
    flags=("${user[@]}" --net --pid --fork --mount-proc --kill-child)
elif unshare "${user[@]}" --net true 2>/dev/null; then
    flags=("${user[@]}" --net)
else
    echo "netns.sh: cannot make a network namespace: run it as root, or allow user namespaces" >&2
    exit 1
fi
# shellcheck disable=SC2016 # expanded inside
exec unshare "${flags[@]}" -- bash -c 'ip link set lo up; exec "$@"' netns.sh "$@"
