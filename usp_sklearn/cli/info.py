"""``usp info``: versions and devices, or what a file holds."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from ..api.persistence import load
from ..api.seasons import find_seasons
from ..api.stream import Stream
from . import options as o
from .calendar import shown
from .console import Talk

PACKAGES = ("usp-sklearn", "jax", "jaxlib", "numpy", "scipy", "scikit-learn", "pandas", "ott-jax", "equinox", "diffrax")
EXTRAS = {"matplotlib": "plot", "optuna": "tune", "pyarrow": "cli", "prometheus-client": "metrics",
          "tensorflow-cpu": "export", "skl2onnx": "onnx", "onnxruntime": "onnx"}  # fmt: skip


@o.spread
def info(
    reading: o.Reading,
    source: Annotated[
        Path | None, typer.Argument(help="Data, a saved model, a folder of checkpoints or an exported model.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say what is installed, or what a file holds."""
    if source is None:
        facts = _environment()
    elif source.is_dir():
        facts = _folder(source)
    elif source.suffix.lower() == ".usp":
        facts = _model(load(source))
    else:
        facts = _data(reading.table(source, Talk(quiet=True)))
    if as_json:
        print(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {value}")


def _environment() -> dict[str, Any]:
    import jax

    facts: dict[str, Any] = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    facts |= {package: version(package) for package in PACKAGES}
    for package, extra in EXTRAS.items():
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = f"not installed (extra {extra!r})"
    facts["devices"] = ", ".join(str(device) for device in jax.devices())
    facts["cores"] = os.cpu_count()
    facts["compiled programs"] = getattr(jax.config, "jax_compilation_cache_dir", None) or "not kept"
    return facts


def _data(table: pd.DataFrame) -> dict[str, Any]:
    series = table.iloc[:, 0]
    values = series.to_numpy(np.float64)
    index = series.index
    facts: dict[str, Any] = {
        "series": str(series.name),
        "exogenous": ", ".join(map(str, table.columns[1:])) or "none",
        "values": len(series),
        "from": shown(index[0]),
        "to": shown(index[-1]),
    }
    if len(series) > 1:
        gaps = pd.Series(index).diff().dropna()
        facts["usual step"], facts["longest gap"] = str(gaps.median()), str(gaps.max())
    facts |= {"smallest": values.min(), "median": float(np.median(values)), "largest": values.max()}
    facts["equal to the value before"] = f"{100 * np.mean(np.diff(values) == 0):.1f} %" if len(values) > 1 else "0 %"
    seasons = [s for s in find_seasons(values) if s is not None] if len(values) >= 16 else []
    return facts | {"seasons": " and ".join(map(str, seasons)) or "none found"}


def _model(model: Any) -> dict[str, Any]:
    stream = isinstance(model, Stream)
    facts: dict[str, Any] = {"kind": type(model).__name__}
    state = model.engine_ if stream else getattr(model, "state_", None)
    layout = getattr(getattr(state, "shape", None), "layout", None)
    if layout is not None:
        facts |= {"window": layout.width, "level columns": layout.n_level, "exogenous columns": layout.n_exog}
        facts |= {"steps ahead": layout.horizon, "members": ", ".join(f"{b}.{m}" for b, m in layout.members)}
    if stream:
        facts["values seen"] = model.buffer.count
        return facts | {"median of the next value": float(f"{np.ravel(model.law.median())[0]:.9g}")}
    return facts | {name: repr(value) for name, value in model.get_params(deep=False).items()}


def _folder(folder: Path) -> dict[str, Any]:
    from ..api.persistence import restore
    from ..io.store import Store

    manifest = folder / "manifest.json"
    if manifest.exists():
        from ..export.manifest import read

        described = read(folder)
        return {name: described[name] for name in ("name", "format", "dtype")} | {
            "made with": ", ".join(f"{name} {found}" for name, found in described["versions"].items()),
            "signatures": ", ".join(described["signatures"]),
            "size": f"{sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.1f} MB",
        }
    snapshots = Store(folder).paths()
    return {"checkpoints": len(snapshots), "newest": snapshots[-1].name if snapshots else "none"} | _model(
        restore(folder)
    )
