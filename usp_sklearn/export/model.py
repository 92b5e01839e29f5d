"""``export_model``: one call for every format; ``load_model``: the artefact back, run by its own engine."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from ..api.stream import Stream
from ..api.windows import SlidingWindow
from . import manifest
from .graph import Graph, graph

FORMATS = ("stablehlo", "savedmodel", "native", "onnx")


def _engine(format: str) -> Any:
    if format not in FORMATS:
        raise ValueError(
            f"The 'format' parameter of export_model must be one of {', '.join(FORMATS)}. Got {format!r} instead."
        )
    return import_module(f".{format}", __package__)


def export_model(
    estimator: BaseEstimator | Stream,
    path: str | os.PathLike[str],
    format: str = "savedmodel",
    *,
    history: ArrayLike | None = None,
    windows: SlidingWindow | None = None,
    quantiles: Sequence[float] | None = None,
    dtype: str = "float64",
    name: str = "model",
    **options: Any,
) -> Path:
    """Write a trained model as a folder that other languages run, and go on teaching.

    Parameters
    ----------
    estimator : fitted predictor, Pipeline of scalers that ends in one, or Stream
        What is exported, as it stands; it is not changed.
    path : path
        The folder to make. One that holds an artefact is replaced, and only once the new one is complete; any other
        folder that is not empty is refused.
    format : {"savedmodel", "native", "stablehlo", "onnx"}
        TensorFlow; a shared library without dependencies; any PJRT runtime; ONNX Runtime (``predict`` only).
    history : (n,) or (n, 1 + E) array, optional
        The series up to now, as for :class:`~usp_sklearn.Stream`. Without it (and with an estimator that is not a
        Stream) there is ``predict`` and no ``step``.
    windows : SlidingWindow, optional
        How rows are made from the series, as for :class:`~usp_sklearn.Stream`.
    quantiles : sequence of float, optional
        Levels of the quantiles that are returned. Default: the 25 levels a law is held on.
    dtype : {"float64", "float32"}
        What crosses the border. Inside it is always double precision.
    name : str
        What the artefact calls itself: a C identifier.
    **options
        Of the format: ``batches=(1, 64)``, ``march=None`` for "native".

    Returns
    -------
    Path of the folder.

    Examples
    --------
    >>> import tempfile
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> from usp_sklearn.export import export_model, load_model
    >>> X, y = sliding_window(datasets.make_ou(200, random_state=0), width=16, averages=None, season=None)
    >>> model = LevyPredictor(width=16).fit(X, y)
    >>> folder = export_model(model, tempfile.mkdtemp(), "stablehlo")
    >>> load_model(folder).predict(X[-3:])["quantiles"].shape
    (3, 25)
    """
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"The 'name' parameter of export_model must be a C identifier. Got {name!r} instead.")
    engine = _engine(format)
    made = graph(estimator, history=history, windows=windows, quantiles=quantiles, dtype=dtype, name=name)
    path = Path(path)
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / manifest.NAME).exists())):
        raise FileExistsError(f"{path} is there already and is not an exported model.")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        write(made, draft, format, engine, options)
        draft.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        draft.replace(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return path


def write(graph: Graph, folder: Path, format: str, engine: Any, options: dict[str, Any]) -> None:
    """Everything of an artefact, the manifest last."""
    if format == "onnx":
        # Laws of rows only: a step would pass its whole state through every call.
        graph = graph._replace(step=None, state=None, pieces=None, snapshot=None)
    described = manifest.describe(graph, format, engine.PACKAGES)
    if graph.state is not None:
        graph.state.astype("<f8").tofile(folder / manifest.STATE)
    if format == "native":
        options = options | {"manifest": described}
    manifest.write(folder, described | engine.write(graph, folder, **options))


class LoadedModel(NamedTuple):
    """An artefact run by its own engine; outputs by name, as NumPy arrays."""

    manifest: dict[str, Any]
    state: NDArray[np.float64] | None
    calls: dict[str, Callable[..., Any]]

    def predict(self, rows: ArrayLike) -> dict[str, NDArray[Any]]:
        """Laws of rows (n, F) from the state the model was exported with."""
        return self._run("predict", np.asarray(rows))

    def step(self, state: ArrayLike, y: ArrayLike) -> dict[str, NDArray[Any]]:
        """Learn ``y`` (1 + E,) and issue the next law; start from :attr:`state`, go on with the "state" returned."""
        if "step" not in self.calls:
            raise ValueError("This model was exported without history: it has predict and no step.")
        return self._run("step", np.asarray(state), np.asarray(y))

    def _run(self, name: str, *arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        ports = self.manifest["signatures"][name]
        given = [a.astype(p["dtype"], copy=False) for a, p in zip(arrays, ports["inputs"], strict=True)]
        for a, p in zip(given, ports["inputs"], strict=True):
            if a.ndim != len(p["shape"]) or any(
                s not in (n, "batch") for s, n in zip(p["shape"], a.shape, strict=True)
            ):
                raise ValueError(f"{p['name']} must have shape {tuple(p['shape'])}. Got {a.shape} instead.")
        out = self.calls[name](*given)
        return {p["name"]: np.asarray(x) for p, x in zip(ports["outputs"], out, strict=True)}


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Read an artefact back: its hashes are checked before anything of it is used."""
    described = manifest.read(path)
    engine = _engine(described["format"])
    return LoadedModel(described, manifest.state(path), engine.load(Path(path), described))
