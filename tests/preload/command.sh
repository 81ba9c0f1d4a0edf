#!/bin/bash
# `standin run` is transparent: exit status, signals, descriptors, arguments, terminal are the program's own.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

exit_status()
{
    status_of "$STANDIN" run "$@" sh -c 'exit 37'
    ((rc == 37))
}

# 128 + n to the shell, and really a death by signal to whoever waits.
signal_death()
{
    python3 - "$STANDIN" run "$@" sh -c 'kill -TERM $$' <<'PY'
import subprocess, sys
sys.exit(subprocess.run(sys.argv[1:]).returncode != -15)
PY
}

signal_sent()
{
    # shellcheck disable=SC2016 # for the inner shell
    start "$STANDIN" run "$@" sh -c 'trap "exit 12" TERM; touch "$0"; while :; do sleep 0.05; done' "$work/up"
    await 5 test -e "$work/up"
    rm "$work/up"
    kill -TERM "$last"
    status_of wait "$last"
    ((rc == 12))
}

# ^C at a terminal: one SIGINT to the group, the program sees it once; ^Z stops the job.
terminal()
{
    python3 - "$STANDIN" run "$@" <<'PY'
import os, pty, signal, sys, time
script = "n=0; trap 'n=$((n+1))' INT; echo ready; sleep 0.4; sleep 0.4; echo n=$n; exit 5"
pid, fd = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it
    os.execv(sys.argv[1], sys.argv[1:] + ["sh", "-c", script])
out = b""
while b"ready" not in out:
    out += os.read(fd, 1000)
os.write(fd, b"\x03")
try:
    while True:
        piece = os.read(fd, 1000)
        if not piece:
            break
        out += piece
except OSError:
    pass
_, status = os.waitpid(pid, 0)
print(out, status)
sys.exit(not (b"n=1\r\n" in out and os.waitstatus_to_exitcode(status) == 5))
PY
}

stops()
{
    python3 - "$STANDIN" run "$@" sh -c 'kill -STOP $$; exit 9' <<'PY'
import os, signal, sys
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(pid, os.WUNTRACED)
stopped = os.WIFSTOPPED(status)
os.killpg(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
sys.exit(not (stopped and os.waitstatus_to_exitcode(status) == 9))
PY
}

descriptors() # the program has those that it would have without us
{
    ls /proc/self/fd | sort >"$work/without"
    "$STANDIN" run "$@" ls /proc/self/fd | sort >"$work/with"
    cmp "$work/without" "$work/with"
}

closed_descriptors() # started with 0, 1 and 2 closed, nothing of ours lies there
{
    "$STANDIN" run sh -c 'exec 3>"$0"; ls -l /proc/self/fd >&3' "$work/list" <&- >&- 2>&-
    cat "$work/list"
    not grep -qE ' [012] -> .*(tun|memfd|socket)' "$work/list"
}

arguments()
{
    [[ $("$STANDIN" run printf '%s|' -a --addr 'b c' '' --) == '-a|--addr|b c||--|' ]]
    [[ $("$STANDIN" run -- printf '%s|' --version) == '--version|' ]]
    [[ $("$STANDIN" run --mtu 1400 --offload=off -- echo -v) == -v ]]
}

input_and_output()
{
    head -c 1000000 /dev/urandom >"$work/in"
    "$STANDIN" run cat <"$work/in" >"$work/copy" 2>"$work/err"
    cmp "$work/in" "$work/copy"
    [[ ! -s $work/err ]]
}

pipe_ends() # `prog | cat` must not hang: nobody of ours keeps the pipe
{
    # shellcheck disable=SC2016 # for the inner shell
    [[ $(timeout 10 sh -c '"$0" run echo through | cat' "$STANDIN") == through ]]
}

preload_kept()
{
    [[ $(LD_PRELOAD=/lib/x86_64-linux-gnu/libm.so.6 "$STANDIN" run printenv LD_PRELOAD) == \
        "$BUILD/libstandin.so:/lib/x86_64-linux-gnu/libm.so.6" ]]
}

script_program()
{
    printf '#!/bin/sh\necho "$1"\n' >"$work/script"
    chmod 755 "$work/script"
    [[ $("$STANDIN" run "$work/script" hello) == hello ]]
    printf 'echo "$1"\n' >"$work/script"
    [[ $("$STANDIN" run "$work/script" bare) == bare ]]
}

waits_for_family()
{
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run --wait sh -c '(sleep 0.5; touch "$0") & exit 3' "$work/done" || rc=$?
    ((rc == 3))
    [[ -e $work/done ]]
}

returns_with_child()
{
    # shellcheck disable=SC2016 # for the inner shell
    status_of "$STANDIN" run sh -c '(sleep 20) >/dev/null 2>&1 & echo $! >"$0"; exit 4' "$work/pid"
    ((rc == 4))
    kill "$(cat "$work/pid")"
}

help_and_version()
{
    "$STANDIN" --help | grep -q 'standin run'
    "$STANDIN" run --help >"$work/help"
    for option in --addr --peer --mtu --offload --set --wait --verbose; do
        grep -q -- "$option" "$work/help"
    done
    "$STANDIN" --version | grep -q '^standin '
    "$STANDIN" --version | grep -q '^libuv '
}

nested()
{
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run sh -c '[ "$("$0" run printenv STANDIN_SESSION)" = "$STANDIN_SESSION" ]' "$STANDIN"
    "$STANDIN" run "$STANDIN" run "$STANDIN" run sh -c 'sleep 0.3; exec curl -sSf -o /dev/null "$0"' \
        "http://$KERNEL4:8000/piece"
}

verbose()
{
    "$STANDIN" run -v true 2>"$work/err"
    cat "$work/err"
    grep -q "the stack is $OURS4/24" "$work/err"
    grep -q "the kernel is $KERNEL6/64" "$work/err"
    "$STANDIN" run -v --mtu 1400 curl -sSf -o "$work/got" "http://$KERNEL4:8000/piece" 2>"$work/err"
    grep -q "mtu 1400" "$work/err"
    cmp "$work/got" "$work/www/piece"
}

two_sessions() # the second takes the next free subnet
{
    start "$STANDIN" run sleep 10
    await 5 sh -c 'ip -o link show type tun | grep -q .'
    # shellcheck disable=SC2016 # for the inner shell
    "$STANDIN" run sh -c 'ip -o -4 address show | grep -o "10\.77\.[0-9.]*/[0-9]*" | sort -u' >"$work/subnets"
    cat "$work/subnets"
    (($(wc -l <"$work/subnets") == 2))
}

named_addresses()
{
    "$STANDIN" run --addr 192.168.55.9/28 curl -sSf -o "$work/got" http://192.168.55.1:8000/piece
    cmp "$work/got" "$work/www/piece"
    "$STANDIN" run --addr fd55::9/64 --peer fd55::5 curl -sSf -o "$work/got" 'http://[fd55::5]:8000/piece'
    cmp "$work/got" "$work/www/piece"
    STANDIN_ADDR=192.168.56.2/24 "$STANDIN" run curl -sSf -o "$work/got" http://192.168.56.1:8000/piece
    cmp "$work/got" "$work/www/piece"
}

# A plain user, in a user and network namespace of one's own, where the device may be opened by all.
without_root()
{
    mkdir -p "$work/parts"
    cp "$STANDIN" "$BUILD/libstandin.so" "$BUILD/standin-keeper" "$work/parts/"
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount sh -c '
        mount -t tmpfs none /dev/net
        mknod -m 0666 /dev/net/tun c 10 200
        exec setpriv --reuid 65534 --regid 65534 --clear-groups unshare -rn "$0" run -v curl -sS -m 5 \
            http://10.77.0.1:1/' "$work/parts/standin" 2>"$work/err" || rc=$?
    cat "$work/err"
    grep -q 'the stack is' "$work/err"
    ((rc == 7)) # curl: refused, by the kernel at the other end
}

rc=0
serve
make_file piece 1
for mode in plain --wait -w --trace; do
    option=()
    case $mode in
    --wait) option=(--wait) ;;
    -w) option=(-w "$work/cap.pcapng") ;;
    --trace) option=(--trace=state -o "$work/trace") ;;
    esac
    check "$mode: the exit status is the program's" exit_status "${option[@]}"
    check "$mode: death by a signal is death by that signal" signal_death "${option[@]}"
    check "$mode: a signal sent to the command reaches the program" signal_sent "${option[@]}"
    check "$mode: ^C at a terminal arrives once" terminal "${option[@]}"
    check "$mode: a stopped program stops its job" stops "${option[@]}"
    check "$mode: no descriptor is added" descriptors "${option[@]}"
