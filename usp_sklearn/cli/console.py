"""What a person at the terminal sees: remarks and progress on stderr, so that stdout stays data."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Bar(Protocol):
    """Progress of one task."""

    def say(self, what: str) -> None:
        """What is being done."""

    def of(self, total: int) -> None:
        """How many steps there will be."""

    def advance(self, steps: int = 1) -> None:
        """Steps done."""


class Talk:
    """Remarks and progress bars, or silence."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)

    def say(self, text: str) -> None:
        """One remark, as it stands: nothing in it is markup."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Bar]:
        """A bar that lives for a block; without a terminal nothing is drawn."""
        columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        shown = self.console.is_terminal and not self.console.quiet
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True, disable=not shown) as bars:
            yield _Bar(bars, bars.add_task(what, total=total))


class _Bar:
    def __init__(self, bars: Progress, task: Any) -> None:
        self.bars, self.task = bars, task

    def say(self, what: str) -> None:
        self.bars.update(self.task, description=what)

    def of(self, total: int) -> None:
        self.bars.update(self.task, total=total)

    def advance(self, steps: int = 1) -> None:
        self.bars.advance(self.task, steps)
