"""The model of fake_native.c once more, as SavedModels: fake_savedmodel.py FOLDER DTYPE [FOLDER DTYPE ...].

Each folder then holds a whole model of format savedmodel with the same state, so that streams can move between them.
The one of double precision also has a step over the state in pieces.
"""

import json
import sys
from pathlib import Path

import fake_model
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl


class Fake(tf.Module):
    """``predict`` and ``step`` of the hand-written model; all but the state enters and leaves as ``dtype``."""

    def __init__(self, dtype: tf.DType) -> None:
        super().__init__()
        real = tf.float64

        def law(centre: tf.Tensor, scale: tf.Tensor, telemetry: tf.Tensor) -> dict[str, tf.Tensor]:
            steps, n = tf.constant([1.0, 2.0], real), tf.shape(centre)[0]
            normal = tf.constant([-2.5, -0.7, 0.0, 0.7, 2.5], real)
            parts = {
                "quantiles": centre[:, None, None] + steps[:, None] * normal * scale,
                "mean": centre[:, None] + steps - 1.0,
                "tails": tf.tile(tf.constant([[[0.5, 0.75, 0.125, 0.25]]], real), [n, 2, 1]),
                "weights": tf.tile(tf.constant([[[0.5, 0.25, 0.125, 0.125]]], real), [n, 2, 1]),
                "telemetry": telemetry,
            }
            return {name: tf.cast(value, dtype) for name, value in parts.items()}

        @tf.function(input_signature=[tf.TensorSpec([None, 3], dtype, name="rows")])
        def predict(rows: tf.Tensor) -> dict[str, tf.Tensor]:
            x = tf.cast(rows, real)
            size = tf.fill([tf.shape(x)[0]], tf.cast(tf.shape(x)[0], real))
            centre = tf.linalg.matvec(x, tf.constant([1.0, 2.0, 3.0], real))
            return law(centre, tf.constant(1.0, real), tf.stack([x[:, 0], size], 1))

        @tf.function(input_signature=[tf.TensorSpec([4], real, name="state"), tf.TensorSpec([2], dtype, name="y")])
        def step(state: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
            y = tf.cast(y, real)
            miss = y[0] - state[0]
            average, variance = state[0] + 0.25 * miss, 0.75 * (state[1] + 0.25 * miss * miss)
            nothing = tf.constant(float("nan"), real)
            issued = law((average + y[1])[None], 1.0 + tf.sqrt(variance), tf.stack([state[2] + 1.0, nothing])[None])
            return {"state": tf.stack([average, variance, state[2] + 1.0, y[1]])} | {k: v[0] for k, v in issued.items()}

        @tf.function(
            input_signature=[
                tf.TensorSpec([2, 1], real, name="state_0"),
                tf.TensorSpec([2], real, name="state_1"),
                tf.TensorSpec([2], dtype, name="y"),
            ]
        )
        def step_pieces(state_0: tf.Tensor, state_1: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
            out = step(tf.concat([state_0[:, 0], state_1], 0), y)
            state = out.pop("state")
            return out | {"state_0": state[:2, None], "state_1": state[2:]}

        self.served = {"predict": predict, "step": step}
        if dtype == real:
            self.served["step_pieces"] = step_pieces


PIECES = [{"name": "state_0", "offset": 0, "shape": [2, 1]}, {"name": "state_1", "offset": 2, "shape": [2]}]


def main(folder: Path, dtype: str) -> None:
    """Writes the folder."""
    model = Fake(tf.as_dtype(dtype))
    tf.saved_model.save(model, str(folder), signatures=model.served)
    (folder / "state.bin").write_bytes(fake_model.STATE)
    definitions = loader_impl.parse_saved_model(str(folder)).meta_graphs[0].signature_def
    names = {
        signature: {
            side: {key: tensor.name for key, tensor in getattr(definitions[signature], side).items()}
            for side in ("inputs", "outputs")
        }
        for signature in model.served
    } | {"pieces": PIECES if "step_pieces" in model.served else []}
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    manifest = fake_model.manifest(files) | {"format": "savedmodel", "dtype": dtype, "tensorflow": names}
    del manifest["native"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    for where, precision in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        main(Path(where), precision)
