#!/usr/bin/env bash
# Benchmarks the paper's CIFAR-10 model on this machine's accelerator. Then
# trains the model, evaluates it, samples from it and exports its weights.
#
#   scripts/accelerator.sh WORKDIR [STEPS]
#
# STEPS is the number of training steps, by default the paper's 117188. If the
# script is stopped, start it again with the same arguments to resume.
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=${1:?usage: scripts/accelerator.sh WORKDIR [STEPS]}
steps=${2:-117188}
python=${PYTHON:-.venv/bin/python}
config=--config=configs/cifar10.py

mkdir -p "$workdir"
"$python" -c 'import jax; print(jax.devices())'
"$python" main.py --mode=benchmark $config --output="$workdir/benchmark.json"
"$python" main.py $config --workdir="$workdir" \
  --config.training.num_steps="$steps"
"$python" main.py --mode=eval --workdir="$workdir" \
  --config="configs/trained.py:$workdir" \
  --num_sampled_images=1000 --output="$workdir/eval.json"
"$python" main.py --mode=sample --workdir="$workdir"
# --mode=export refuses to overwrite files of an earlier start of this script.
rm -f "$workdir"/cifar10.{safetensors,json}
"$python" main.py --mode=export --workdir="$workdir" \
  --output="$workdir/cifar10.safetensors"
