"""save and load: fitted predictors and streams as snapshot files; checkpoint and restore: a folder of them.

A snapshot holds the whole state as arrays and JSON (:mod:`usp_sklearn.io.snapshot`), so what is loaded goes on as if
nothing had happened, to the last bit on the same machine. Loading executes nothing from the file.
"""

import os
import warnings
from collections.abc import Set
from typing import Any

import equinox as eqx
import numpy as np
import optax
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..core import engine
from ..core.engine import Engine, Layout, Saved
from ..core.telemetry import Telemetry
from ..io import snapshot
from ..io.sanitise import Intake
from ..io.schema import SCHEMA as SCHEMA
from ..io.schema import Arrays, Content, SnapshotError
from ..io.snapshot import LIMIT, Snapshot
from ..io.store import SnapshotWarning, Store
from ..io.trees import pack, unpack
from .aggregator import JKOAggregator
from .buffers import built_buffer, packed_buffer
from .likeness import likeness
from .predictor import DGMPredictor, JKOPredictor, JumpDiffusionPredictor, LevyPredictor, SignaturePredictor
from .stream import Stream
from .windows import WindowBuffer

PREDICTORS = (LevyPredictor, DGMPredictor, JumpDiffusionPredictor, SignaturePredictor, JKOPredictor)
FITTED: dict[str, tuple[str, ...]] = {
    **{
        c.__name__: ("n_features_in_", "feature_names_in_", "width_", "_column", "state_", "_history")
        for c in PREDICTORS
    },
    "JKOAggregator": ("n_features_in_", "feature_names_in_", "n_experts_", "quantiles_", "state_", "weights_path_"),
}
"""What a fitted estimator holds beside its parameters."""
STREAM = (
    "engine", "row", "basis", "since", "intake", "late", "settings", "slope", "shift", "gate", "_column", "_real",
    "_medians", "_exog",
)  # fmt: skip
"""What a stream holds beside its buffer."""
CLASSES: dict[str, type[Any]] = {c.__name__: c for c in (*PREDICTORS, JKOAggregator)}
TABLE: dict[str, type] = {
    "optax.ScaleByAdamState": optax.ScaleByAdamState,
    "equinox.nn.Linear": eqx.nn.Linear,
    "Intake": Intake,
}
"""Classes in states that are defined elsewhere than in the core and the kernels."""


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted predictor, an aggregator or a stream to one file.

    Parameters
    ----------
    model : fitted LevyPredictor, DGMPredictor, JumpDiffusionPredictor, SignaturePredictor, JKOPredictor or
        JKOAggregator, or a Stream
    path : where the file goes. What is there is replaced in one step: a reader finds the old file or the new one, and
        when the call returns the new one survives a loss of power.

    Examples
    --------
    >>> import tempfile
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(300, random_state=0), width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, y)
    >>> path = tempfile.mkdtemp() + "/ou.usp"
    >>> save(model, path)
    >>> bool((load(path).predict(X) == model.predict(X)).all())
    True
    """
    snapshot.write(path, *packed(model))


def load(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Any:
    """What :func:`save` wrote to ``path``.

    Parameters
    ----------
    limit : int
        Bytes the file may have, by default 1 GiB.

    Returns
    -------
    The estimator or stream, as it stood.

    Raises
    ------
    SnapshotError
        If the file is damaged, too large, too new or no snapshot. Nothing of it is used then.
    """
    read = snapshot.read(path, limit=limit)
    try:
        return _built(read)
    except SnapshotError as error:
        raise SnapshotError(f"{os.fspath(path)} can't be loaded: {error}.") from error


def checkpoint(stream: Stream, folder: str | os.PathLike[str], keep: int = 5) -> None:
    """Add a snapshot of ``stream`` to ``folder`` and keep the newest ``keep`` of them.

    Returns when the snapshot survives a loss of power. Estimators may be given as well.
    """
    Store(folder, keep).save(*packed(stream))


def restore(folder: str | os.PathLike[str], *, limit: int = LIMIT) -> Any:
    """The newest valid snapshot in ``folder``.

    Newer ones that are damaged are passed over with a :class:`SnapshotWarning` that names them; a
    :class:`SnapshotError` says so if there is none at all.

    Examples
    --------
    >>> import tempfile
    >>> from usp_sklearn import LevyPredictor, Stream, datasets, sliding_window
    >>> series = datasets.make_ou(310, random_state=0)
    >>> X, y = sliding_window(series[:300], width=16, season=None, averages=None)
    >>> stream = Stream(LevyPredictor(width=16).fit(X, y), series[:300])
    >>> folder = tempfile.mkdtemp()
    >>> checkpoint(stream, folder)
    >>> again = restore(folder)
    >>> bool(again.push(series[300]).median() == stream.push(series[300]).median())
    True
    """
    return Store(folder, limit=limit).load(_built)


# ------------------------------------------------------------------ to data


def packed(model: Any) -> tuple[Content, Arrays]:
    """Content and arrays of a snapshot of ``model``."""
    arrays: Arrays = {}
    if type(model) is Stream:
        buffer, stream = packed_buffer(model.buffer, arrays), _attributes(model, model.saved, STREAM, arrays)
        step = likeness(stream["engine"], buffer, {k: stream[k] for k in ("settings", "slope", "shift")}, arrays)
        return {"stream": stream, "buffer": buffer, "step": step}, arrays
    name = type(model).__name__
    if CLASSES.get(name) is not type(model):
        raise TypeError(_refusal(model))
    check_is_fitted(model)
    held = dict(vars(model))
    # Callbacks watch a fit; they are no part of the model.
    held.pop("_skl_callbacks", None)
    params = {p: held.pop(p) for p in model.get_params(deep=False)}
    if "random_state" in params and not isinstance(params["random_state"], int | np.integer | None):
        raise TypeError(
            f"The 'random_state' parameter of {name} must be an int or None for the model to be saved. Got "
            f"{params['random_state']!r} instead. It was only used in fit: set_params(random_state=None) lets go of it."
        )
    if isinstance(held.get("state_"), Engine):
        held["state_"] = held["state_"].saved
    if "feature_names_in_" in held:
        held["feature_names_in_"] = [str(v) for v in held["feature_names_in_"]]
    content = {"estimator": name, "params": {k: pack(v, f"params/{k}", arrays, TABLE) for k, v in params.items()}}
    return content | {"fitted": _attributes(model, held, FITTED[name], arrays)}, arrays


def _attributes(model: Any, held: dict[str, Any], known: tuple[str, ...], arrays: Arrays) -> dict[str, Any]:
    if unknown := sorted(set(held) - set(known)):
        raise TypeError(f"A snapshot of {type(model).__name__} has no place for its attributes {unknown}.")
    return {k: pack(v, k, arrays, TABLE) for k, v in held.items()}


def _refusal(model: Any) -> str:
    known = ", ".join((*CLASSES, "Stream"))
    advice = {
        "JKOEnsemble": " Its regressors may be of any class, for which there is no safe format: use pickle for files "
        "that nobody else can write, or a JKOPredictor.",
        "Pipeline": " Save the predictor at its end, or a Stream of the whole pipeline, which knows its scalers.",
    }
    what = model.__name__ if isinstance(model, type) else type(model).__name__
    return f"The 'model' parameter of save must be one of {known}. Got {what} instead.{advice.get(what, '')}"


# ------------------------------------------------------------------ from data


def _built(read: Snapshot) -> Any:
    content, arrays, written = read
    made: Any
    try:
        made = _stream(content, arrays) if "stream" in content else _estimator(content, arrays)
    except SnapshotError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise SnapshotError(f"its content makes no sense ({type(error).__name__}: {error})") from error
    other = [f"{k} {written[k]} (now {v})" for k, v in snapshot.versions() if written.get(k, v) != v]
    if other:
        warnings.warn(
            f"The snapshot was written with {', '.join(other)}: its next laws may differ in their last digits.",
            SnapshotWarning,
            stacklevel=3,
        )
    return made


def _estimator(content: Content, arrays: Arrays) -> BaseEstimator:
    name = content["estimator"]
    if name not in CLASSES:
        raise SnapshotError(f"it holds a {name!r:.80}, which this version of the library does not know")
    model = CLASSES[name]()
    params = {k: unpack(v, arrays, TABLE) for k, v in content["params"].items()}
    if set(params) != set(model.get_params(deep=False)):
        raise SnapshotError(f"it holds a {name} with the parameters {sorted(params)}")
    model.set_params(**params)
    fitted = {k: unpack(v, arrays, TABLE) for k, v in content["fitted"].items()}
    _complete(name, fitted, FITTED[name], optional=frozenset({"feature_names_in_"}))
    if "feature_names_in_" in fitted:
        fitted["feature_names_in_"] = np.asarray([str(v) for v in fitted["feature_names_in_"]], dtype=object)
    if name != "JKOAggregator":
        fitted["state_"] = _held(name, fitted["state_"])
        if not isinstance(fitted["_history"], Telemetry):
            raise SnapshotError(f"it holds a {name} without a state")
        _consistent(name, fitted["state_"], fitted["n_features_in_"])
    vars(model).update(fitted)
    return model


def _stream(content: Content, arrays: Arrays) -> Stream:
    held = {k: unpack(v, arrays, TABLE) for k, v in content["stream"].items()}
    _complete("Stream", held, STREAM)
    buffer: WindowBuffer = built_buffer(content["buffer"], arrays)
    held["engine"] = _held("Stream", held["engine"])
    stream = Stream.restored(held, buffer)
    _consistent("Stream", stream.engine_, buffer.n_features)
    wide = stream.engine_.shape.form.output.size
    if any(np.shape(row) != (wide,) for row in (stream._now.row, stream._now.basis)):
        raise SnapshotError("it holds a Stream whose last step is not of its state's size")
    return stream


def _complete(name: str, held: dict[str, Any], known: tuple[str, ...], optional: Set[str] = frozenset()) -> None:
    if not set(known) - optional <= set(held) <= set(known):
        raise SnapshotError(f"it holds a {name} with the attributes {sorted(held)}")


def _held(name: str, saved: Any) -> Engine:
    if not isinstance(saved, Saved) or not isinstance(saved.layout, Layout):
        raise SnapshotError(f"it holds a {name} without a state")
    return engine.held(*saved)


def _consistent(name: str, engine: Engine, columns: int) -> None:
    """The state belongs to rows of ``columns`` columns."""
    layout = engine.shape.layout
    if layout.n_exog + layout.n_level + layout.width != columns:
        raise SnapshotError(f"it holds a {name} whose state is for rows of other than {columns} columns")
