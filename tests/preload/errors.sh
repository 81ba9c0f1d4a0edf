#!/bin/bash
# What cannot work: one clear message with the remedy on stderr, the right status, nothing left behind, nothing on stdout.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

# says STATUS PATTERN COMMAND...
says()
{
    local want=$1 pattern=$2
    shift 2
    status_of "$@" >"$work/stdout" 2>"$work/stderr"
    cat "$work/stderr"
    echo "status $rc"
    ((rc == want))
    [[ ! -s $work/stdout ]]
    head -n 1 "$work/stderr" | grep -q '^standin: '
    grep -qE -- "$pattern" "$work/stderr"
    await 2 nothing_left
}

run() { "$STANDIN" run "$@"; }

static_program()
{
    printf 'int main(void) { return 0; }\n' >"$work/p.c"
    gcc "$@" -o "$work/static" "$work/p.c"
    says 126 'statically linked' run "$work/static"
}

# Go's linker leaves this note.
go_program()
{
    cat >"$work/note.s" <<'S'
.section .note.go.buildid,"a",@note
.long 4, 4, 4
.asciz "Go\0"
.ascii "abcd"
.section .note.GNU-stack,"",@progbits
S
    printf 'int main(void) { return 0; }\n' >"$work/p.c"
    gcc "$@" -o "$work/go" "$work/p.c" "$work/note.s"
    says 126 'Go program' run "$work/go"
    says 126 'Fix: ' run "$work/go"
}

elf_of() # FILE BYTE-OFFSET BYTE: a copy of a program with one byte changed
{
    cp "$(type -P true)" "$1"
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
    chmod 755 "$1"
}

wrong_machine()
{
    elf_of "$work/arm" 18 '\xb7'
    says 126 'ARM 64' run "$work/arm"
    elf_of "$work/small" 4 '\x01'
    says 126 '32 bits' run "$work/small"
}

setuid_program()
{
    cp "$(type -P true)" "$work/suid"
    chmod 4755 "$work/suid"
    says 126 'setuid' run "$work/suid"
    says 126 'Fix: ' run "$work/suid"
    chmod 2755 "$work/suid"
    says 126 'setgid' run "$work/suid"
}

capable_program()
{
    cp "$(type -P true)" "$work/capable"
    setcap cap_net_raw+ep "$work/capable"
    says 126 'file capabilities' run "$work/capable"
}

not_executable()
{
    echo data >"$work/data"
    says 126 'cannot be executed' run "$work/data"
    says 126 'is a directory' run "$work"
    printf '#!/no/such/interpreter\n' >"$work/script"
    chmod 755 "$work/script"
    says 126 'interpreter' run "$work/script"
}

# In a mount namespace of its own, where the device can be taken away.
without_tun()
{
    unshare --mount sh -c '
        mount -t tmpfs none /dev/net
        exec "$@"' sh "$STANDIN" run true
}

unreadable_tun() # a plain user and a device for root only
{
    unshare --mount sh -c '
        mount -t tmpfs none /dev/net
        mknod -m 0600 /dev/net/tun c 10 200
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' sh "$STANDIN" run true
}

without_capability() # may open the device, may not make an interface
{
    unshare --mount sh -c '
        mount -t tmpfs none /dev/net
        mknod -m 0666 /dev/net/tun c 10 200
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' sh "$STANDIN" run true
}

dead_session()
{
    STANDIN_SESSION=@standin-gone,0123456789abcdef0123456789abcdef "$STANDIN" run true
}

garbled_session()
{
    STANDIN_SESSION=nonsense "$STANDIN" run true
}

in_use()
{
    ip link add dummy-t type veth peer name dummy-p
    ip address add 10.99.0.2/24 dev dummy-t
    ip link set dummy-t up
    says 125 'in use' run --addr 10.99.0.2/24 true
    ip link del dummy-t
}

missing_parts()
{
    mkdir "$work/alone"
    cp "$STANDIN" "$work/alone/"
    says 125 'cannot find libstandin.so' "$work/alone/standin" run true
    cp "$BUILD/libstandin.so" "$work/alone/"
    says 125 'cannot find standin-keeper' "$work/alone/standin" run true
}

check "no program named" says 125 'which program' run
check "unknown option" says 125 'unknown option --adr' run --adr 10.0.0.1 true
check "unknown option: did you mean" says 125 'Did you mean --addr' run --adr 10.0.0.1 true
check "unknown short option" says 125 'unknown option -z' run -z true
check "option without its value" says 125 'needs a value' run --addr
check "value for an option without one" says 125 'takes no value' run --wait=yes true
check "unknown verb: did you mean" says 125 'Did you mean standin run' "$STANDIN" rnu true
check "a program is not a verb" says 125 'standin run curl' "$STANDIN" curl http://x/
check "bad address" says 125 'not an address' run --addr 10.77.0.300 true
check "address of the network itself" says 125 'not an address' run --addr 10.77.5.0/24 true
check "broadcast address" says 125 'not an address' run --addr 10.77.5.255/24 true
check "peer outside the subnet" says 125 'one subnet' run --addr 10.5.0.2/24 --peer 10.6.0.1 true
check "bad mtu" says 125 'number of bytes' run --mtu 70000 true
check "mtu too small for IPv6" says 125 'too small for IPv6' run --mtu 600 --addr fd00::2/64 true
check "bad offload" says 125 'on or off' run --offload=maybe true
check "unknown setting: did you mean" says 125 'Did you mean tcp_sack' run --set tcp_sak=1 true
check "setting out of range" says 125 'out of range' run --set tcp_sack=7 true
check "setting without a value" says 125 'NAME=VALUE' run --set tcp_sack true
check "no such program, by name" says 127 'not found' run no-such-program-here
check "no such program, by path" says 127 'No such file' run ./no-such-program-here
check "not executable, a directory, no interpreter" not_executable
check "Go program" go_program
if command -v gcc >/dev/null && printf 'int main(void){return 0;}' | gcc -static -x c -o "$work/probe" - 2>/dev/null; then
    check "static program" static_program -static
    check "static PIE program" static_program -static-pie
else
    skip "static program" "no compiler or no static libc"
fi
check "program for another machine" wrong_machine
check "setuid and setgid program" setuid_program
if command -v setcap >/dev/null && cp "$(type -P true)" "$work/probe" &&
    setcap cap_net_raw+ep "$work/probe" 2>/dev/null; then
    check "program with file capabilities" capable_program
else
    skip "file capabilities" "they cannot be set here"
fi
if ((EUID == 0)) && unshare --mount true 2>/dev/null; then
    check "no /dev/net/tun" says 125 '/dev/net/tun: No such file' without_tun
    check "no /dev/net/tun: the remedy" says 125 'Fix: +sudo modprobe tun' without_tun
    check "no permission for the device" says 125 'Permission denied' unreadable_tun
    check "no permission for the device: the remedy" says 125 'Fix: +sudo chmod' unreadable_tun
    check "no permission to make an interface" says 125 'CAP_NET_ADMIN' without_capability
else
    skip "no device, no permission" "needs root and a mount namespace"
fi
check "address in use" in_use
check "dead session" says 125 'does not answer' dead_session
check "dead session: the remedy" says 125 'Fix: +unset STANDIN_SESSION' dead_session
check "garbled session" says 125 '@NAME,TOKEN' garbled_session
check "library or keeper missing" missing_parts
check "nothing is left behind" clean
finish
