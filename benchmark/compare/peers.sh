# How the peers are started on this machine: three nodes each, on loopback, with their defaults where nothing else is said. Sourced by run.sh.
# Every function uses $base (a fresh directory). Processes go into $base/*.pid, and only those are ever ended.

# ---- What all have in common

pids() { local f; for f in "$base"/*.pid; do [[ -e $f ]] && echo "$(<"$f")"; done | paste -sd, -; }

stop_pids() { # TERM to every process that was started here, KILL to what is left after 10 s
  local f pid i
  for f in "$base"/*.pid; do [[ -e $f ]] && kill -TERM "$(cat "$f")" 2>/dev/null; done
  for f in "$base"/*.pid; do
    [[ -e $f ]] || continue
    pid=$(cat "$f")
    for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -0 "$pid" 2>/dev/null && kill -KILL "$pid" 2>/dev/null
    rm -f "$f"
  done
  return 0
}

wait_for() { # SECONDS COMMAND...: until it succeeds
  local until=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    ((SECONDS < until)) || return 1
    sleep 0.2
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

lacks() { # COMMAND... : prints what is missing
  local command
  for command in "$@"; do command -v "$command" >/dev/null || echo -n "$command "; done
}

# ---- RabbitMQ: a stream with three replicas. A confirm means that a majority has the record in its page cache; streams are never flushed.

rabbitmq_packages=rabbitmq-server
rabbitmq_port=29700
rabbitmq_sbin=$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin 2>/dev/null | tail -1)
rabbitmq_missing() { [[ -x $rabbitmq_sbin/rabbitmq-server ]] || echo rabbitmq-server; lacks epmd; }
rabbitmq_ports() { echo $((rabbitmq_port + 1)),$((rabbitmq_port + 2)),$((rabbitmq_port + 3)); }
rabbitmq_start() {
  local i
  mkdir -p "$base/home"
  echo "semel$RANDOM$RANDOM" >"$base/home/.erlang.cookie"
  chmod 400 "$base/home/.erlang.cookie"
  local -x HOME=$base/home ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$((rabbitmq_port + 69))
  epmd -relaxed_command_check -address 127.0.0.1 -port $ERL_EPMD_PORT >/dev/null 2>&1 &
  echo $! >"$base/zz-epmd.pid"
  wait_for 10 listens $ERL_EPMD_PORT || return 1
  for i in 1 2 3; do
    mkdir -p "$base/r$i/log"
    cat >"$base/r$i/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$((rabbitmq_port + 10 + i))
stream.listeners.tcp.1 = 127.0.0.1:$((rabbitmq_port + i))
stream.advertised_host = 127.0.0.1
stream.advertised_port = $((rabbitmq_port + i))
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = rb1@localhost
cluster_formation.classic_config.nodes.2 = rb2@localhost
cluster_formation.classic_config.nodes.3 = rb3@localhost
CONF
    echo '[rabbitmq_stream].' >"$base/r$i/plugins"
    env RABBITMQ_NODENAME="rb$i@localhost" RABBITMQ_NODE_PORT=$((rabbitmq_port + 10 + i)) RABBITMQ_DIST_PORT=$((rabbitmq_port + 20 + i)) \
      RABBITMQ_MNESIA_BASE="$base/r$i/mnesia" RABBITMQ_LOG_BASE="$base/r$i/log" RABBITMQ_CONFIG_FILE="$base/r$i/rabbitmq.conf" \
      RABBITMQ_ENABLED_PLUGINS_FILE="$base/r$i/plugins" RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_PID_FILE="$base/r$i/server-id" \
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
      "$rabbitmq_sbin/rabbitmq-server" >"$base/r$i/out" 2>&1 &
    # The first node makes the cluster that the others join; the process that counts is the one that the server itself names.
    wait_for 120 test -s "$base/r$i/server-id" || return 1
    cp "$base/r$i/server-id" "$base/r$i.pid"
    wait_for 120 listens $((rabbitmq_port + i)) || return 1
  done
}

# ---- NATS JetStream: three servers, a stream with three replicas on file storage. An acknowledgement means that two of three have the record in their page cache.

nats_packages=nats-server
nats_port=29222
nats_missing() { lacks nats-server; }
nats_ports() { echo $nats_port,$((nats_port + 1)),$((nats_port + 2)); }
nats_start() {
  local i
  for i in 1 2 3; do
    mkdir -p "$base/n$i"
    cat >"$base/n$i.conf" <<CONF
server_name: n$i
listen: 127.0.0.1:$((nats_port + i - 1))
jetstream { store_dir: "$base/n$i", max_file_store: 20GB, max_memory_store: 1GB }
cluster { name: bench, listen: 127.0.0.1:$((nats_port + 100 + i)), routes: [ nats://127.0.0.1:$((nats_port + 101)), nats://127.0.0.1:$((nats_port + 102)), nats://127.0.0.1:$((nats_port + 103)) ] }
CONF
    nats-server -c "$base/n$i.conf" >"$base/n$i.log" 2>&1 &
    echo $! >"$base/n$i.pid"
  done
  for i in 0 1 2; do wait_for 20 listens $((nats_port + i)) || return 1; done
}

# ---- Redis streams: a primary and two replicas, append-only file on, no snapshots. WAIT 2 after each batch: memory of all three. The file is flushed every second
# (the default), or before each reply (always).

redis_packages="redis-server redis-tools"
redis_port=29600
redis_missing() { lacks redis-server redis-cli; }
redis_ports() { echo $redis_port,$((redis_port + 1)),$((redis_port + 2)); }
redis_start() { # everysec|always
  local i
  for i in 0 1 2; do
    mkdir -p "$base/d$i"
    redis-server --bind 127.0.0.1 --port $((redis_port + i)) --dir "$base/d$i" --appendonly yes --appendfsync "$1" --save "" \
      $( ((i)) && echo "--replicaof 127.0.0.1 $redis_port") >"$base/d$i.log" 2>&1 &
    echo $! >"$base/d$i.pid"
  done
  for i in 0 1 2; do wait_for 20 listens $((redis_port + i)) || return 1; done
  wait_for 30 redis_replicas
}
redis_replicas() { [[ $(redis-cli -p $redis_port info replication | grep -c 'slave[01]:.*state=online') == 2 ]]; }

# ---- Not driven here yet: named with the reason in every report.

ceph_missing_reason() {
  local missing
  missing=$(lacks ceph-mon ceph-mgr ceph-osd rados)
  if [[ -n $missing ]]; then echo "not installed (${missing% }); Debian packages ceph-mon ceph-mgr ceph-osd ceph-common"
  else echo "installed, but its appends need a client over librados, which this suite does not have"; fi
}
moosefs_missing_reason() {
  local missing
  missing=$(lacks mfsmaster mfschunkserver mfsmount)
  if [[ -n $missing ]]; then echo "not installed (${missing% }); Debian packages moosefs-master moosefs-chunkserver moosefs-client"
  else echo "installed, but this suite does not mount file systems"; fi
}
