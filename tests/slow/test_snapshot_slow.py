"""Two hundred writers killed at random moments: nothing promised is ever lost."""

from tests.io.test_snapshot_faults import crashing


def test_two_hundred_kills(tmp_path):
    runs = crashing("kills", tmp_path, 200, 1)
    assert len(runs) == 200
    for run in runs:
        assert run["promised"] <= run["found"] <= run["promised"] + 1
        assert run["left"] <= 3 + 4
