"""Branch B: Deep Galerkin solvers, the Kolmogorov predictive law, and the branch built on them."""

from .branch import State, branch, monitor
from .watch import Watch, entropy_difference, variance_ratio

__all__ = ["State", "Watch", "branch", "entropy_difference", "monitor", "variance_ratio"]
