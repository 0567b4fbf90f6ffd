"""Train the embedded text-to-video model and its evaluation network again (needs dataset-fashion-mnist)."""

from smoothbench.models.nano.retrain import Step, retrain


def steps(work: str, out: str) -> list[Step]:
    """Return the commands in order; the denoiser learns on the encoder's latents."""
    autoencoder, evaluators = f"{out}/autoencoder", f"{out}/evaluators"
    return [
        ["train_autoencoder", "--out", autoencoder, "--work", f"{work}/train_autoencoder"],
        ["train_denoiser", "--autoencoder", autoencoder, "--out", out, "--work", f"{work}/train_denoiser"],
        ["train_classifier", "--out", evaluators, "--work", f"{work}/train_classifier"],
        ["references", "--out", evaluators],
    ]


if __name__ == "__main__":
    retrain("smoothbench.models.nano.video", __doc__, steps)
