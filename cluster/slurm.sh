#!/usr/bin/env bash
# One `distal run` on a Ray cluster that lives as long as this Slurm job.
#
#     source .venv/bin/activate      # sbatch hands the environment on; it must lie where all nodes see it
#     sbatch --nodes=4 --gpus-per-node=1 cluster/slurm.sh run.yaml storage=/shared/runs train.workers=4
#
# Options of sbatch overrule the lines below. What follows the script goes to `distal run`; the storage must be an
# absolute path that all nodes share, or a URI. Requeued or submitted again, the run continues where it stopped.
#SBATCH --job-name=distal
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=4G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

START_LIMIT_S=300

fail() {
    echo "slurm.sh: $*" >&2
    exit 1
}

[[ -n ${SLURM_JOB_ID:-} ]] || fail "start this with sbatch; it needs the nodes of a job"
(($#)) || fail "nothing to run; for example: sbatch cluster/slurm.sh run.yaml storage=/shared/runs"
for program in distal ray python srun scontrol; do
    command -v "$program" >/dev/null || fail "'$program' is not on PATH; activate the environment before sbatch"
done

host_names=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
mapfile -t hosts <<<"$host_names"
head=${hosts[0]} # Slurm runs this script on the first node
workers=("${hosts[@]:1}")
cpus=${SLURM_CPUS_PER_TASK:-1}

# The address from which this node reaches the others: that network carries the cluster and no other one is named. The
# node's own name would not do, it is often 127.0.1.1 on the node itself.
head_ip=$(python - "${workers[0]:-127.0.0.1}" <<'PYTHON' || fail "found no address of '${workers[0]:-}'"
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.connect((sys.argv[1], 9))  # a datagram socket sends nothing here; it only looks up the route
    print(probe.getsockname()[0])
PYTHON
)
port=$((20000 + SLURM_JOB_ID % 4500 * 2)) # and the next; below the ephemeral ports, apart from other jobs'
address=$head_ip:$port
scratch=/tmp/ray-$SLURM_JOB_ID # short, because sockets lie in it and a socket's path has at most 107 characters

# Whoever logs in to a node of the cluster could reach Ray's ports, and who reaches them runs code as you. So each job
# has a token of its own, in the environment alone: not on a disk, not on a command line where `ps` would show it.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token

# srun does not inherit --cpus-per-task (Slurm 22.05), and Ray would count the machine's CPUs, not the job's.
step=(srun --ntasks-per-node=1 "--cpus-per-task=$cpus" --kill-on-bad-exit=0)
node=(ray start --block --disable-usage-stats "--num-cpus=$cpus" --min-worker-port=30000 --max-worker-port=31999
    --dashboard-agent-listen-port=0)
pids=()

finish() {
    local status=$?
    trap - EXIT
    trap '' TERM INT
    # --block makes each `ray start` take its own processes with it. `ray stop` would end other jobs' as well.
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait
    ((status)) || "${step[@]}" "--nodes=${#hosts[@]}" rm -rf "$scratch" || true # after a failure the logs stay
    exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM INT

echo "slurm.sh: head $head at $address, ${#workers[@]} more nodes, $cpus CPUs each"
# No dashboard: `distal run` joins the cluster directly, so nothing listens that nobody needs.
"${step[@]}" --nodes=1 "--nodelist=$head" \
    "${node[@]}" --head "--node-ip-address=$head_ip" "--port=$port" "--ray-client-server-port=$((port + 1))" \
    --include-dashboard=false "--temp-dir=$scratch" &
head_step=$!
pids+=("$head_step")

until ray health-check --address "$address" >/dev/null 2>&1; do
    kill -0 "$head_step" 2>/dev/null || fail "the head ended before it was ready; its messages are above"
    ((SECONDS < START_LIMIT_S)) || fail "the head did not answer at $address within $START_LIMIT_S s"
    sleep 1
done

if ((${#workers[@]})); then
    printf -v worker_list '%s,' "${workers[@]}"
    "${step[@]}" "--nodes=${#workers[@]}" "--nodelist=${worker_list%,}" "${node[@]}" "--address=$address" &
    pids+=("$!")
fi

# distal divides the CPUs and GPUs that are there when it starts, so all nodes must have joined.
python - "$address" "${#hosts[@]}" $((START_LIMIT_S - SECONDS)) <<'PYTHON' || fail "not all nodes joined; see above"
import sys, time
import ray

ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
expected, limit = int(sys.argv[2]), time.monotonic() + int(sys.argv[3])
while (joined := sum(node["Alive"] for node in ray.nodes())) < expected:
    if time.monotonic() > limit:
        sys.exit(f"slurm.sh: {joined} of {expected} nodes joined")
    time.sleep(0.5)
PYTHON

# In the background, because bash handles no signal while it waits for a command in the foreground.
distal run "$@" "address=$address" &
driver=$!
pids+=("$driver")
wait "$driver"
