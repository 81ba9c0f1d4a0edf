#!/bin/bash
# same.sh - programs that open no socket are as they were: same output, same status, not one byte more.
set -euo pipefail
# shellcheck disable=SC2016 # the programs expand
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"
LIB=$BUILD/libstandin.so

# The command's output and status, with the library and without.
same()
{
    local rc=0
    "$@" >"$work/plain" 2>&1 </dev/null || rc=$?
    echo "status $rc" >>"$work/plain"
    rc=0
    LD_PRELOAD=$LIB "$@" >"$work/ours" 2>&1 </dev/null || rc=$?
    echo "status $rc" >>"$work/ours"
    diff "$work/plain" "$work/ours"
}

have() { command -v "$1" >/dev/null; }

echo 'int main(void) { return 3; }' >"$work/three.c"
check "signals: dispositions and frames" same "$BUILD/tests/preload/sigapi"
check "processes: every way to start one" same "$BUILD/tests/preload/procapi"
check "ls" same ls -la /usr
check "bash: pipes, jobs, traps" same bash -c \
    'trap "echo trapped" USR1; kill -USR1 $$; (sleep 0.05; exit 4) & wait $!; echo $?; echo {1..5} | tr " " "+" | bc 2>&1 || :'
check "gcc" same gcc -Wall -O2 -o "$work/three" "$work/three.c"
check "what gcc made" same "$work/three"
check "git" same git -C "$ROOT" log -3 --stat --oneline
check "perl" same perl -e '$SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 3; print `echo sub`; exit 5'
check "python3" same python3 -c '
import os, signal, subprocess, threading, multiprocessing as mp
signal.signal(signal.SIGUSR1, lambda *a: print("usr1"))
os.kill(os.getpid(), signal.SIGUSR1)
print(subprocess.run(["sh", "-c", "echo out; exit 3"], capture_output=True))
print(subprocess.run("exit 4", shell=True, close_fds=False).returncode)
print(os.system("exit 5"), os.popen("echo popen").read())
with mp.get_context("fork").Pool(2) as p:
    print(p.map(abs, [-1, -2]))
r, w = os.pipe(); print(os.get_blocking(r)); os.set_blocking(r, False); print(os.get_blocking(r))
os.closerange(r, w + 1)
'
if have node; then
    check "node" same node -e '
const cp = require("child_process");
console.log(cp.execSync("echo sync").toString());
process.on("SIGUSR2", () => {
    console.log("usr2");
    cp.spawn("sh", ["-c", "exit 3"]).on("exit", c => {
        console.log("exit", c);
        require("fs").readFile("/etc/hostname", () => console.log("read"));
    });
});
setTimeout(() => process.kill(process.pid, "SIGUSR2"), 10);
setTimeout(() => {}, 100);'
else
    skip node "not installed"
fi
check "switched off" same env STANDIN_DISABLE=1 bash -c 'echo $LD_PRELOAD | wc -l'
finish
