"""The dashboard asks for metrics that exist, with labels that exist, and its panels fit the grid."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from usp_sklearn.core.telemetry import Telemetry
from usp_sklearn.io.telemetry import Metrics
from usp_sklearn.io.telemetry.names import FLAGS, MEASURES, MODES, NUMBERS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "grafana"


@pytest.fixture(scope="module")
def dashboard():
    return json.loads((FOLDER / "usp.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def exposed():
    """Label names of every sample that a stream exposes, by the sample's name."""
    metrics = Metrics(stream="wti")
    numbers = dict.fromkeys(set(NUMBERS) & set(Telemetry._fields), 1.0)
    flags = dict.fromkeys(set(FLAGS) & set(Telemetry._fields), True)
    metrics.write(numbers | flags | dict.fromkeys(MEASURES, 0.5) | {"kernel_weights": [0.25] * 4, "mode": MODES[0]})
    out: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(metrics.text()):
        for sample in family.samples:
            for name, value in sample.labels.items():
                out.setdefault(sample.name, {}).setdefault(name, set()).add(value)
    return out


def queries(dashboard):
    """Every query of the panels, the annotations and the variables, with its legend."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    for note in dashboard["annotations"]["list"]:
        yield note["expr"], ""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"], ""


def test_every_metric_exists_with_its_labels(dashboard, exposed):
    asked = list(queries(dashboard))
    assert len(asked) > 15
    for query, legend in asked:
        found = re.findall(r"\b(usp_\w+)(?:\{(.*?)\})?", re.sub(r'"[^"]*"|usp_mode=', '""', query))
        assert found, query
        for name, _ in found:
            assert name in exposed, f"{name} in {query}"
        (name,) = {name for name, _ in found}
        for label, value in re.findall(r'(\w+)="([^"]*)"', query):
            assert value == "$stream" or value in exposed[name][label], f"{label}={value} in {query}"
        for label in re.findall(r"by \((\w+)\)|\{\{(\w+)\}\}|, (\w+)\)$", query + legend):
            assert "".join(label) in exposed[name], f"{label} of {query}"


def test_counters_are_read_as_counters(dashboard):
    for query, _ in queries(dashboard):
        if "_bucket" in query:
            assert re.search(r"(rate|increase)\(usp_\w+_bucket", query)


def test_panels_fit_the_grid_and_do_not_overlap(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(p["x"] >= 0 and p["x"] + p["w"] <= 24 and p["h"] > 0 for p in places)
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart or above
    assert sum(p["w"] * p["h"] for p in places) == 24 * max(p["y"] + p["h"] for p in places)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)


def test_the_dashboard_says_what_it_needs(dashboard):
    assert {v["name"] for v in dashboard["templating"]["list"]} == {"datasource", "stream"}
    assert all(p["title"] and p["description"] for p in dashboard["panels"])
    assert dashboard["schemaVersion"] >= 36 and dashboard["uid"] == "usp-sklearn"
    assert (FOLDER / "usp.png").stat().st_size > 50_000