done
check "descriptors 0, 1 and 2 that are closed stay so" closed_descriptors
check "arguments go through untouched" arguments
check "input and output go through untouched" input_and_output
check "a pipe ends with the program" pipe_ends
check "LD_PRELOAD keeps what was in it" preload_kept
check "scripts, with and without #!" script_program
check "--wait waits for what the program left running" waits_for_family
check "without --wait it returns with the program" returns_with_child
check "--help and --version" help_and_version
check "inside a session a program joins it" nested
check "-v says on stderr what the session is" verbose
check "a second session takes another subnet" two_sessions
check "addresses by option and by variable" named_addresses
if ((EUID == 0)) && unshare --mount setpriv --reuid 65534 --regid 65534 --clear-groups unshare -rn true 2>/dev/null; then
    check "without root, in a namespace of one's own" without_root
else
    skip "without root" "needs root to begin with, and user namespaces"
fi
completes() # WANTED WORD...: what bash offers for the last word
{
    local wanted=$1
    shift
    # shellcheck disable=SC2016
    bash -c 'source <("$1" completion bash); wanted=$2; shift 2
        compopt() { :; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _standin
        [[ " ${COMPREPLY[*]} " == *" $wanted "* ]] || { echo "offered: ${COMPREPLY[*]}"; exit 1; }' _ "$STANDIN" "$wanted" "$@"
}
check "bash completes a verb" completes explain standin exp
check "bash completes an option of the verb" completes --offload= standin run --off
check "bash completes the program" completes bash standin run --wait bas
if command -v zsh >/dev/null; then
    check "zsh reads its completion" bash -c 'zsh -n <("$1" completion zsh)' _ "$STANDIN"
else
    skip "zsh reads its completion" "zsh is not installed"
fi
check "every verb has help, and a manual page that says its options" bash -c '
    for v in $("$1" completion bash | sed -n "s/^        \([a-z]*\)) words=.*/\1/p"); do
        "$1" "$v" --help | grep -q Usage || exit 1
        [ ! -d "$2/man" ] || grep -q OPTIONS "$2/man/standin-$v.1" || { echo "no page for $v"; exit 1; }
    done' _ "$STANDIN" "$BUILD"
check "nothing is left behind" clean
finish
