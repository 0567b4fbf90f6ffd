"""How near is a sample to its prompt, as contrastive towers for text and audio see it?"""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from metrics.prompted import checked_table, digest, rows_of
from metrics.rows import checked
from metrics.score import SampleMean


class ClapScore(SampleMean):
    """Mean over samples of the cosine, -1 to 1, of the embeddings of a clip and of its prompt.

    `captions` [P, D] are the embeddings of the prompts by the same towers (Wu et al. 2023, arXiv 2211.06687).
    Called CLAP only where these are. Raises ValueError for other captions.
    """

    inputs: tuple[str, ...] = ("embedding", "condition")
    higher_is_better = True
    name = "clap"
    version = 1
    digested = ("captions",)

    def __init__(self, captions: Tensor) -> None:
        table = checked_table(captions, "captions", ndim=2)
        self._captions = table.double()
        # what a network made of captions is not the same on every machine to the last bit: its maker may say what it is
        self.digest: str = getattr(captions, "digest", "") or digest(table)

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Cosines, float64 [B], for embeddings [B, D] and prompts int64 [B].

        Raises ValueError for other shapes, NaN or Inf, and prompts without an embedding.
        """
        embedding, condition = inputs[0].detach().cpu().double(), inputs[1]
        checked(embedding.numpy(), "embedding", self._captions.shape[1], "the captions'")
        captions = rows_of(self._captions, condition, "captions")
        if len(captions) != len(embedding):
            raise ValueError(f"{len(embedding)} clips for {len(captions)} prompts: give one prompt a sample")
        return cosine_similarity(embedding, captions, dim=1)
