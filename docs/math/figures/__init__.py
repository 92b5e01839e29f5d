"""Figures of the mathematics pages: one module per page, ``draw()`` returns the figure, ours over its oracle."""
