"""Reports: self-contained, escaped, drawn by a browser, and saying what the library says."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tests.export.chromium import Browser
from usp_sklearn import LevyPredictor, SlidingWindow, Stream, crps_score, sliding_window
from usp_sklearn.api.metrics_comparison import diebold_mariano
from usp_sklearn.cli import main
from usp_sklearn.cli.passes import LEVELS

HOSTILE = """<script>document.title='owned'</script>"'&<img src=x onerror=1>$\\frac$ {{7*7}} </title> ]]>"""
LEVY = ("--model", "levy", "--width", "8", "--horizon", "2", "--season", "7", "--quiet")


@pytest.fixture(scope="module")
def pages(series, tmp_path_factory):
    """A forecast's and a backtest's report, of a series with a hostile name in a file with a hostile one."""
    folder = tmp_path_factory.mktemp("reports")
    data = folder / "<b>data & more.csv"
    jump = np.where(np.arange(160) > 130, 15.0, 0.0)
    (series + jump).rename(HOSTILE).to_csv(data)
    monkey = pytest.MonkeyPatch()
    monkey.setenv("USP_CACHE", "off")
    assert main(["forecast", str(data), *LEVY, "--report", str(folder / "f.html"), "-o", str(folder / "f.csv")]) == 0
    assert main(["backtest", str(data), *LEVY, "--report", str(folder / "b.html"), "-o", str(folder / "b.csv")]) == 0
    monkey.undo()
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


class Elements(HTMLParser):
    """Every element with its attributes, and all text outside of styles."""

    def __init__(self, page):
        super().__init__()
        self.found, self.words, self.inside = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside != "style":
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


@pytest.mark.parametrize("name", ["f", "b"])
def test_nothing_outside_is_referred_to(pages, name):
    page = (pages / f"{name}.html").read_text()
    for tag, attributes in Elements(page).found:
        assert tag not in (
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "image",
            "foreignobject",
        )
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            if attribute in ("href", "xlink:href", "src", "action"):
                assert value.startswith("#")
    assert "@import" not in page and "@font-face" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    for address in re.findall(r"https?://[^\s\"'<]*", page):
        # Names of namespaces, which nobody fetches.
        assert address.startswith("http://www.w3.org/")


@pytest.mark.parametrize("name", ["f", "b"])
def test_hostile_names_are_words(pages, name):
    page = (pages / f"{name}.html").read_text()
    assert "<script" not in page and "<img" not in page and "<b>data" not in page and "{{" not in page.replace(
        "{{7*7}}", ""
    )  # fmt: skip
    heading = "".join(Elements(page).words)
    assert HOSTILE in heading and "<b>data & more.csv" in heading


@pytest.mark.parametrize("name", ["f", "b"])
def test_a_browser_draws_it(pages, browser, name):
    browser.open(f"file://{pages / f'{name}.html'}")
    assert browser.value("document.title").startswith("<script>document.title")
    assert browser.value("document.querySelector('h1').textContent") == HOSTILE
    assert browser.value("document.querySelectorAll('script, img').length") == 0
    pictures = 6 if name == "f" else 5
    assert browser.value("document.querySelectorAll('figure svg').length") == pictures
    # Each picture has room, and marks in it that have room.
    boxes = browser.value(
        "[...document.querySelectorAll('figure svg')].map(s => [s.getBoundingClientRect().width,"
        " s.getBoundingClientRect().height, [...s.querySelectorAll('path, use')].filter("
        "p => p.getBoundingClientRect().width + p.getBoundingClientRect().height > 3).length])"
    )
    assert all(width > 300 and height > 150 and marks > 20 for width, height, marks in boxes)
    # Names are drawn as they are, not as mathematics.
    assert browser.value("[...document.querySelectorAll('svg text')].some(t => t.textContent.includes('$\\\\frac$'))")
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth")


