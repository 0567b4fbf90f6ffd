#!/bin/sh
# The exact commands behind the published results. From the project's folder:
#   sh results/commands.sh dit_ddim     makes one of them again in results/runs, and prints how it is published
# (error_prior: in its own folder). Second runs, against a fine run or with more samples, stand in results/FINDINGS.md.
# Each record names the commit that made it; results/README.md names the machine and what was made in pieces.
set -e

name=$1

run() {
    python -m smoothbench "$@"
    case "$name" in
        rivals_audio | rivals_video | fitted_*)
            echo "published without records: its table.csv (gzip -9 -n) and headline.png" ;;
        *) echo "publish it: python -m smoothbench.report results/runs/$name --publish results/$name" ;;
    esac
}

case "$name" in
    dit_ddim) run -m +exp=dit_ddim seed=0,1,2,3 num_samples=512 'metrics=[image,effnet]' ;;
    dit_dpmpp) run -m +exp=dit_dpmpp seed=0,1,2,3 num_samples=512 'metrics=[image,effnet]' ;;
    learning_to_cache) run +exp=learning_to_cache num_samples=512 latency.rounds=0 ;;
    opensora_rflow) run +exp=opensora_rflow num_samples=128 ;;
    stable_audio_dpmpp3m) run +exp=stable_audio_dpmpp3m num_samples=256 batch_size=16 ;;
    rivals_image) run +exp=rivals_image num_samples=256 ;;
    rivals_audio) run +exp=rivals_audio num_samples=256 ;;
    rivals_video) run +exp=rivals_video num_samples=128 ;;
    calibration_size) run +exp=calibration_size ;;
    calibration_variance) run -m +exp=calibration_variance solver=ddim,dpmpp,euler solver.steps=20,50 model.guidance=1,2,4 ;;
    fitted_image) run -m +exp=fitted_image seed=0,1,2,3 num_samples=512 latency.rounds=0 'orders=[2]' 'grids=[quadratic]' 'shares=[0.5,0.36,0.22,0.16,0.1]' 'rival_shares=[0.54,0.38,0.24,0.18,0.12]' 'steps=[25,18,11,8,5]' 'only=[none,fitted,fitted_fine,fitted_last,fewer,fewer_dpmpp,fewer_unipc,fewer_deis,fora_taylor,tail,dpcache]' ;;
    fitted_audio) run +exp=fitted_audio num_samples=256 latency.rounds=0 ;;
    fitted_video) run +exp=fitted_video num_samples=256 latency.rounds=0 ;;
    error_prior) python -m smoothbench.report.studies.error_prior results/error_prior ;;
    paper/dit_ddim) run +exp=paper/dit_ddim stage=cost ;;
    paper/opensora_rflow) run +exp=paper/opensora_rflow stage=cost ;;
    paper/stable_audio_dpmpp3m) run +exp=paper/stable_audio_dpmpp3m stage=cost ;;
    paper/uvit_dpm) run +exp=paper/uvit_dpm stage=cost ;;
    *)
        echo "error: no published results are called '$name': name one of" >&2
        sed -n 's/^    \([a-z0-9_/]*\)) \(run\|python\) .*/  \1/p' "$0" >&2
        exit 2
        ;;
esac
