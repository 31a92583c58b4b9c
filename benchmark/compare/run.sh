#!/usr/bin/env bash
# Measures Semel and its peers alternately on this machine, at the same work, and writes one table and one plot.
#
#   benchmark/compare/run.sh [--quick] [--install] [--peers "rabbitmq nats redis ceph moosefs"] [--out DIR]
#
#   --quick     one repetition of 2 s instead of three of 5 s, and a shorter warm-up
#   --install   apt-get install peers that are missing (as root); else they are reported as missing
#   --fill GIB  keep so many GiB of the page cache filled with pages that can be taken back (nearly all free memory). On a virtual machine that gives free memory
#               back to its host, whatever writes is otherwise measured at the price of getting it again: see docs/internals/performance.md
#   --out DIR   default artifacts/compare: results.md, results.json, results.svg, and the raw lines in results.jsonl
#
# Everything runs on loopback, in a temporary directory that is removed. Peers have three nodes; clients of theirs (Peers/) speak the protocols of RabbitMQ, NATS and
# Redis over plain sockets, so that no client library stands between, append to Ceph through librados, and to MooseFS through its mount, which needs root.
# A run that lost or refused a record is reported as failed and has no rate.
set -euo pipefail

here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
root=$here/../..
repetitions=3 seconds=5 warm_up=15 install= fill=0 peers="rabbitmq nats redis ceph moosefs" out=$root/artifacts/compare
while (($#)); do
  case $1 in
    --quick) repetitions=1 seconds=2 warm_up=10 ;;
    --install) install=1 ;;
    --fill) fill=$2 && shift ;;
    --peers) peers=$2 && shift ;;
    --out) out=$2 && shift ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
  shift
done
. "$here/peers.sh"

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
unset SEMEL_MASTER
dotnet build "$root/src/Semel.Cli" -c Release -v q --nologo
dotnet build "$here/Peers" -c Release -v q --nologo
semel=$root/src/Semel.Cli/bin/Release/net10.0/semel
load=$here/Peers/bin/Release/net10.0/peers
mkdir -p "$out"
results=$out/results.jsonl
: >"$results"

base=
held=$(mktemp -d)
clean_up() {
  if [[ -n $base ]]; then
    unmount_all
    stop_pids
    rm -rf --one-file-system -- "$base"
  fi
  base=
}
trap 'clean_up; rm -rf -- "$held"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

say() { echo "$*" >&2; }
failed() { # WHAT
  say "failed: $1"
  printf '{"failed":"%s"}\n' "${1//[\"\\]/}" >>"$results"
}
missing() { # SYSTEM REASON
  say "not measured: $1: $2"
  printf '{"system":"%s","missing":"%s"}\n' "$1" "${2//[\"\\]/}" >>"$results"
}
fill_memory() { # what was deleted meanwhile is free again, and must not be
  ((fill)) || return 0
  truncate -s "${fill}G" "$held/holes"
  cat "$held/holes" >/dev/null
}
note() { # WORK ACKNOWLEDGED PEER SYSTEM COMMAND...: runs it and keeps its line
  local work=$1 acknowledged=$2 peer=$3 system=$4 line
  shift 4
  fill_memory
  if line=$("$@" 2>"$out/errors" | tail -1) && [[ $line == \{* ]]; then
    printf '{"work":"%s","acknowledged":"%s","peer":"%s","system":"%s","result":%s}\n' "$work" "$acknowledged" "$peer" "$system" "$line" >>"$results"
    say "$work: $system $(grep -o '"records_per_s":[0-9.]*' <<<"$line" | head -1)"
  else
    failed "$work: $system: $(tail -1 "$out/errors")"
  fi
}
semel_append() { "$semel" bench append --json --duration ${seconds}s --warm-up ${warm_up}s "$@"; }
pair() { # PEER WORK ACKNOWLEDGED "peer's settings" "semel's options"
  local peer=$1 work=$2 acknowledged=$3 settings=$4 options=$5 i
  for ((i = 0; i < repetitions; i++)); do
    # shellcheck disable=SC2086
    note "$work" "$acknowledged" "$peer" "$peer" "$load" load "${peer%%-*}" "$("${peer%%-*}_at")" pids="$(pids)" seconds=$seconds warm-up=$warm_up $settings
    # shellcheck disable=SC2086
    note "$work" "$acknowledged" "$peer" semel semel_append $options
  done
}
alone() { # WORK "semel's options": one run
  # shellcheck disable=SC2086
  note "$1" "" "" semel semel_append $2
}
with_peer() { # PEER [ARGUMENT OF ITS START]: starts it; false: it is missing
  local peer=$1 lacking
  shift
  lacking=$("${peer}_missing")
  if [[ -n $lacking && -n $install ]]; then
    local packages=${peer}_packages
    say "installing ${!packages}"
    # shellcheck disable=SC2086
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${!packages}; } >"$out/install.log" 2>&1 || true
    . "$here/peers.sh"
    lacking=$("${peer}_missing")
  fi
  if [[ -n $lacking ]]; then
    local packages=${peer}_packages
    missing "$peer" "not installed (${lacking% }); Debian packages ${!packages}, or run with --install"
    return 1
  fi
  base=$(mktemp -d)
  say "starting $peer $*"
  if ! "${peer}_start" "$@"; then
    missing "$peer" "it did not start: $(tail -qn 1 "$base"/*/out "$base"/*.log 2>/dev/null | tail -1)"
    clean_up
    return 1
  fi
}

