"""What shapes a compiled program."""

from typing import NamedTuple

from ..kernels.contract import Config

EXPERTS, STACK = "E", "S"
"""Names that stand for a branch where members come from outside, and where one is made of all others."""


class Spec(NamedTuple):
    """Everything that shapes a compiled program; hyper-parameters are not here, they are arrays in Params."""

    config: Config
    own: tuple[tuple[str, str], ...]
    """(branch, member) names of the members that take part, in the registry's order"""
    queue: int
    geometry: str
    pooling: str
    experts: int = 0
    """members whose quantiles come with the rows"""
    stack: bool = False
    """whether a regression on all others is one member more"""

    @property
    def branches(self) -> tuple[str, ...]:
        """Branches that take part, in order."""
        return tuple(dict.fromkeys(b for b, _ in self.own))

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """(branch, member) names in the order of the stacked laws: branches' own, experts, the stack."""
        experts = tuple((EXPERTS, str(i)) for i in range(self.experts))
        return self.own + experts + (((STACK, STACK),) if self.stack else ())

    def of(self, branch: str) -> Config:
        """What ``branch`` is made for."""
        return self.config._replace(members=tuple(m for b, m in self.own if b == branch))
