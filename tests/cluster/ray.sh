#!/usr/bin/env bash
# A Ray of one node on this machine, and the stress script on it (pip install -e '.[ray]'):
#     tests/cluster/ray.sh python -m tests.stress.shards --launcher ray --times 3 hydra.launcher.ray.init.address=auto
# Starts a Ray with four processors, runs the command, stops it.
set -euo pipefail
state=$(mktemp -d)
export RAY_TMPDIR=$state RAY_USAGE_STATS_ENABLED=0
ray start --head --block --num-cpus=4 --include-dashboard=false --disable-usage-stats --temp-dir="$state" > "$state/log" 2>&1 &
cluster=$!
stop() {
    kill "$cluster" 2> /dev/null || true  # it takes its own processes with it, and no other Ray's
    wait "$cluster" 2> /dev/null || true
    rm -rf "$state" 2> /dev/null || { sleep 2; rm -rf "$state"; }  # a daemon that ends may still write there
}
trap stop EXIT
for _ in $(seq 120); do
    ray status > /dev/null 2>&1 && break
    sleep 0.5
done
"$@"
