"""The page on operations: its program runs and restarts, and it explains every number and flag of a record."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from usp_sklearn.core.telemetry import Telemetry
from usp_sklearn.io.telemetry.names import FLAGS, NUMBERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def rows(heading: str) -> set[str]:
    """Names in the first column of the tables under a heading."""
    part = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    return {name for line in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)}


def test_every_number_and_every_flag_is_explained():
    assert rows("What the flags mean") == set(FLAGS)
    assert rows("What the numbers mean") == {*NUMBERS, "kernel_weights", "mode"}
    assert set(Telemetry._fields) <= rows("What the flags mean") | rows("What the numbers mean")


@pytest.fixture(scope="module")
def program():
    (code, *rest) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert not rest
    # The port of the page may be taken where the tests run.
    return code.replace("port=9464", "port=0")


def test_the_program_of_the_page_runs_and_goes_on(program, tmp_path):
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    environment = os.environ | {name.upper(): str(getattr(jax.config, name)) for name in names}
    command = [sys.executable, "-c", program]
    for run in (1, 2):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert len((tmp_path / "risk.jsonl").read_text().splitlines()) == 100 * run
        newest = f"snapshot-{2 * run:08d}.usp"
        assert sorted(p.name for p in (tmp_path / "state").iterdir())[-1] == newest
