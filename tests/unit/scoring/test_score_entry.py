"""The influence of each sample beside a record: of the scores that it has now."""

from pathlib import Path

import numpy as np

from metrics.score import BareScore, Score
from smoothbench.scoring.score_entry import save_scores
from smoothbench.storage.record import Record
from smoothbench.storage.results_folder import Store
from tests.support.report_folder import record as content


def test_a_score_that_lost_its_interval_loses_its_influences(tmp_path: Path) -> None:
    """Else two points would be compared by those of another metric, beside the new value."""
    store, new = Store(tmp_path), Score(1.0, np.arange(256.0) - 127.5)
    record = Record.from_json(content(1, 256, (0, 256)))
    save_scores(
        store, record, dict.fromkeys(["psnr@256", "ssim@256", "fd_nano@256"], Score(2.0, 3 * new.influence))
    )
    before = store.scores(record.name, record.point_id)
    assert before is not None
    save_scores(store, record, {"psnr@256": BareScore(3.0, 256, "no interval"), "ssim@256": new})
    after = store.scores(record.name, record.point_id)
    assert after is not None and before.keys() - after.keys() == {"psnr@256"}
    assert np.array_equal(after["ssim@256"], new.influence)
    assert np.array_equal(after["fd_nano@256"], before["fd_nano@256"])
