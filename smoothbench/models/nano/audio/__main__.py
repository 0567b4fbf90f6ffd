"""Train the embedded text-to-audio model and its evaluation networks again (needs fluidsynth and its soundfont)."""

from smoothbench.models.nano.retrain import Step, retrain


def steps(work: str, out: str) -> list[Step]:
    """Return the commands in order; the encoder stays as it is once the denoiser learns on its latents."""
    clips = ["--corpus", f"{work}/corpus"]
    further = ["--start", f"{work}/codec", "--steps", "5000"]
    codec, evaluators = f"{out}/codec", f"{out}/evaluators"
    return [
        ["corpus", "--out", f"{work}/corpus"],
        ["train_codec", *clips, "--out", f"{work}/codec", "--work", f"{work}/train_codec"],
        ["train_codec", *clips, "--out", codec, "--work", f"{work}/train_decoder", *further],
        ["train_denoiser", *clips, "--out", out, "--codec", codec, "--work", f"{work}/train_denoiser"],
        ["train_evaluators", "tagger", *clips, "--out", evaluators, "--work", f"{work}/train_tagger"],
        ["train_evaluators", "clap", *clips, "--out", evaluators, "--work", f"{work}/train_clap"],
        ["references", *clips, "--out", evaluators],
    ]


if __name__ == "__main__":
    retrain("smoothbench.models.nano.audio", __doc__, steps)
