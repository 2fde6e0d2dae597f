#!/usr/bin/env bash
# A Ray cluster of one head and some workers on this machine: separate raylets, token authentication, the dashboard on
# loopback, a cache of decoded images each, as machines have. (Ray's own ports listen on the machine's address; whoever
# connects needs the token.)
#
#   cluster/local.sh start [WORKERS=3] [CPUS=1]   start the head and WORKERS nodes of CPUS each, and say how to use them
#   cluster/local.sh add NAME [CPUS=1]            start one more node
#   cluster/local.sh head                         start the head alone, as after `kill head`
#   cluster/local.sh kill NAME                    kill a node at once, as a lost machine would go
#   cluster/local.sh status                       the nodes that run
#   cluster/local.sh stop                         end what `start` and `add` began, and nothing else on this machine
#
# Set DISTAL_CLUSTER to keep several apart; PORT and DASHBOARD_PORT if 6380 and 8265 are taken; RAY_REDIS_ADDRESS to
# keep the head's state in a Redis, so that jobs outlive it. NODE_IP and WITHIN put the next node at an address of its
# own, its command run within `ip netns exec NAME`, say; HEAD_IP is where nodes find the head.
set -euo pipefail

here=${DISTAL_CLUSTER:-/tmp/distal-cluster-$(id -u)}  # short: Ray's sockets lie in it, and their paths end at 107 bytes
port=${PORT:-6380}
dashboard=${DASHBOARD_PORT:-8265}
head_ip=${HEAD_IP:-127.0.0.1}
ray=$(command -v "$(dirname "${PYTHON:-$0}")/ray" || command -v "$(dirname "$0")/../.venv/bin/ray" || command -v ray) ||
  { echo "no 'ray' found: activate the environment in which distal is installed" >&2; exit 1; }

PATH=$(cd "$(dirname "$ray")" && pwd):$PATH  # a job's entrypoint is `python`: the one that has distal
export PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$here/token
export RAY_USAGE_STATS_ENABLED=0 PYTHONWARNINGS=ignore
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0  # `stop` ends all nodes: none waits for its work to move to another

node() { # node NAME ray-start-arguments...: a process group of its own, so that one signal ends the node
  local name=$1
  shift
  [[ ! -e $here/$name.pid ]] || { echo "node '$name' is there already" >&2; exit 1; }
  # No log monitor: it sends what workers print to drivers, and distal's do not ask for it.
  # shellcheck disable=SC2086  # WITHIN is a command and its arguments
  XDG_CACHE_HOME=$here/cache/$name setsid ${WITHIN:-} "$ray" start --block --disable-usage-stats --include-log-monitor=false \
    --dashboard-agent-listen-port=0 --temp-dir="$here/n/$name" "$@" \
    </dev/null >"$here/$name.log" 2>&1 &
  echo $! >"$here/$name.pid"
}

dashboard_answers() {
  curl --silent --fail --header "Authorization: Bearer $(<"$here/token")" "http://127.0.0.1:$dashboard/api/version"
}

head() {
  umask 077
  mkdir -p "$here"
  [[ -s $here/token ]] || new_token >"$here/token"
  rm -f "$here/n/head/ray_current_cluster"  # a killed head leaves it, and Ray takes the workers' processes for a head
  node head --head --port="$port" --node-ip-address="$head_ip" --dashboard-host=127.0.0.1 \
    --dashboard-port="$dashboard" --num-cpus=0 --object-store-memory=$((256 * 1024 * 1024))
  until dashboard_answers >/dev/null; do
    kill -0 "$(<"$here/head.pid")" 2>/dev/null ||
      { rm "$here/head.pid"; echo "the head did not come up; see $here/head.log" >&2; exit 1; }
    sleep 0.3
  done
}

new_token() {
  od -An -vtx1 -N32 /dev/urandom | tr -d ' \n'
}

worker() { # worker NAME CPUS: start a node and wait for it; a busy machine may need a second try, for Ray waits 30 s
  local name=$1 cpus=$2 try
  for try in 1 2 3; do
    node "$name" --address="$head_ip:$port" --num-cpus="$cpus" --labels="distal-node=$name" \
      ${NODE_IP:+"--node-ip-address=$NODE_IP"} --object-store-memory=$((256 * 1024 * 1024))
    while kill -0 "$(<"$here/$name.pid")" 2>/dev/null; do
      ! grep -q "Ray runtime started" "$here/$name.log" || return 0
      sleep 0.3
    done
    rm -f "$here/$name.pid"
  done
  echo "$name did not come up in $try tries; see $here/$name.log" >&2
  exit 1
}

start() {
  local workers=${1:-3} cpus=${2:-1} i starts=()
  ! compgen -G "$here/*.pid" >/dev/null || { echo "a cluster runs already; first: $0 stop" >&2; exit 1; }
  head
  for ((i = 1; i <= workers; i++)); do worker "worker-$i" "$cpus" & starts+=($!); done
  for i in "${starts[@]}"; do wait "$i"; done
  cat <<EOF
1 head and $workers workers of $cpus CPUs run. In the shell from which you submit:

  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$RAY_AUTH_TOKEN_PATH RAY_API_SERVER_ADDRESS=http://127.0.0.1:$dashboard
  distal submit storage=$here/runs
EOF
}

kill_group() { # kill_group SIGNAL NAME
  local pid
  pid=$(<"$here/$2.pid")
  kill "-$1" -- "-$pid" 2>/dev/null || true
  rm -f "$here/$2.pid"
}

case ${1:-} in
start) start "${@:2}" ;;
head) head ;;
add) worker "${2:?which name?}" "${3:-1}" ;;
kill)
  [[ -e $here/${2:?which node?}.pid ]] || { echo "no node '$2' runs here" >&2; exit 1; }
  kill_group KILL "$2"
  ;;
status)
  for file in "$here"/*.pid; do [[ ! -e $file ]] || echo "$(basename "$file" .pid) $(<"$file")"; done
  ;;
stop)
  for file in "$here"/*.pid; do [[ ! -e $file ]] || kill_group TERM "$(basename "$file" .pid)"; done
  for _ in {1..20}; do pgrep -f -- "$here/n/" >/dev/null || break; sleep 0.5; done
  pkill -KILL -f -- "$here/n/" || true
  rm -rf "$here/n"
  ;;
*)
  sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"
  exit 2
  ;;
esac
