"""The CLAP score: how near a clip is to its prompt in the embedding space of contrastive networks."""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from metrics.features import checked
from metrics.prompted import checked_table, digest, look_up
from metrics.score import SampleMean


class ClapScore(SampleMean):
    """The mean over samples of the cosine, -1 to 1, between the embeddings of a clip and of its prompt.

    `captions` [P, D] are the embeddings of the prompts by the same network (Wu et al. 2023, arXiv 2211.06687).
    Call the score CLAP only where that network is CLAP. Raises ValueError for other captions.
    """

    inputs: tuple[str, ...] = ("embedding", "condition")
    higher_is_better = True
    name = "clap"
    version = 1
    digested = ("captions",)

    def __init__(self, captions: Tensor) -> None:
        table = checked_table(captions, "captions", ndim=2)
        self._captions = table.double()
        # embeddings differ between machines in their last bits, so whoever made them may name them by a digest
        self.digest: str = getattr(captions, "digest", "") or digest(table)

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the cosines, float64 [B], for embeddings [B, D] and prompt numbers int64 [B].

        Raises ValueError for other shapes, NaN or Inf, and prompts without an embedding.
        """
        embedding, condition = inputs[0].detach().cpu().double(), inputs[1]
        checked(embedding.numpy(), "embedding", self._captions.shape[1], "the captions'")
        captions = look_up(self._captions, condition, "captions")
        if len(captions) != len(embedding):
            raise ValueError(f"{len(embedding)} clips for {len(captions)} prompts: give one prompt a sample")
        return cosine_similarity(embedding, captions, dim=1)
