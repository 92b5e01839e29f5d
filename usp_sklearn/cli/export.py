"""``usp export``: a trained model, and where its stream stands, for other languages."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..api.persistence import load
from ..api.stream import Stream
from . import options as o
from .console import Talk
from .passes import fitted_stream

SAVED = ".usp"


class Format(StrEnum):
    """What runs the artefact."""

    native = "native"
    savedmodel = "savedmodel"
    stablehlo = "stablehlo"
    onnx = "onnx"


@o.spread
def export(
    source: Annotated[Path, typer.Argument(help="CSV or Parquet file to fit on, or a saved stream, .usp.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    reading: o.Reading,
    modelling: o.Modelling,
    format: Annotated[Format, typer.Option(help="Shared library, TensorFlow, PJRT or ONNX.")] = Format.native,
    name: Annotated[str, typer.Option(help="What the artefact calls itself.")] = "model",
    levels: Annotated[str | None, typer.Option(help="Quantile levels, between commas (default: 25).")] = None,
    dtype: Annotated[str, typer.Option(help="What crosses the border: float64 or float32.")] = "float64",
    quiet: o.Quiet = False,
) -> None:
    """Write a model for C, C++, Java, Go, Rust, Node, TensorFlow or a browser; all but ONNX go on learning there."""
    from ..export import export_model

    talk = Talk(quiet)
    if source.suffix.lower() == SAVED:
        stream = load(source)
        if not isinstance(stream, Stream):
            raise ValueError(f"{source} holds a {type(stream).__name__}, not a stream.")
    else:
        rows = modelling.rows(reading.table(source, talk), o.SHARE)
        with talk.progress(f"fitting on {len(rows.X):,} rows"):
            stream = fitted_stream(rows, modelling.estimator(rows.windows))
    start = time.perf_counter()
    wanted = None if levels is None else o.levels_of(levels)
    with talk.progress(f"writing {format}"):
        export_model(stream, folder, format.value, quantiles=wanted, dtype=dtype, name=name)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    talk.say(f"written: {folder}, {size / 1e6:.1f} MB in {time.perf_counter() - start:.1f} s")
