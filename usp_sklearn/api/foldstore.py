"""A folder of finished folds, so that a walk that was stopped goes on: arrays and JSON, nothing that is executed.

    run.json          what the run is (:mod:`usp_sklearn.api.fingerprint`)
    fold-0003.npz     forecasts of a fold
    model-0003.usp    where folds share a model: how it stood after that fold (:mod:`usp_sklearn.api.persistence`)

Every file is whole or absent, whenever a process ends.
"""

import io
import json
import os
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..io import durable
from ..io.schema import SnapshotError
from .fingerprint import Description, differences
from .persistence import load, save


class Forecast(NamedTuple):
    """What is kept of a fold."""

    number: int
    quantiles: NDArray[np.float64]
    """(n, q) or (n, H, q) forecasts of its test rows, in the unit of the series."""
    seconds: float


class FoldStore:
    """Finished folds in ``folder``, which is made; a folder of another run is refused with what differs.

    Parameters
    ----------
    folder : path
    run : what the run is, as plain JSON.
    owner : the function to name in errors.
    """

    def __init__(self, folder: str | os.PathLike[str], run: Description, owner: str) -> None:
        self.folder = Path(folder)
        stamp = self.folder / "run.json"
        durable.make_folder(self.folder)
        if stamp.exists():
            before = json.loads(stamp.read_text(encoding="utf-8"))
            if found := differences(before, json.loads(json.dumps(run))):
                raise ValueError(
                    f"The 'resume' parameter of {owner} must be a new folder or that of the same run. "
                    f"Got {self.folder} instead, whose run is another: {'; '.join(found)}."
                )
        else:
            durable.replace(stamp, json.dumps(run, indent=1, ensure_ascii=False).encode())

    def keep(self, forecast: Forecast) -> None:
        """Add a finished fold."""
        data = io.BytesIO()
        np.savez(data, quantiles=forecast.quantiles, seconds=np.float64(forecast.seconds))
        durable.replace(self._fold(forecast.number), data.getvalue())

    def finished(self, number: int) -> Forecast | None:
        """The fold ``number`` if it is there; a damaged file counts as absent, with a warning."""
        path = self._fold(number)
        try:
            with np.load(path, allow_pickle=False) as held:
                return Forecast(number, held["quantiles"], float(held["seconds"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path} is damaged ({error}): its fold is forecast again.", stacklevel=2)
            return None

    def keep_model(self, number: int, model: Any, before: int | None = None) -> None:
        """Add the model as it stands after fold ``number``, if it has a safe format; that after ``before`` goes.

        Pipelines and ensembles of foreign regressors have none: their folds are walked again up to where they were.
        """
        with suppress(TypeError):
            save(model, self._model(number))
            if before is not None:
                self._model(before).unlink(missing_ok=True)

    def model(self, number: int) -> Any:
        """The model as it stood after fold ``number``, or None."""
        path = self._model(number)
        try:
            return load(path) if path.exists() else None
        except SnapshotError as error:
            warnings.warn(f"{error} Its folds are walked again.", stacklevel=2)
            return None

    def _fold(self, number: int) -> Path:
        return self.folder / f"fold-{number:04d}.npz"

    def _model(self, number: int) -> Path:
        return self.folder / f"model-{number:04d}.usp"
