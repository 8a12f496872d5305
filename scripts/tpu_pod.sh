#!/usr/bin/env bash
# Trains on a Cloud TPU slice of many hosts.
#
#   scripts/tpu_pod.sh [--dry-run] create|setup|run|logs|stop|delete [FLAGS]
#
#   create   Makes the machines. FLAGS go on to gcloud, e.g. --spot.
#   setup    Copies the code to all workers and installs it, or updates it.
#   run      Starts the training on all workers; the same command resumes it.
#            FLAGS go on to main.py, e.g. --config.training.batch_size=256.
#   logs     Follows the log of worker 0.
#   stop     Sends SIGTERM to the training and waits until it has saved.
#   delete   Removes the machines. FLAGS go on to gcloud, e.g. --quiet.
#
# --dry-run prints the commands instead. Environment variables (defaults):
#
#   NAME              name of the TPU (pic-jax)
#   PROJECT           Google Cloud project (gcloud's own)
#   ZONE              where (europe-west4-b)
#   ACCELERATOR_TYPE  which and how many chips (v5litepod-32)
#   VERSION           software of the machines (v2-alpha-tpuv5-lite)
#   REPO              git URL to clone (none: copies this folder as it is)
#   CONFIG            config file (configs/cifar10.py)
#   WORKDIR           folder of the run: a disk or a mounted bucket that the
#                     workers share (none: run needs it)
#   DATA_DIR          folder of the data, likewise (the config's)
set -euo pipefail

NAME=${NAME:-pic-jax}
ZONE=${ZONE:-europe-west4-b}
# What finds the training on a worker. After a reboot its number may be another
# process's, so that the command is compared too.
TRAINING='-F pic_jax.pid -f main.py'

fail() { echo "tpu_pod.sh: $*" >&2; exit 2; }

# Runs a command, or prints it so that a shell can read it back.
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

# Runs the command $2 in the home folder of worker $1, a number or `all`.
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
  # The machines' own Python may be too old; uv brings one.
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
  echo 'The training runs already.' >&2
  exit 1
fi
cd pic_jax || exit
nohup ../pic_jax_venv/bin/python main.py --distributed$flags \\
  >>../pic_jax.log 2>&1 </dev/null &
echo \$! >../pic_jax.pid"
}

dry_run=
for argument in "$@"; do # --dry-run may stand anywhere
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
    on_worker all "pkill -TERM $TRAINING 2>/dev/null || echo 'Nothing runs.'
while pgrep $TRAINING >/dev/null 2>&1; do sleep 1; done" ;;
  delete) tpu delete "$NAME" "$@" ;;
  *)
    fail "Unknown command '$command'; usage: [--dry-run]" \
      'create|setup|run|logs|stop|delete [FLAGS]' ;;
esac
