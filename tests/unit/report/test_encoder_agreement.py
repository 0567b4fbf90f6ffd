"""Whether encoders rank the policies alike, by hand."""

import pandas as pd
import pytest

from smoothbench.report.tables.encoder_agreement import rank_agreement


def ranked(columns: dict[str, tuple[list[float], bool]], metric: str | None = None) -> pd.DataFrame:
    """A reference without ranks, and policies with these scores, each by `metric` or by that of its own name."""
    count = len(next(iter(columns.values()))[0])
    frame = pd.DataFrame({"reference": [True] + [False] * count, "sample_id": list("abcdefgh")[: count + 1]})
    for name, (values, higher) in columns.items():
        frame[name], frame[f"{name}.higher_is_better"] = [99.0, *values], higher
        frame[f"{name}.metric"], frame[f"{name}.by_encoder"] = (
            metric or name.partition("_")[0],
            metric != "proxy",
        )
    return frame


def test_rank_agreement_by_hand() -> None:
    """One of the six pairs of four policies is swapped: tau = (5 - 1) / 6."""
    own, other = ([1.0, 2.0, 3.0, 4.0], False), ([10.0, 30.0, 20.0, 40.0], False)
    found = rank_agreement(ranked({"fd_nano@64": own, "fd_effnet@64": other})).iloc[0]
    assert found["tau"] == pytest.approx(2 / 3) and found["policies"] == 4
    turned = ([-value for value in other[0]], True)
    assert rank_agreement(ranked({"fd_nano@64": own, "fd_effnet@64": turned}))["tau"][0] == pytest.approx(
        2 / 3
    )
    strangers = {"fd_nano@64": own, "kid_effnet@64": other, "fd_effnet@32": other, "psnr@64": own}
    assert rank_agreement(ranked(strangers)).empty
    assert rank_agreement(ranked({"fd_nano@64": own, "fd_effnet@64": ([1.0] * 4, False)})).empty
    proxies = {"vbproxy_noise@64": own, "vbproxy_dynamic@64": other}
    assert rank_agreement(ranked(proxies, "proxy")).empty and len(rank_agreement(ranked(proxies, "one"))) == 1
