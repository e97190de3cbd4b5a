#!/usr/bin/env bash
# Minority collapse on the digits: step imbalance at seven ratios under two weight decays, two minutes on one CPU core.
# usage: results/minority/run.sh RUNS   (RUNS is where the runs go)   PYTHON=... for another interpreter
# Leaves the figure and its numbers in results/minority/, and the commands in commands.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=$1 python=${PYTHON:-.venv/bin/python}
base=(--per-class 100 --width 64 --depth 1 --feature-dim 32 --batch-size 64 --lr 0.05 --epochs 150 --patience 100)
base+=(--keep 1000 --device cpu)
: > results/minority/commands.txt

names=()
for decay in 0.04 0.08; do
  for ratio in 0.01 0.02 0.04 0.08 0.16 0.32 0.64; do
    name=decay-$decay-ratio-$ratio
    options=("${base[@]}" --weight-decay "$decay" --imbalance "step:$ratio")
    echo "ufm train --name $name ${options[*]}" >> results/minority/commands.txt
    "$python" -m ufm train --name "$name" --runs "$runs" --force "${options[@]}"
    names+=("$runs/$name")
  done
done
"$python" -m ufm figures "${names[@]}" --only minority --out results/minority
rm results/minority/minority.pdf results/minority/minority.png
