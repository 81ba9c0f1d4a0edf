#!/bin/bash
# redis, node, python, apache and vsftpd, unmodified, on the stack: as servers of the kernel's clients, and as clients of the kernel's servers.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

serve
make_file piece 8
piece=$(sha "$work/www/piece")

ask() { redis-cli -h "$1" -p "$2" "${@:3}"; } # HOST PORT COMMAND...
answers() { [[ $(ask "$1" "$2" ping) == PONG ]]; }

redis() # PORT: the server's options, in $options
{
    mkdir -p "$work/redis.$1"
    options=(--port "$1" --bind 0.0.0.0 :: --dir "$work/redis.$1" --save '' --protected-mode no --repl-diskless-sync-delay 0)
}

# 4096 values of 1 KiB over one connection, and what redis makes of them.
fill() # HOST PORT
{
    python3 -c 'for i in range(4096): print("SET key%d %s" % (i, ("%d-" % i) * (1024 // (len(str(i)) + 1))))' |
        redis-cli -h "$1" -p "$2" --pipe
    [[ $(ask "$1" "$2" dbsize) == 4096 ]]
}

digest() { ask "$1" "$2" debug digest; } # HOST PORT

redis_server()
{
    redis 6379
    start "$STANDIN" run redis-server "${options[@]}" --io-threads 2 --enable-debug-command yes
    await 10 answers "$OURS4" 6379
    fill "$OURS4" 6379
    fill "$OURS6" 6379
    redis-benchmark -h "$OURS4" -n 20000 -c 30 -P 4 --csv -t set,get,lpush,lrange_100 >"$work/bench"
    [[ $(grep -c '^"' "$work/bench") -ge 5 ]]
    ask "$OURS4" 6379 bgsave # a child that leaves the sockets alone
    await 10 grep -q 'REDIS' "$work/redis.6379/dump.rdb"
    ask "$OURS4" 6379 shutdown nosave
    wait "$last"
}

# Blocking commands and messages pushed to a subscriber.
redis_pushes()
{
    redis 6380
    start "$STANDIN" run redis-server "${options[@]}"
    local server=$last
    await 10 answers "$OURS4" 6380
    start redis-cli -h "$OURS4" -p 6380 --csv subscribe news >"$work/news"
    await 10 grep -q subscribe "$work/news"
    start redis-cli -h "$OURS4" -p 6380 blpop queue 10 >"$work/popped"
    local popper=$last
    await 10 bash -c "redis-cli -h $OURS4 -p 6380 info clients | grep -q '^blocked_clients:1'"
    ask "$OURS4" 6380 rpush queue one
    wait "$popper"
    grep -qx one "$work/popped"
    ask "$OURS4" 6380 publish news "hello there"
    await 10 grep -q '"message","news","hello there"' "$work/news"
    ask "$OURS4" 6380 shutdown nosave
    wait "$server"
}

# The stack's redis copies the kernel's, whole and then command by command.
redis_replica()
{
    redis 6381
    start redis-server "${options[@]}" --enable-debug-command yes
    await 10 answers 127.0.0.1 6381 # its other address comes with the session
    fill 127.0.0.1 6381
    redis 6382
    start "$STANDIN" run redis-server "${options[@]}" --replicaof "$KERNEL4" 6381 --enable-debug-command yes
    await 10 answers "$OURS4" 6382
    await 10 bash -c "redis-cli -h $OURS4 -p 6382 info replication | grep -q '^master_link_status:up'"
    ask "$KERNEL4" 6381 set late one
    [[ $(ask "$KERNEL4" 6381 wait 1 10000) == 1 ]]
    [[ $(digest "$KERNEL4" 6381) == "$(digest "$OURS4" 6382)" ]]
}

# redis' own load, from the stack to the kernel's server.
redis_client()
{
    redis 6383
    start redis-server "${options[@]}"
    await 10 answers 127.0.0.1 6383
    "$STANDIN" run redis-benchmark -h "$KERNEL4" -p 6383 -n 20000 -c 30 --threads 2 --csv -t set,get >"$work/bench"
    [[ $(grep -c '^"' "$work/bench") -ge 3 ]]
    "$STANDIN" run redis-cli -h "$KERNEL6" -p 6383 dbsize
}

cat >"$work/server.js" <<'JS'
// An HTTP server: /piece is a file, anything else is sent back. With WORKERS a cluster whose primary hands out connections.
const cluster = require('cluster'), fs = require('fs'), http = require('http');
const workers = +process.env.WORKERS || 0;
if (workers && cluster.isPrimary) {
    for (let i = 0; i < workers; i++) cluster.fork();
    process.on('SIGTERM', () => { for (const w of Object.values(cluster.workers)) w.kill(); process.exit(0); });
} else {
    http.createServer((request, response) => {
        response.setHeader('worker', process.pid);
        if (request.url === '/piece') fs.createReadStream(process.env.PIECE).pipe(response);
        else request.pipe(response);
    }).listen(+process.env.PORT, '::');
}
JS

# So many processes have served, after one more request.
node_workers() # PORT COUNT
{
    curl -sf -o /dev/null -D - "http://$OURS4:$1/" | grep -i '^worker:' >>"$work/workers.$1"
    [[ $(sort -u "$work/workers.$1" | wc -l) -ge $2 ]]
}

