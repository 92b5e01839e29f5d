"""Branch C: jump diffusion. The branch, its density solver, path simulator and calibration."""

from .branch import branch

__all__ = ["branch"]
