"""What each part of the ensemble is worth: members' laws are stored once, the orchestration is replayed over them.

    python benchmarks/ablation.py --split synth_public
    python benchmarks/ablation.py --split public --ids energy_load_rte --variants "without A" "all flows reset"

A variant leaves out a branch, a member or the stack, or changes how alarms, calibration, geometry or the emergency rule
act. Its score is that of the last 40 % of every series against the full ensemble's, in per cent: above zero, the part
is worth having. With --laws, members' laws are kept in a folder and read from there: right while the code is the same.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common
from benchmarks.accuracy import WIDTH
from usp_sklearn import JKOPredictor, sliding_window
from usp_sklearn.core import calibration, engine, flows, orchestrator, pipeline, programs, stack
from usp_sklearn.kernels.law import LEVELS, Law
from usp_sklearn.runtime import precision

CHUNK, PAD = 512, 1024


class Stored(NamedTuple):
    """Laws of all members but the stack along a series (T, M, K), who took part, alarms, emergencies, outcomes, last
    values."""

    q: np.ndarray
    alive: np.ndarray
    alarm: np.ndarray
    emergency: np.ndarray
    y: np.ndarray
    last: np.ndarray


class Variant(NamedTuple):
    """What differs from the full ensemble."""

    branches: str = "ABCD"
    without: str = ""
    stack: bool = True
    resets: tuple[bool, ...] | None = None
    rate: float = calibration.RATE
    firm: bool = True
    geometry: str = "graph"
    emergency: str = "off"
    rounds: tuple[float, float] = calibration.INNER


VARIANTS = {
    "full": Variant(),
    **{f"without {b}": Variant(branches="ABCD".replace(b, "")) for b in "ABCD"},
    **{f"{b} alone": Variant(branches=b) for b in "ABCD"},
    "no stack": Variant(stack=False),
    "all flows reset": Variant(resets=(True,) * flows.N_FLOWS),
    "no reset": Variant(resets=(False,) * flows.N_FLOWS),
    "no calibration": Variant(rate=0.0),
    "no James-Stein": Variant(firm=False),
    "no rounding": Variant(rounds=(0.5, 0.5)),
    "every level rounded": Variant(rounds=(0.0, 1.0)),
    "sinkhorn": Variant(geometry="sinkhorn"),
    "emergency tilt": Variant(emergency="tilt"),
    "emergency force": Variant(emergency="force"),
}
MEMBERS = {f"without {m}": Variant(without=m) for m in JKOPredictor.MEMBERS}


@partial(jax.jit, static_argnums=0)
def _capture(spec: pipeline.Spec, params: Any, state: pipeline.State, raw: Any, y: Any, n: Any) -> Any:
    def body(state: pipeline.State, item: Any) -> Any:
        row, target = item
        prepared = pipeline.prepare(spec, params, row)
        members, alive, issued = pipeline.law_of(spec, params, state, prepared)
        state, _ = pipeline.issue(spec, params, state, prepared)
        state, record = pipeline.learn(spec, params, state, target)
        own = len(spec.own)
        return state, (members.q[:own], alive[:own], record.regime_changed, issued.emergency)

    def guarded(state: pipeline.State, item: Any) -> Any:
        index, *rest = item
        shape = jax.eval_shape(lambda s: body(s, rest)[1], state)
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
        return jax.lax.cond(index < n, lambda s: body(s, rest), lambda s: (s, nothing), state)

    return jax.lax.scan(guarded, state, (jnp.arange(y.shape[0]), raw, y))


def capture(y: np.ndarray, season: int | None, known: int) -> Stored:
    """Fit as :func:`engine.fit` does on the ``known`` first rows, then walk all rows and keep what members said."""
    X, target = sliding_window(y, width=WIDTH, season=season, horizon=1)
    model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0)
    layout, params = model._layout(WIDTH, 1), model._params()
    spec = engine.spec(layout)
    head = slice(max(0, known // 2 - engine.FIT_ROWS[-1]), known // 2)
    rows = engine.bucket(head.stop - head.start, engine.FIT_ROWS)
    mask, outcome = np.arange(rows) < head.stop - head.start, np.resize(target[head], rows)
    # The seed that the estimator draws, so that its nets start alike.
    seed = np.int64(check_random_state(model.random_state).randint(np.iinfo(np.int32).max))
    state = programs.fit(pipeline, spec, params, engine.raw(layout, X[head], rows), outcome, mask, seed, np.int32(1))
    parts = []
    for start in range(0, len(X), CHUNK):
        part = slice(start, start + CHUNK)
        count = len(X[part])
        raw = engine.raw(layout, X[part], CHUNK)
        state, out = _capture(spec, params, state, raw, np.resize(target[part], CHUNK), np.int32(count))
        parts.append(jax.tree.map(lambda x, count=count: np.asarray(x)[:count], out))
    return Stored(*jax.tree.map(lambda *x: np.concatenate(x), *parts), target, X[:, -1])


@contextmanager
def _patched(variant: Variant) -> Iterator[None]:
    resets = np.array(variant.resets if variant.resets is not None else flows.RESETS)
    # Without the James-Stein factor: noise of zero variance is told to the shift.
    apply = calibration.apply if variant.firm else lambda s, q, rate: calibration.apply(s, q, 0.0)
    with mock.patch.object(flows, "RESETS", resets), mock.patch.object(_Stage, "apply", staticmethod(apply)):
        yield


class _Stage:
    """The calibration step of a replay, by name so that a variant can change it."""

    apply = staticmethod(calibration.apply)


@partial(jax.jit, static_argnames="variant")
def _replay(stored: Stored, params: Any, prior: Any, of_d: Any, variant: Variant) -> Any:
    nobody = orchestrator.Orchestrator(*[None] * len(orchestrator.Orchestrator._fields))

    def step(carry: Any, item: Stored) -> Any:
        flow, stacking, shift, grid = carry
        q, alive = item.q, item.alive
        if variant.stack:
            plain = Law(q, jnp.zeros((len(q), 2)), jnp.zeros((len(q), 2)))
            law, alive = orchestrator.stacked(nobody._replace(stack=stacking), plain, alive, item.last)
            q = law.q
        w = flows.weights(flow, alive)
        if variant.emergency != "off":
            tilted = jnp.where(of_d > 0, orchestrator.TILT, 1.0)[:, None] * w
            moved = tilted if variant.emergency == "tilt" else jnp.broadcast_to(of_d[:, None], w.shape)
            w = jnp.where(item.emergency, moved / moved.sum(0), w)
        calibrated = _Stage.apply(shift, jnp.sort((w * q).sum(0)), variant.rate)
        out = calibration.round_about(calibration.grid_step(grid), item.last, calibrated, inner=variant.rounds)
        flow = flows.update(
            flow, q, item.y, params.tau, params.lam, params.epsilon, 1.0, variant.geometry, active=alive
        )
        flow = flows.reset(flow, item.alarm, variant.geometry)
        if variant.stack:
            stacking = stack.update(stacking, item.q, item.alive, item.y, last=item.last)
        shift = calibration.update(shift, calibrated, item.y, variant.rate)
        return (flow, stacking, shift, calibration.observe(grid, item.y)), out

    stacking = stack.init(stored.q.shape[1], stored.q.dtype) if variant.stack else None
    start = flows.init(prior), stacking, calibration.init(), calibration.init_grid()
    return jax.lax.scan(step, start, stored)[1]


def replay(stored: Stored, variant: Variant) -> np.ndarray:
    """Quantiles (T, 25) that the variant issues along the series."""
    model = JKOPredictor()
    spec = engine.spec(model._layout(WIDTH, 1))
    kept = [i for i, (b, m) in enumerate(spec.own) if b in variant.branches and f"{b}.{m}" != variant.without]
    spec = spec._replace(own=tuple(spec.own[i] for i in kept), stack=variant.stack and len(kept) > 1)
    part = stored._replace(q=stored.q[:, kept], alive=stored.alive[:, kept])
    of_d = np.array([float(b == "D") for b, _ in spec.members])
    # What comes after the end is cut off again: few lengths, few compilations. Who takes part costs none.
    length = len(stored.y)
    padded = jax.tree.map(lambda x: x[np.minimum(np.arange(-(-length // PAD) * PAD), length - 1)], part)
    shape = variant._replace(branches="", without="", stack=spec.stack)
    with _patched(variant), precision():
        out = _replay(padded, model._params(), orchestrator._prior(spec), of_d, shape)
    return np.asarray(out)[:length]


def _laws(folder: Path | None, series: str, *args: Any) -> Stored:
    """:func:`capture`, once per series and ``folder``."""
    file = None if folder is None else folder / f"{series}.npz"
    if file is not None and file.exists():
        with np.load(file) as known:
            return Stored(**known)
    stored = capture(*args)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **stored._asdict())
    return stored


def one_series(job: tuple[str, str, str, Path | None, tuple[str, ...]]) -> tuple[str, dict[str, float]]:
    """Mean pinball loss of each variant on one series."""
    series, split, bench, folder, wanted = job
    scorer = common.load_scorer(Path(bench))
    data, meta = scorer.load(split)
    y, first = data[series], scorer.first_test(len(data[series]))
    season = int(meta.loc[series, "season"])
    with precision():
        stored = _laws(folder, series, y, season if season > 1 and 3 * season < first else None, first - WIDTH)
    at = [int(np.argmin(np.abs(LEVELS - u))) for u in scorer.LEVELS]
    test = slice(first - WIDTH, None)
    every = VARIANTS | MEMBERS
    return series, {v: scorer.pinball(stored.y[test], replay(stored, every[v])[test][:, at]).mean() for v in wanted}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="synth_public")
    parser.add_argument("--ids", nargs="*", help="only these series")
    parser.add_argument("--variants", nargs="*", choices=[*VARIANTS, *MEMBERS], default=[*VARIANTS, *MEMBERS])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--laws", type=Path, help="folder to keep the members' laws in")
    parser.add_argument("--bench", help="folder with score.py and the data (default: $USP_BENCH, ../shared/bench)")
    args = parser.parse_args()
    bench = common.bench_path(args.bench)
    ids = [u for u in common.load_scorer(bench).load(args.split)[0] if not args.ids or u in args.ids]
    wanted = tuple(dict.fromkeys(["full", *args.variants]))
    folder = None if args.laws is None else args.laws / args.split
    with common.pool(args.jobs, common.RESULTS / ".xla-cache") as pool:
        rows = dict(pool.map(one_series, [(u, args.split, str(bench), folder, wanted) for u in ids]))
    losses = pd.DataFrame(rows).T
    change = np.log(losses.div(losses["full"], axis=0))
    print(f"{len(losses)} series of {args.split}: change of the score against the full ensemble, %")
    table = pd.DataFrame({"mean %": 100 * np.expm1(change.mean()), "worse on": (change > 0).sum()}).round(3)
    for part in (VARIANTS, MEMBERS):
        if shown := [v for v in wanted if v in part and v != "full"]:
            print(table.loc[shown].to_string(), end="\n\n")


if __name__ == "__main__":
    main()