# Downloads, uploads that come back, over both families and one connection kept.
node_server() # PORT WORKERS
{
    start env PORT="$1" WORKERS="$2" PIECE="$work/www/piece" "$STANDIN" run node "$work/server.js"
    await 20 curl -sf -o /dev/null "http://$OURS4:$1/"
    local host
    for host in "$OURS4" "[$OURS6]"; do
        curl -sSf -m 60 -o "$work/one" "http://$host:$1/piece" -o "$work/two" "http://$host:$1/piece"
        [[ $(sha "$work/one") == "$piece" && $(sha "$work/two") == "$piece" ]]
        curl -sSf -m 60 -H 'Expect:' --data-binary @"$work/www/piece" -o "$work/back" "http://$host:$1/back"
        [[ $(sha "$work/back") == "$piece" ]]
    done
    await 20 node_workers "$1" "$2"
    kill "$last"
    status_of wait "$last"
    ((rc == 143 || rc == 0))
}

node_client()
{
    "$STANDIN" run node - "$work/www/piece" "http://$KERNEL4:8000" <<'JS'
const fs = require('fs'), http = require('http'), crypto = require('crypto');
const [, , file, base] = process.argv;
const sum = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
const want = sum(fs.readFileSync(file)), agent = new http.Agent({keepAlive: true, maxSockets: 4});
const get = () => new Promise((ok, bad) => http.get(base + '/piece', {agent}, (r) => {
    const parts = [];
    r.on('data', (b) => parts.push(b)).on('end', () => ok(sum(Buffer.concat(parts)))).on('error', bad);
}).on('error', bad));
const refused = () => new Promise((ok) => http.get('http://' + new URL(base).hostname + ':9/').on('error', (e) => ok(e.code)));
(async () => {
    const sums = await Promise.all(Array.from({length: 12}, get));
    if (!sums.every((s) => s === want)) throw new Error('other bytes');
    if (await refused() !== 'ECONNREFUSED') throw new Error('not refused');
    agent.destroy();
})();
JS
}

# asyncio on one side, threads on the other; TLS is the program's own affair and must not notice.
python_server()
{
    start "$STANDIN" run python3 -c '
import asyncio
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(echo, None, 7100)
    await server.serve_forever()
asyncio.run(main())'
    await 10 bash -c "exec 3<>/dev/tcp/$OURS4/7100"
    python3 - "$OURS4" "$OURS6" <<'PY'
import os, socket, sys, threading
def talk(host):
    s, data = socket.create_connection((host, 7100)), os.urandom(1 << 20)
    t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    t.start()
    got = b"".join(iter(lambda: s.recv(1 << 16), b""))
    t.join()
    same.append(got == data)
same = []
threads = [threading.Thread(target=talk, args=(h,)) for h in sys.argv[1:] for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
assert same == [True] * 16, same
PY
}

tls()
{
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=peer -addext "subjectAltName=IP:$OURS4" \
        -keyout "$work/key" -out "$work/cert" 2>/dev/null
    start "$STANDIN" run python3 - "$work" <<'PY'
import http.server, os, ssl, sys
os.chdir(sys.argv[1] + "/www")
server = http.server.ThreadingHTTPServer(("", 7443), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/cert", sys.argv[1] + "/key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
    await 10 curl -sf --cacert "$work/cert" -o /dev/null "https://$OURS4:7443/"
    curl -sSf --cacert "$work/cert" -m 60 -o "$work/got" "https://$OURS4:7443/piece"
    [[ $(sha "$work/got") == "$piece" ]]
}

# Three processes of 25 threads, which hand their connections to a listener's epoll set and back.
apache() # MPM
{
    local dir=$work/apache.$1 modules=/usr/lib/apache2/modules
    mkdir "$dir"
    cat >"$dir/conf" <<CONF
ServerName stack
ServerRoot $dir
LoadModule mpm_$1_module $modules/mod_mpm_$1.so
LoadModule authz_core_module $modules/mod_authz_core.so
PidFile $dir/pid
ErrorLog $dir/log
Mutex file:$dir
Listen 7090
User nobody
Group nogroup
DocumentRoot $work/www
CONF
    start setsid "$STANDIN" run apache2 -f "$dir/conf" -DFOREGROUND
    await 10 curl -sf -o "$work/got" "http://$OURS4:7090/piece"
    [[ $(sha "$work/got") == "$piece" ]]
    wrk -t1 -c20 -d2 -H 'Connection: close' "http://$OURS4:7090/none" >"$work/wrk"
    wrk -t1 -c20 -d2 "http://$OURS4:7090/piece" >>"$work/wrk"
    cat "$work/wrk"
    not grep -q 'Socket errors' "$work/wrk"
    not grep 'exit signal' "$dir/log"
    kill "$(cat "$dir/pid")"
    wait "$last"
}

# Its processes go to namespaces of their own, may open nothing more, and give up what they are. Data both ways round.
ftp()
{
    mkdir -p "$work/empty"
    cat >"$work/vsftpd.conf" <<CONF
listen=YES
listen_port=7021
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$work/www
secure_chroot_dir=$work/empty
seccomp_sandbox=NO
CONF
    start setsid "$STANDIN" run vsftpd "$work/vsftpd.conf"
    await 10 listens 7021
    local way
    for way in --ftp-pasv --ftp-port=- --ftp-pasv --ftp-port=-; do
        curl -sSf -m 20 ${way/=/ } -o "$work/got" "ftp://$OURS4:7021/piece"
        [[ $(sha "$work/got") == "$piece" ]]
    done
}
listens() { "$STANDIN" ss -tln | grep -q ":$1 "; } # PORT

check "redis: a server of 4096 values, load, a saving child" redis_server
check "redis: blocked and pushed to" redis_pushes
check "redis: a replica of the kernel's" redis_replica
check "redis: its own load, to the kernel" redis_client
check "node: a server" node_server 7080 0
check "node: a cluster of two" node_server 7081 2
check "node: a client" node_client
check "python: asyncio" python_server
check "python: TLS" tls
check "apache: threads and events" apache event
check "apache: processes" apache prefork
check "vsftpd: passive and active" ftp
check "programs: nothing is left" clean
finish
