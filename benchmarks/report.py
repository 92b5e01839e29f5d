"""Tables of an accuracy run beside the stored peers, and the acceptance rows it settles."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from benchmarks import significance

# The strongest stored peer, and the stored combinations whose better one is the other opponent in the tests.
SINGLE, COMBINATIONS = "lgbm_q", ("comb_fixedshare_core7", "comb_boa_top4")
ALPHA = 0.05

# Rows of known laws: processes, floor and aim of the excess over the ideal score.
KNOWN_LAWS = {
    "α-stable walk": (("stable_walk",), 0.01, 0.003),
    "fGn H = 0.2, 0.8": (("fgn_H0.2", "fgn_H0.8"), 0.018, 0.01),
    "double well, OU": (("double_well", "ou"), 0.02, 0.007),
    "Merton, GARCH-t": (("merton", "garch_t"), 0.013, 0.005),
    "regime switch in mean": (("rs_mean",), 0.02, 0.007),
    "regime switch in variance": (("rs_var",), 0.015, 0.005),
}


def row(what: str, value: float, floor: float, aim: float, *, more_is_better: bool = False) -> str:
    """One acceptance row: the number, what is asked, and whether it is there."""
    sign = -1 if more_is_better else 1
    verdict = "aim" if sign * value <= sign * aim else "floor" if sign * value <= sign * floor else "MISSED"
    return f"  {what:<58} {value:9.4f}   floor {floor:g}   aim {aim:g}   {verdict}"


def _merge(folder: Path, ids: list[str]) -> tuple[pd.DataFrame, dict[str, list[float]], pd.DataFrame]:
    parts, times, weights = [], {}, {}
    for u in ids:
        if not (folder / f"{u}.csv.gz").exists():
            continue
        parts.append(pd.read_csv(folder / f"{u}.csv.gz"))
        record = json.loads((folder / f"{u}.json").read_text())
        times[u] = [record["fit"], record["walk"], record["steps"]]
        weights[u] = record["weights"]
    merged = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return merged, times, pd.DataFrame.from_dict(weights, orient="index")


def report(
    scorer: ModuleType, bench: Path, split: str, folder: Path, name: str, ids: list[str], multi: bool
) -> pd.DataFrame:
    """Score what is in ``folder``, print everything, write the tables beside the forecasts."""
    forecasts, times, weights = _merge(folder, ids)
    if forecasts.empty:
        print("nothing to score")
        return forecasts
    forecasts.to_csv(folder / f"all-{name}.csv.gz", index=False, float_format="%.9g")
    (folder / f"all-{name}.time.json").write_text(json.dumps(times))
    scores = scorer.score(forecasts, split)
    scores.to_csv(folder / "scores.csv")
    pd.set_option("display.width", 200, "display.max_columns", 40, "display.max_rows", 200)
    cost = np.array(list(times.values()))
    print(f"\n{name} on {len(scores)} of {len(scorer.load(split)[0])} series of {split}{' (h steps)' if multi else ''}")
    if split.startswith("synth"):
        _known_laws(scorer, bench, split, scores)
    else:
        _real(scorer, bench, split, name, forecasts, scores, times, multi)
    print(f"\nfit {cost[:, 0].mean():.2f} s a series, walk {1e3 * cost[:, 1].sum() / cost[:, 2].sum():.4f} ms a step")
    print("80 % coverage", f"{scores['cov80'].mean():.4f}", " not finite:", int(scores["bad"].sum()))
    if weights.shape[1] > 1:
        print("mean weights:", ", ".join(f"{k} {v:.3f}" for k, v in weights.mean().items()))
    return scores


def _known_laws(scorer: ModuleType, bench: Path, split: str, scores: pd.DataFrame) -> None:
    ideal_quantiles = np.load(bench / f"ideal_{split}.npz")
    data = scorer.load(split)[0]
    frames = [scorer.frame(u, np.arange(scorer.first_test(len(data[u])), len(data[u])), ideal_quantiles[u])
              for u in scores.index]  # fmt: skip
    ideal = scorer.score(pd.concat(frames), split)
    excess = (scores["scrps"] / ideal["scrps"] - 1).rename("excess over ideal")
    table = pd.DataFrame({"excess %": 100 * excess, "cov80": scores["cov80"], "ideal cov80": ideal["cov80"]})
    stored = bench / "results" / "prototype_synth_public.csv"
    if stored.exists():
        table["prototype %"] = 100 * (pd.read_csv(stored, index_col=0)["agg+cal"] - 1)
    print(table.round(3).to_string())
    print("\nACCEPTANCE, known laws (excess over the ideal score)")
    short = {u: u.removeprefix("syn_").rsplit("_", 1)[0] for u in excess.index}
    for what, (names, floor, aim) in KNOWN_LAWS.items():
        found = [excess[u] for u, process in short.items() if process in names]
        if len(found) == len(names):
            print(row(f"{what} (worst)" if len(names) > 1 else what, max(found), floor, aim))
    if len(excess) == len(data):
        print(row("all, geometric mean", float(np.expm1(np.log1p(excess).mean())), 0.02, 0.013))


def _real(
    scorer: ModuleType,
    bench: Path,
    split: str,
    name: str,
    forecasts: pd.DataFrame,
    scores: pd.DataFrame,
    times: dict[str, list[float]],
    multi: bool,
) -> None:
    stored = bench / "results" / (f"{split}_multi" if multi else split)
    peers = pd.read_csv(f"{stored}_scrps_per_series.csv", index_col=0).loc[scores.index]
    if not multi:
        files = sorted((bench / f"{split}_experts").glob("*.csv.gz"))
        known, seconds = scorer.read([str(f) for f in files])
        table = {k: scorer.score(v[v["unique_id"].isin(scores.index)], split) for k, v in known.items()}
        table[name], seconds[name] = scores, times
        print(scorer.table(table, times=seconds).round(4).to_string())
    ratios = peers.div(peers["naive"], axis=0)
    ratios[name] = scores["scrps"] / peers["naive"]
    complete = ratios.dropna(axis=1)
    means = np.exp(np.log(complete.clip(lower=1e-4)).mean()).sort_values()
    print("\nratio to naive (geometric mean), peers that cover these series:")
    print(means.head(14).round(4).to_string())
    _domains(name, complete, scores["domain"])
    if not multi:
        _ranks(name, peers.assign(**{name: scores["scrps"]}).dropna(axis=1))
        best = min(COMBINATIONS, key=lambda k: means.get(k, np.inf))
        for peer in (SINGLE, best):
            if peer in known:
                _tests(scorer, split, forecasts, known[peer], peer)
    ours = ratios[name]
    print("\nworst series:", ", ".join(f"{u} {v:.3f}" for u, v in ours.sort_values(ascending=False).head(5).items()))
    floor = int((ours <= 1 + 1e-9).sum())
    if not name.startswith("JKO"):
        return
    print("\nACCEPTANCE, real data")
    if multi:
        print(row(f"{name}, ratio, h steps (ridge direct 0.625)", means[name], 0.625, 0.590))
    elif name.startswith("JKOEnsemble"):
        print(row(f"{name}, ratio", means[name], 0.565, 0.540))
    else:
        print(row(f"{name}, ratio", means[name], 0.570, 0.545))
        print(row("mean |80 % coverage − 0.8|", (scores["cov80"] - 0.8).abs().mean(), 0.016, 0.008))
        print(row(f"series no worse than naive, of {len(ours)}", floor, len(ours), len(ours), more_is_better=True))
        cost = np.array(list(times.values()))
        print(row("cost per step in update_predict, ms", 1e3 * cost[:, 1].sum() / cost[:, 2].sum(), 0.6, 0.2))


def _domains(name: str, ratios: pd.DataFrame, domain: pd.Series) -> None:
    """Ours beside the best single peer and the best combination of each domain."""
    means = np.exp(np.log(ratios.clip(lower=1e-4)).groupby(domain).mean())
    mixed = [k for k in ratios if k.startswith("comb_")]
    single = [k for k in ratios if k not in mixed and k not in (name, "naive")]
    table = pd.DataFrame({name: means[name]})
    for what, columns in (("best peer", single), ("best combination", mixed)):
        if columns:
            table[what], table[f"ratio of {what}"] = means[columns].idxmin(axis=1), means[columns].min(axis=1)
    print("\nby domain:")
    print(table.round(4).to_string())


def _ranks(name: str, scores: pd.DataFrame) -> None:
    ranks = scores.rank(axis=1)
    table = pd.DataFrame({"mean rank": ranks.mean(), "first on": (ranks == 1).sum(), "last rank": ranks.max()})
    print(f"\nranks over {len(scores)} series among the {scores.shape[1]} that cover them all:")
    print(table.sort_values("mean rank").head(10).round(2).to_string())
    print(f"  {name} is at {table['mean rank'].rank()[name]:.0f}")


def _losses(scorer: ModuleType, y: np.ndarray, forecasts: pd.DataFrame) -> pd.Series:
    """Mean pinball loss of every scored step."""
    rows = forecasts[forecasts["step"] >= scorer.first_test(len(y))]
    quantiles, steps = np.sort(rows[scorer.QC].to_numpy(), axis=1), rows["step"].to_numpy()
    return pd.Series(scorer.pinball(y[steps], quantiles).mean(1), index=steps)


def _tests(scorer: ModuleType, split: str, ours: pd.DataFrame, theirs: pd.DataFrame, peer: str) -> None:
    """Diebold–Mariano tests against ``peer`` on every series, their counts, and what they say together."""
    data, other, rows = scorer.load(split)[0], dict(list(theirs.groupby("unique_id"))), {}
    for u, mine in ours.groupby("unique_id", sort=False):
        pair = [_losses(scorer, data[u], f) for f in (mine, other[u])]
        a, b = pair[0].align(pair[1], join="inner")
        rows[u] = (*significance.diebold_mariano(a, b), np.log(max(a.mean(), 1e-12) / max(b.mean(), 1e-12)))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["statistic", "p", "log ratio"])
    table["Holm"] = significance.holm(table["p"])
    together = significance.over_series(
        table["log ratio"], [significance.Result(*x) for x in table[["statistic", "p"]].itertuples(index=False)]
    )
    print(f"\nagainst {peer}: Diebold–Mariano, Bartlett's long-run variance, small-sample factor for h = 1")
    shown = table.assign(**{"change %": 100 * np.expm1(table["log ratio"])}).drop(columns="log ratio")
    print(shown.sort_values("statistic").round(4).to_string())
    better = table["statistic"] < 0
    for what, p in ((f"at {ALPHA:.0%}", table["p"]), ("after Holm's correction", table["Holm"])):
        real = p < ALPHA
        print(f"  {what:<24} better on {(real & better).sum()}, worse on {(real & ~better).sum()} of {len(table)}")
    z = together.stouffer
    print(f"  over series: better on {together.wins}, sign test p {together.sign:.2g}, ", end="")
    print(f"Wilcoxon p {together.wilcoxon:.2g}, Stouffer z {z.statistic:.2f} (p {z.p:.2g})")
