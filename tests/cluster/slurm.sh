#!/usr/bin/env bash
# A Slurm of one node on this machine, and the stress script on it. As root, on Debian:
#     tests/cluster/slurm.sh python -m tests.stress.shards --launcher submitit_slurm --times 3 hydra.launcher.cpus_per_task=1
# Installs Slurm if it is not there, starts its daemons with a state of their own, runs the command, stops them.
set -euo pipefail
if ! command -v slurmctld slurmd munged > /dev/null; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends slurm-wlm munge
fi
state=$(mktemp -d)
chmod 755 "$state"
export SLURM_CONF=$state/slurm.conf
host=$(hostname -s)
processors=$(nproc)
# CR_CPU with four times the processors: the jobs of a test are small, and run side by side
cat > "$SLURM_CONF" << CONF
ClusterName=smoothbench
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
SlurmdSpoolDir=$state/spool
StateSaveLocation=$state/save
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=$((4 * processors)) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
mkdir "$state/spool" "$state/save"
head -c 1024 /dev/urandom > "$state/munge.key"
chmod 600 "$state/munge.key"

stop() {
    for _ in $(seq 20); do  # a job's last step outlives its results by a moment
        [ -z "$(squeue --noheader 2> /dev/null)" ] && break
        sleep 0.5
    done
    scancel --signal=KILL --full --user="$(id -un)" > /dev/null 2>&1 || true  # what a stopped command left
    scontrol shutdown > /dev/null 2>&1 || true
    sleep 1
    for daemon in slurmctld slurmd munged; do
        [ -f "$state/$daemon.pid" ] && kill "$(cat "$state/$daemon.pid")" 2> /dev/null || true
    done
    rm -rf "$state" 2> /dev/null || { sleep 2; rm -rf "$state"; }  # a daemon that ends may still write there
}
trap stop EXIT
munged --force --key-file="$state/munge.key" --socket="$state/munge.socket" --pid-file="$state/munged.pid" \
    --log-file="$state/munged.log" --seed-file="$state/munge.seed"
slurmctld
slurmd
for _ in $(seq 60); do
    sinfo --noheader --format=%T 2> /dev/null | grep -q idle && break
    sleep 0.5
done
sinfo || { tail "$state"/*.log; exit 1; }
"$@"
