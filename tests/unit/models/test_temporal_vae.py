"""The temporal autoencoder against its arithmetic written anew."""

import pytest
import torch

from smoothbench.models.opensora.temporal_vae import ResBlock, TemporalVae
from tests.oracles import temporal_vae_equations as written


@pytest.mark.parametrize(("ins", "outs"), [(4, 6), (4, 4)])
def test_residual_blocks(ins: int, outs: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block, x = ResBlock(ins, outs, 2).eval(), torch.randn(1, ins, 3, 4, 5)
        for parameter in block.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    weights = {f"a.{key}": each for key, each in block.state_dict().items()}
    for given in (x, 3e-3 * x):  # so small that what the norm adds to a variance shows
        wanted = written.residual(given[0].double(), weights, "a", 2)
        with torch.no_grad():
            torch.testing.assert_close(block(given)[0].double(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("halved", [(True, False), (False, True), (True, True)])
def test_the_encoder_and_the_decoder_in_time(halved: tuple[bool, ...]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vae = TemporalVae(2, 3, 2, 4, 2, (1, 2, 3), halved, 2).eval().requires_grad_(False)
        for parameter in vae.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        x, z = torch.randn(1, 2, 2 * vae.factor, 3, 4), torch.randn(1, 3, 2, 3, 4)
    weights = vae.state_dict()
    for module, given, name in ((vae.encoder, x, "encoder"), (vae.decoder, z, "decoder")):
        wanted = getattr(written, name)(given[0].double(), written.part(weights, name), halved, 2, 2)
        output = module(given)[0]
        assert output.shape[1] == (2 if name == "encoder" else 2 * vae.factor)
        torch.testing.assert_close(output.double(), wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