def test_light_dark_and_paper_have_their_colours(pages, browser):
    def colours(media, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.send("Emulation.setEmulatedMedia", media=media, features=features)
        browser.open(f"file://{pages / 'b.html'}")
        of = "getComputedStyle(document.querySelector('{}')).{}"
        parts = [of.format("body", "backgroundColor"), of.format("h1", "color"), of.format("figure svg text", "fill")]
        found = [browser.value(part) for part in parts]
        return [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in found]

    for media, scheme in (("screen", "light"), ("print", "light"), ("print", "dark")):
        paper, ink, letters = colours(media, scheme)
        assert paper == 3 * 255 and ink < 200 and letters < 350
    paper, ink, letters = colours("screen", "dark")
    assert paper < 120 and ink > 600 and letters > 450


@pytest.mark.parametrize("name", ["f", "b"])
def test_readers_without_eyes_get_words(pages, name):
    found = Elements((pages / f"{name}.html").read_text())
    assert found.all("html")[0]["lang"] == "en"
    drawn = [svg for svg in found.all("svg") if "viewbox" in svg]
    assert drawn and all(svg["role"] == "img" and len(svg["aria-label"]) > 60 for svg in drawn)
    assert len(found.all("caption")) == len(found.all("table")) > 3
    assert all(head.get("scope") in ("col", "row") for head in found.all("th"))
    assert len(found.all("h1")) == 1 and len(found.all("h2")) >= 5
    identifiers = [attrs["id"] for _, attrs in found.found if "id" in attrs]
    assert len(set(identifiers)) == len(identifiers)


def test_numbers_are_the_library_s(pages, series):
    words = " ".join(" ".join(Elements((pages / "f.html").read_text()).words).split())
    y = series.to_numpy() + np.where(np.arange(160) > 130, 15.0, 0.0)
    windows = SlidingWindow(width=8, horizon=2, season=7, multi=True).fit(y[:96, None])
    X, target = sliding_window(y, width=8, horizon=2, season=7, multi=True)
    model = LevyPredictor(**windows.layout, random_state=0)
    law = Stream(model.fit(X, target), y, windows).law
    for value in law.ppf([0.05, 0.5, 0.95]).ravel():
        assert f"{value:.2f}" in words
    split = 96 - 8 - 1
    q = model.fit(X[:split], target[:split]).update_predict(X[split:], target[split:], quantiles=LEVELS)
    losses = {"own": [], "other": []}
    # The first row ends before the newest outcome that was fitted on: its law would know too much.
    for i in range(1, len(X) - split):
        t = split + i + 7
        naive = [y[t] + np.quantile(y[h : t + 1] - y[: t + 1 - h], LEVELS) for h in (1, 2)]
        losses["own"].append(crps_score(target[split + i : split + i + 1], q[i][None], LEVELS))
        losses["other"].append(crps_score(target[split + i : split + i + 1], np.array(naive)[None], LEVELS))
    test = diebold_mariano(losses["own"], losses["other"], horizon=2)
    assert f"statistic {test.statistic:.2f} (below" in words and f"p = {test.p_value:.2g}." in words
    assert f"{np.mean(losses['own']) / np.mean(losses['other']):.3f}" in words
    alarms = int(model.telemetry_frame_.tail(len(X) - split)["regime_changed"].sum())
    assert alarms > 0 and f"{alarms} change alarm" in words
    for part in ("LevyPredictor", "persistence", "seasonal naive (7)", "jax", "random_state", "1 to 2 steps ahead"):
        assert part in words


def test_forecasts_beside_the_report_agree(pages):
    ahead = pd.read_csv(pages / "f.csv", index_col=0, parse_dates=True)
    assert ahead.index.tolist() == [pd.Timestamp("2024-06-09"), pd.Timestamp("2024-06-10")]
    behind = pd.read_csv(pages / "b.csv", index_col=0, parse_dates=True)
    assert behind["step"].tolist()[:4] == [1, 2, 1, 2]
    assert behind.index[1] == behind.index[2]
    assert behind["outcome"].iloc[1] == behind["outcome"].iloc[2]
