"""Optuna underneath :func:`tune`: storage without pickles, and trials that do not depend on where a study was stopped.

Optuna is the extra "tune" and imported here only when a search begins.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .fingerprint import Description, differences

NAME = "tune"


def library() -> Any:
    """The module ``optuna``, or an error that says how to get it."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError("tune needs Optuna. Install it with: pip install 'usp-sklearn[tune]'") from error
    return optuna


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Optuna's notes on new studies are left out; warnings stay."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def stored(storage: str | os.PathLike[str] | None) -> Any:
    """Optuna's storage for a path (a journal of JSON lines), a URL ("sqlite:///…") or nothing (memory)."""
    optuna = library()
    if storage is None:
        return None
    text = os.fspath(storage)
    if "://" in text:
        return optuna.storages.RDBStorage(text)
    path = Path(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_torn_line(path)
    backend = optuna.storages.journal
    # Symbolic links, the default lock, need a privilege on Windows.
    lock = backend.JournalFileOpenLock(text) if os.name == "nt" else None
    return optuna.storages.JournalStorage(backend.JournalFileBackend(text, lock_obj=lock))


def opened(storage: Any, seed: int, start: dict[str, Any], pruner: Any) -> Any:
    """The study in ``storage``, new or as it was left."""
    optuna = library()
    given = {"storage": storage, "study_name": NAME, "sampler": _sampler(seed, start), "pruner": pruner}
    # Asked first, as an attempt to create what exists would leave a line in the journal.
    if storage is not None and NAME in optuna.get_all_study_names(storage=storage):
        return optuna.load_study(**given)
    return optuna.create_study(direction="maximize", **given)


def same_run(study: Any, run: Description, storage: Any) -> None:
    """Write into a new study what the search is; refuse a study of another one."""
    now = json.loads(json.dumps(run))
    if "run" not in study.user_attrs:
        study.set_user_attr("run", now)
    elif found := differences(study.user_attrs["run"], now):
        raise ValueError(
            "The 'storage' parameter of tune must be new or that of the same search. "
            f"Got {os.fspath(storage)} instead, whose search is another: {'; '.join(found)}."
        )


def settle(study: Any) -> None:
    """Mark trials that never finished as failed: whoever ran them was killed."""
    state = library().trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(state.RUNNING, state.WAITING)):
        study.tell(trial.number, state=state.FAIL)


def finished(study: Any) -> list[Any]:
    """Trials that ended by themselves, completed or pruned, in their order."""
    state = library().trial.TrialState
    return list(study.get_trials(deepcopy=False, states=(state.COMPLETE, state.PRUNED)))


def _sampler(seed: int, start: dict[str, Any]) -> Any:
    """TPE whose random numbers depend on the seed and on how many trials are finished, and on nothing else.

    A sampler that lives through a study carries a state that a new process does not have; one made afresh for every
    trial gives the same trial whether the ones before it ran in this process or not. The first trial is ``start``.
    """
    optuna = library()

    class TrialwiseTPE(optuna.samplers.BaseSampler):  # type: ignore[name-defined]
        def _now(self, study: Any) -> tuple[int, Any]:
            place = len(finished(study))
            number = np.random.SeedSequence([seed, place]).generate_state(1)[0]
            return place, optuna.samplers.TPESampler(seed=int(number))

        def before_trial(self, study: Any, trial: Any) -> None:
            self._place, self._tpe = self._now(study)
            self._tpe.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self._tpe.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self._tpe.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            if self._place == 0 and _holds(param_distribution, start.get(param_name)):
                return start[param_name]
            return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    return TrialwiseTPE()


def _holds(distribution: Any, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def _drop_torn_line(path: Path) -> None:
    """Remove what a killed process may have left of a last line: Optuna would append to it and read neither."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
