#!/bin/bash
# deps.sh - installs the Debian packages that building and testing need, if one is missing and we are root.
# Quiet when nothing is missing. A system without dpkg is taken as it is.
set -euo pipefail

packages=(
    gcc libc6-dev binutils make pkg-config git ca-certificates
    libuv1-dev libcmocka-dev libpcap-dev libjansson-dev libsodium-dev libnl-route-3-dev uthash-dev systemtap-sdt-dev
    nginx-light apache2-bin vsftpd redis-server redis-tools nodejs curl wrk openssl iproute2 tcpdump python3 ethtool procps util-linux libcap2-bin file
    clang clang-format clang-tidy cppcheck valgrind libclang-rt-14-dev shellcheck scdoc zsh chromium tshark
)

command -v dpkg-query >/dev/null || exit 0

missing=()
for p in "${packages[@]}"; do
    if ! dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -q '^installed'; then
        missing+=("$p")
    fi
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
    echo "deps: missing Debian packages: ${missing[*]}" >&2
    echo "      Fix:    sudo apt-get install ${missing[*]}" >&2
    exit 0 # what needs them says so itself
fi

# Installing nginx must not start it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

echo "  DEPS ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends "${missing[@]}"; }
log=$(mktemp)
if ! install >"$log" 2>&1 && ! { apt-get update -q && install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "deps: could not install: ${missing[*]}" >&2
    exit 1
fi
rm -f "$log"
