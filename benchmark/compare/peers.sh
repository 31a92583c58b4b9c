# How the peers are started on this machine: three nodes each, on loopback, with their defaults where nothing else is said. Sourced by run.sh.
# Every function uses $base (a fresh directory). Processes go into $base/*.pid, and only those are ever ended.

# ---- What all have in common

pids() { local f; for f in "$base"/*.pid; do [[ -e $f ]] && echo "$(<"$f")"; done | paste -sd, -; }

serve() { # NAME COMMAND...: in a session of its own, for Ctrl-C must not end a server that others, or a mount, still wait for
  setsid "${@:2}" >>"$base/$1.log" 2>&1 &
  echo $! >"$base/$1.pid"
}

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

unmount_all() { # what is mounted below $base. Lazily and without a look at it: that would wait for a server that is gone
  local directory
  while read -r _ directory _; do
    [[ $directory != "$base"/* ]] || timeout 10 umount --lazy --no-canonicalize "$directory" || true
  done </proc/self/mounts
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
rabbitmq_at() { echo ports=$((rabbitmq_port + 1)),$((rabbitmq_port + 2)),$((rabbitmq_port + 3)); }
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
nats_at() { echo ports=$nats_port,$((nats_port + 1)),$((nats_port + 2)); }
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
redis_at() { echo ports=$redis_port,$((redis_port + 1)),$((redis_port + 2)); }
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

# ---- Ceph: a monitor, a manager and three OSDs (BlueStore), a pool of size 3. An acknowledged append is on the disk of all three. Not its defaults: all on one host
# (osd_crush_chooseleaf_type), no authentication (in its favour), 1 GiB of memory per OSD instead of 4, a fixed number of placement groups. An OSD's disk is a file of
# 2 GiB that was written once before, as a disk is: with sparse files of 12 GiB one client made 363 and 387 appends/s, with written ones of 2 and 3 GiB 563 and 590
# (presumably because a flush of new blocks flushes the file system's journal too).

ceph_packages="ceph-mon ceph-mgr ceph-osd ceph-common"
ceph_port=29800
ceph_missing() { lacks ceph-mon ceph-mgr ceph-osd ceph monmaptool setsid; }
ceph_at() { echo ports=$ceph_port; }
ceph_do() { timeout --foreground 60 ceph -c "$base/ceph.conf" "$@" 2>>"$base/ceph.log"; }
ceph_is_clean() { ceph_do pg stat | grep -qE '^([0-9]+) pgs: \1 active\+clean;'; }
ceph_start() {
  local conf=$base/ceph.conf id i uuid
  id=$(</proc/sys/kernel/random/uuid)
  mkdir -p "$base"/{run,mon,mgr,osd0,osd1,osd2}
  cat >"$conf" <<CONF
[global]
fsid = $id
mon_host = [v2:127.0.0.1:$ceph_port]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_port_min = $((ceph_port + 10))
ms_bind_port_max = $((ceph_port + 99))
run_dir = $base/run
admin_socket = $base/run/\$name.\$pid.asok
log_file = $base/run/\$name.log
mon_data = $base/mon
mgr_data = $base/mgr
osd_data = $base/osd\$id
osd_memory_target = $((1 << 30))
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 3
osd_pool_default_min_size = 2
osd_pool_default_pg_autoscale_mode = off
[osd]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
[mgr]
public_addr = 127.0.0.1
CONF
  {
    monmaptool --create --fsid "$id" --addv a "[v2:127.0.0.1:$ceph_port]" "$base/monmap"
    ceph-mon -c "$conf" --mkfs -i a --monmap "$base/monmap"
  } >"$base/mon.log" 2>&1 || return 1
  serve mon ceph-mon -c "$conf" -i a -f
  wait_for 20 listens $ceph_port || return 1
  serve mgr ceph-mgr -c "$conf" -i x -f
  for i in 0 1 2; do
    uuid=$(</proc/sys/kernel/random/uuid)
    dd if=/dev/zero of="$base/osd$i/block" bs=4M count=512 oflag=direct 2>>"$base/ceph.log" || return 1
    ceph_do osd new "$uuid" >/dev/null || return 1
    ceph-osd -c "$conf" -i $i --mkfs --osd-uuid "$uuid" >"$base/osd$i.log" 2>&1 || return 1
    serve "osd$i" ceph-osd -c "$conf" -i $i -f
  done
  ceph_do osd pool create bench 32 32 replicated >/dev/null || return 1
  wait_for 60 ceph_is_clean
}

# ---- MooseFS: a master, three chunk servers, goal 3. fsync returns when all three have the record in their page cache (HDD_FSYNC_BEFORE_CLOSE is off by default).
# It refuses a master in 127.0.0.0/8, so all of it runs in a network namespace that has another address on its loopback, and that is gone with the process that holds it.
# Two mounts: the clients write through the first, what is stored is read through the second.

moosefs_packages="moosefs-master moosefs-chunkserver moosefs-client"
moosefs_address=10.77.0.1
moosefs_missing() { lacks mfsmaster mfschunkserver mfsmount mfssetgoal setsid unshare nsenter ip mountpoint; }
moosefs_at() { echo "mounts=$base/mount1,$base/mount2"; }
moosefs_start() {
  local i m=$base/master c
  if ((EUID != 0)) || [[ ! -e /dev/fuse ]]; then
    echo "it needs root and /dev/fuse: it is mounted, and runs in a network namespace" >"$base/master.log"
    return 1
  fi
  serve zz-network unshare --net sleep infinity
  moosefs_holder=$(<"$base/zz-network.pid")
  wait_for 10 moosefs_is_apart || return 1
  moosefs_inside ip link set lo up || return 1
  moosefs_inside ip address add $moosefs_address/32 dev lo || return 1
  mkdir -p "$m"
  echo '* / rw,alldirs,admin,maproot=0:0' >"$m/mfsexports.cfg"
  : >"$m/mfstopology.cfg"
  printf 'MFSM NEW' >"$m/metadata.mfs"
  cat >"$m/mfsmaster.cfg" <<CONF
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $m
EXPORTS_FILENAME = $m/mfsexports.cfg
TOPOLOGY_FILENAME = $m/mfstopology.cfg
CONF
  moosefs_serve master mfsmaster -c "$m/mfsmaster.cfg" -f start
  wait_for 20 moosefs_inside bash -c "exec 3<>/dev/tcp/$moosefs_address/9421" || return 1
  for i in 1 2 3; do
    c=$base/chunks$i
    mkdir -p "$c/data"
    echo "$c/data" >"$c/mfshdd.cfg"
    cat >"$c/mfschunkserver.cfg" <<CONF
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $c
HDD_CONF_FILENAME = $c/mfshdd.cfg
MASTER_HOST = $moosefs_address
CSSERV_LISTEN_PORT = $((9430 + i))
CONF
    moosefs_serve "chunks$i" mfschunkserver -c "$c/mfschunkserver.cfg" -f start
  done
  for i in 1 2; do
    mkdir -p "$base/mount$i"
    moosefs_serve "mount$i" mfsmount -f "$base/mount$i" -o mfsmaster=$moosefs_address
    wait_for 20 mountpoint -q "$base/mount$i" || return 1
  done
  moosefs_inside mfssetgoal 3 "$base/mount1" >>"$base/master.log" 2>&1 || return 1
  wait_for 30 moosefs_has_three_copies
}
moosefs_inside() { nsenter --net="/proc/$moosefs_holder/ns/net" "$@"; }
moosefs_serve() { serve "$1" nsenter --net="/proc/$moosefs_holder/ns/net" "${@:2}"; }
moosefs_is_apart() { [[ $(readlink "/proc/$moosefs_holder/ns/net") != "$(readlink /proc/self/ns/net)" ]]; }
moosefs_has_three_copies() { # the chunk servers register in their own time
  echo probe >"$base/mount1/probe" && moosefs_inside mfscheckfile "$base/mount1/probe" | grep -qE 'with 3 copies'
}
