"""Is an artefact whole, and does it give here what Python gave when it was written?"""

import os
from typing import NamedTuple

import numpy as np

from .manifest import difference, replay, seconds_of
from .model import load_model

TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""Largest difference, relative to the largest number of an output, that passes."""


class Finding(NamedTuple):
    """One output of one signature: its largest difference from the stored one, relative to the largest entry."""

    signature: str
    output: str
    difference: float


class Report(NamedTuple):
    """What :func:`check` found; times are medians of one call, in seconds, Python's as of the export."""

    format: str
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    python_seconds: dict[str, float]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every difference is within the tolerance."""
        return all(f.difference <= self.tolerance for f in self.findings)

    def __str__(self) -> str:
        lines = [f"format {self.format}: every file has its hash"]
        lines += [f"{f.signature:8} {f.output:10} differs by at most {f.difference:.1e}" for f in self.findings]
        for name, here in self.seconds.items():
            then = self.python_seconds[name]
            lines.append(
                f"{name:8} {1e3 * here:.3f} ms a call, {here / then:.2f} of Python's {1e3 * then:.3f} ms at export"
            )
        lines.append(f"{'passed' if self.passed else 'FAILED'} (tolerance {self.tolerance:g})")
        return "\n".join(lines)


def check(path: str | os.PathLike[str]) -> Report:
    """Verify the hashes of an artefact, load it, replay its golden vectors and time it.

    Raises
    ------
    ArtefactError
        If a file is missing or is not the one the manifest was written for.
    """
    model = load_model(path)
    golden = model.manifest["golden"]
    rows = np.array(golden["predict"]["rows"], dtype=np.float64)
    values = np.array(golden["step"]["y"], dtype=np.float64) if "step" in golden else np.zeros((0, 1))
    dtype = model.manifest["dtype"]
    seen = replay(model.calls, model.calls, rows.astype(dtype), values.astype(dtype), model.state)
    findings = tuple(
        Finding(name, port, difference(given, golden[name][port]))
        for name, out in seen.items()
        for port, given in out.items()
    )
    seconds = {"predict": seconds_of(model.calls["predict"], rows[:1].astype(dtype))}
    if "step" in seen:
        seconds["step"] = seconds_of(model.calls["step"], model.state, values[0].astype(dtype))
    python = {name: golden[name]["python_seconds"] for name in seconds}
    return Report(model.manifest["format"], findings, seconds, python, TOLERANCE[dtype])
