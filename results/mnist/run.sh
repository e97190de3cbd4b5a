#!/usr/bin/env bash
# Small networks on MNIST on a CPU: three optimisers, a fixed simplex frame, random labels.
# usage: results/mnist/run.sh DATA_DIR RUNS   (DATA_DIR holds MNIST as torchvision stores it; RUNS is where the runs go)
# Leaves what is small of each run in results/mnist/: epochs.csv, config.json (the recipe), and the command in commands.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$1 runs=$2
base=(--data mnist --data-dir "$data" --model mlp --depth 3 --keep 1000)
: > results/mnist/commands.txt

run() {
  local name=$1
  shift
  echo "ufm train --name $name ${base[*]/$data/DATA_DIR} $*" >> results/mnist/commands.txt
  .venv/bin/python -m ufm train --name "$name" --runs "$runs" --force "${base[@]}" "$@"
  mkdir -p "results/mnist/$name"
  cp "$runs/$name/epochs.csv" "$runs/$name/config.json" "results/mnist/$name/"
}

run mnist-sgd --per-class 1000 --width 256 --preset paper-sgd --batch-size 128 --epochs 100 --patience 40
run mnist-adam --per-class 1000 --width 256 --preset paper-adam --batch-size 128 --epochs 200 --schedule cosine
run mnist-lbfgs --per-class 1000 --width 256 --preset paper-lbfgs --epochs 40
run mnist-etf --per-class 1000 --width 256 --preset paper-sgd --batch-size 128 --epochs 100 --patience 40 --head etf --feature-dim 10
run mnist-d10 --per-class 1000 --width 256 --preset paper-sgd --batch-size 128 --epochs 100 --patience 40 --feature-dim 10
run random-wide --per-class 200 --random-labels --width 512 --preset paper-sgd --batch-size 64 --epochs 150 --patience 100
run random-narrow --per-class 200 --random-labels --width 4 --feature-dim 4 --preset paper-sgd --batch-size 64 --epochs 150 --patience 100
