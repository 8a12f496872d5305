#!/usr/bin/env bash
# Trains on a Cloud TPU slice with several hosts.
#
#   scripts/tpu_pod.sh [--dry-run] create|setup|run|logs|stop|delete [FLAGS]
#
#   create   Creates the machines. FLAGS are passed to gcloud, e.g. --spot.
#   setup    Copies the code to all workers and installs it, or updates it.
#   run      Starts the training on all workers; the same command resumes it.
#            FLAGS are passed to main.py, e.g. --config.training.batch_size=256.
#   logs     Follows the log of worker 0.
#   stop     Sends SIGTERM to the training and waits until it has saved.
#   delete   Deletes the machines. FLAGS are passed to gcloud, e.g. --quiet.
#
# --dry-run prints the commands instead of running them. Environment variables
# (defaults in parentheses):
#
#   NAME              name of the TPU (pic-jax)
#   PROJECT           Google Cloud project (the default project of gcloud)
#   ZONE              zone of the machines (europe-west4-b)
#   ACCELERATOR_TYPE  type and number of chips (v5litepod-32)
#   VERSION           software version of the machines (v2-alpha-tpuv5-lite)
#   REPO              git URL to clone (by default this folder is copied)
#   CONFIG            config file (configs/cifar10.py)
#   WORKDIR           folder of the run, on a disk or in a mounted bucket that
#                     all workers share (no default; `run` needs it)
#   DATA_DIR          folder of the data, also shared (the config's
#                     `data.data_dir`)
set -euo pipefail

NAME=${NAME:-pic-jax}
ZONE=${ZONE:-europe-west4-b}
# Arguments of pgrep and pkill that find the training on a worker. They compare
# the command as well, because after a reboot another process may have the
# number in pic_jax.pid.
TRAINING='-F pic_jax.pid -f main.py'

fail() { echo "tpu_pod.sh: $*" >&2; exit 2; }

# Runs a command; with --dry-run, prints it with the quotes that a shell needs.
execute() {
  [[ -n $dry_run ]] || { "$@"; return; }
  local word line='' quote="'\\''"
  for word in "$@"; do
    [[ $word != *[!A-Za-z0-9_./:=,-]* ]] || word="'${word//\'/$quote}'"
    line+=" $word"
  done
  echo "${line:1}"
}

tpu() {
  execute gcloud compute tpus tpu-vm "$@" --zone="$ZONE" \
    ${PROJECT:+--project="$PROJECT"}
}

# Runs the command $2 in the home folder of worker $1 (a number, or `all`).
on_worker() { tpu ssh "$NAME" --worker="$1" --command="$2"; }

setup() {
  if [[ -n ${REPO:-} ]]; then
    on_worker all "rm -rf pic_jax && git clone $(printf %q "$REPO") pic_jax"
  else
    local bundle=${TMPDIR:-/tmp}/pic_jax.tar.gz
    execute tar -czf "$bundle" --exclude='./.venv*' --exclude=./runs \
      -C "$(dirname "$0")/.." .
    tpu scp "$bundle" "$NAME:pic_jax.tar.gz" --worker=all
    on_worker all \
      'rm -rf pic_jax && mkdir pic_jax && tar -xzf pic_jax.tar.gz -C pic_jax'
  fi
  # The Python of the machines may be too old, so uv installs another one.
  on_worker all "set -e
curl -LsSf https://astral.sh/uv/install.sh | sh
.local/bin/uv venv --clear --python=3.12 pic_jax_venv
.local/bin/uv pip install --python=pic_jax_venv/bin/python \\
  -r pic_jax/requirements.txt 'jax[tpu]'"
}

run() {
  [[ -n ${WORKDIR:-} ]] || fail 'run needs WORKDIR, e.g. /mnt/bucket/cifar10.'
  local flags
  flags=$(printf ' %q' --config="${CONFIG:-configs/cifar10.py}" \
    --workdir="$WORKDIR" ${DATA_DIR:+--config.data.data_dir="$DATA_DIR"} "$@")
  on_worker all "if pgrep $TRAINING >/dev/null 2>&1; then
  echo 'The training is already running.' >&2
  exit 1
fi
cd pic_jax || exit
nohup ../pic_jax_venv/bin/python main.py --distributed$flags \\
  >>../pic_jax.log 2>&1 </dev/null &
echo \$! >../pic_jax.pid"
}

dry_run=
for argument in "$@"; do # --dry-run may be anywhere
  shift
  if [[ $argument == --dry-run ]]; then dry_run=yes
  else set -- "$@" "$argument"; fi
done
command=${1:-none}
[[ $# == 0 ]] || shift
case $command in
  create)
    tpu create "$NAME" --version="${VERSION:-v2-alpha-tpuv5-lite}" \
      --accelerator-type="${ACCELERATOR_TYPE:-v5litepod-32}" "$@" ;;
  setup) setup ;;
  run) run "$@" ;;
  logs) on_worker 0 'tail -n 100 -F pic_jax.log' ;;
  stop)
    on_worker all "pkill -TERM $TRAINING 2>/dev/null || echo 'No training is running.'
while pgrep $TRAINING >/dev/null 2>&1; do sleep 1; done" ;;
  delete) tpu delete "$NAME" "$@" ;;
  *)
    fail "Unknown command '$command'; usage: [--dry-run]" \
      'create|setup|run|logs|stop|delete [FLAGS]' ;;
esac