fill_memory
machine=$("$semel" bench machine --json)
printf '{"machine":%s}\n' "$machine" >>"$results"

if [[ " $peers " == *" rabbitmq "* ]] && with_peer rabbitmq; then
  by="page cache of 2 of 3"
  pair rabbitmq "100 B, 8 writers, pipelined, memory" "$by" "clients=8 size=100 window=4000 batch=100" "--size 100 --writers 8 --durability memory"
  pair rabbitmq "1 KiB, 8 writers, pipelined, memory" "$by" "clients=8 size=1024 window=4000 batch=100" "--size 1024 --writers 8 --durability memory"
  pair rabbitmq "64 KiB, 8 writers, pipelined, memory" "$by" "clients=8 size=65536 window=64 batch=8" "--size 65536 --writers 8 --durability memory --in-flight 64"
  clean_up
fi
if [[ " $peers " == *" nats "* ]] && with_peer nats; then
  by="page cache of 2 of 3"
  pair nats "100 B, 8 writers, pipelined, memory" "$by" "clients=8 size=100 window=1024" "--size 100 --writers 8 --durability memory"
  pair nats "100 B, 1 writer, one at a time, memory" "$by" "clients=1 size=100" "--size 100 --writers 1 --in-flight 1 --durability memory"
  pair nats "100 B, one at a time, memory: 8 clients against 64 writers" "$by" "clients=8 size=100" "--size 100 --writers 64 --in-flight 1 --durability memory"
  clean_up
fi
if [[ " $peers " == *" redis "* ]] && with_peer redis always; then
  by="memory of 3, flushed before the reply"
  pair redis "100 B, 8 writers, pipelined, group" "$by" "clients=8 size=100 batch=100" "--size 100 --writers 8 --durability group"
  pair redis "100 B, 1 writer, one at a time, group" "$by" "clients=1 size=100" "--size 100 --writers 1 --in-flight 1 --durability group"
  clean_up
  if with_peer redis everysec; then
    by="memory of 3, flushed each second"
    pair redis "100 B, 1 writer, one at a time, memory" "$by" "clients=1 size=100" "--size 100 --writers 1 --in-flight 1 --durability memory"
    clean_up
  fi
fi
if [[ " $peers " == *" ceph "* ]] && with_peer ceph; then
  by="fdatasync on 3"
  pair ceph "100 B, 8 writers, pipelined, group" "$by" "clients=8 size=100 window=128" "--size 100 --writers 8 --durability group"
  pair ceph "100 B, 1 writer, one at a time, group" "$by" "clients=1 size=100" "--size 100 --writers 1 --in-flight 1 --durability group"
  clean_up
fi
if [[ " $peers " == *" moosefs "* ]] && with_peer moosefs; then
  by="fsync: page cache of 3"
  pair moosefs "100 B, 1 writer, one at a time, memory" "$by" "clients=1 size=100" "--size 100 --writers 1 --in-flight 1 --durability memory"
  pair moosefs "100 B, 8 writers, one at a time, memory" "$by" "clients=8 size=100" "--size 100 --writers 8 --in-flight 1 --durability memory"
  clean_up
fi

for ((i = 0; i < repetitions; i++)); do
  alone "100 B, 8 writers, pipelined, group" "--size 100 --writers 8 --durability group"
  alone "100 B, 8 writers, pipelined, group, at-least-once" "--size 100 --writers 8 --durability group --delivery at-least-once --verify"
  alone "100 B, 8 writers, pipelined, memory" "--size 100 --writers 8 --durability memory"
  alone "100 B, 8 writers, pipelined, memory, at-least-once" "--size 100 --writers 8 --durability memory --delivery at-least-once --verify"
  alone "100 B, 1,000 writers, 1 file, group" "--size 100 --writers 1000 --durability group"
  alone "100 B, 1,000 writers, 100 files, group" "--size 100 --writers 1000 --files 100 --durability group"
done

"$load" report "$results" "$out"
say "written: $out/results.md, results.json, results.svg"
