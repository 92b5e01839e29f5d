"""scikit-learn's callbacks around our own loops: each fold or trial is a task of one "fit".

The protocol (``sklearn.callback``: ProgressBar, ScoringMonitor, anything with the hooks of ``FitCallback``) is new in
scikit-learn 1.9 and experimental there, so it is only imported where callbacks are given. Hooks are called in the
calling process. A hook ``on_fit_task_end`` that returns True ends the loop after its task.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sklearn.base import BaseEstimator, clone, is_regressor


class Silent:
    """Tasks that nobody watches."""

    def fitting(self, task: Any, model: Any) -> AbstractContextManager[None]:
        """Around the fit of a model in a task."""
        return nullcontext()

    def begin(self, name: str, X: Any = None, y: Any = None) -> None:
        """A task begins."""

    def end(self, task: Any, X: Any = None, y: Any = None, model: Any = None) -> bool:
        """A task has ended; whether the loop should end too."""
        return False


class Watched:
    """Tasks whose begin and end are told to callbacks."""

    def __init__(self, runner: Any, root: Any) -> None:
        self.runner, self.root = runner, root

    def fitting(self, task: Any, model: Any) -> AbstractContextManager[None]:
        """Hand callbacks that ask for it (progress bars do) on to a model that takes them, while it is fitted."""
        if not hasattr(model, "set_callbacks"):
            return nullcontext()
        handed: AbstractContextManager[None] = task.propagate_callback_context(model)
        return handed

    def begin(self, name: str, X: Any = None, y: Any = None) -> Any:
        """Tell the callbacks that a task called ``name`` begins."""
        return self.root.subcontext(task_name=name).call_on_fit_task_begin(estimator=self.runner, X=X, y=y)

    def end(self, task: Any, X: Any = None, y: Any = None, model: Any = None) -> bool:
        """Tell them that it ended, with the model as it then stands where there is one."""
        held = None if model is None else {"model_": model}
        return bool(task.call_on_fit_task_end(estimator=self.runner, X=X, y=y, reconstruction_attributes=held))


def run_tasks(
    name: str,
    estimator: Any,
    callbacks: Any,
    count: int,
    body: Callable[[Any], Any],
) -> Any:
    """``body(tasks)``, with ``tasks.begin`` and ``tasks.end`` called ``count`` times at most.

    Parameters
    ----------
    name : what the loop is called; callbacks see it as the root task.
    callbacks : a callback, a sequence of them, or None.
    """
    given = () if callbacks is None else tuple(callbacks) if isinstance(callbacks, Sequence) else (callbacks,)
    if not given:
        return body(Silent())
    return _runner_class(name, type(estimator).__name__)(estimator).set_callbacks(*given).run(name, count, body)


def _runner_class(name: str, estimator_name: str) -> Any:
    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks
    except ImportError as error:
        raise ImportError(f"The 'callbacks' parameter of {name} needs sklearn.callback (scikit-learn 1.9).") from error

    class Runner(CallbackSupportMixin, BaseEstimator):
        """The estimator as callbacks see it: they can score ``model_``, the model of the task that has ended."""

        def __init__(self, estimator: Any = None) -> None:
            self.estimator = estimator

        def fit(self, X: Any, y: Any) -> Any:
            self.model_ = clone(self.estimator).fit(X, y)
            return self

        def __getattr__(self, attribute: str) -> Any:
            if attribute.startswith("predict") or attribute == "score":
                return getattr(self.__dict__.get("model_", self.__dict__["estimator"]), attribute)
            raise AttributeError(attribute)

        @with_callbacks
        def run(self, task: str, count: int, body: Callable[[Any], Any]) -> Any:
            root = self._init_callback_context(task_name=task, max_subtasks=count)
            root.call_on_fit_task_begin(estimator=self)
            out = body(Watched(self, root))
            root.call_on_fit_task_end(estimator=self)
            return out

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.estimator_type = "regressor" if is_regressor(self.estimator) else None
            return tags

    # Progress bars show the class's name.
    Runner.__name__ = estimator_name
    return Runner
