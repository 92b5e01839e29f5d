"""House rules a machine can check: imports point down, pins are exact and installed, importing changes nothing."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "usp_sklearn"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# A room may import itself and these; `runtime` is open to all.
BELOW = {
    "cli": {"api", "io", "core", "export"},
    "api": {"core", "kernels", "io"},
    "export": {"core", "api"},
    "core": {"kernels"},
    "io": {"kernels"},
    "kernels": set(),
}


def imports(path: Path) -> set[str]:
    """Dotted names of everything a module imports, relative imports resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts
    # `from . import x` in a module means its folder; in an __init__ file the folder is the package itself.
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) if node.level else ""
            stem = ".".join(p for p in (base, node.module or "") if p)
            found |= {f"{stem}.{alias.name}" for alias in node.names}
    return found


def rooms(path: Path) -> set[str]:
    """Which rooms of the package a module imports from."""
    parts = [name.split(".") for name in imports(path) if name.split(".")[0] == "usp_sklearn"]
    return {p[1] for p in parts if len(p) > 1}


@pytest.mark.parametrize("path", [m for m in MODULES if m.parent != PACKAGE], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    room = path.relative_to(PACKAGE).parts[0]
    assert rooms(path) <= BELOW[room] | {room, "runtime"}


def test_runtime_imports_no_room():
    assert rooms(PACKAGE / "runtime.py") == set()


def test_the_package_itself_only_re_exports():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    allowed = (ast.ImportFrom, ast.Assign, ast.Expr, ast.If, ast.FunctionDef)
    assert all(isinstance(node, allowed) for node in tree.body)
    assert [n.name for n in tree.body if isinstance(n, ast.FunctionDef)] == ["__getattr__", "__dir__"]
    # What tools read, what is found when it is asked for, and what is announced are the same names.
    typed = [a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level for a in n.names]
    import usp_sklearn

    assert sorted(typed) == sorted(usp_sklearn.__all__) == sorted(usp_sklearn._HOME)
    assert all(hasattr(usp_sklearn, name) for name in usp_sklearn.__all__)
    assert set(usp_sklearn.__all__) <= set(dir(usp_sklearn)) and not hasattr(usp_sklearn, "JKO")
    assert usp_sklearn.__version__ == PROJECT["version"]


def test_import_detector_sees_upward_imports(tmp_path, monkeypatch):
    """The test of the test: a kernel that imports the api, in each spelling, is caught."""
    folder = tmp_path / "usp_sklearn" / "kernels"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for line in ("from ..api.metrics import x", "import usp_sklearn.api.metrics", "from usp_sklearn.api import y",
                 "from ..api import metrics", "from .. import api", "def f():\n    from ..api import z"):  # fmt: skip
        (folder / "bad.py").write_text(line)
        assert rooms(folder / "bad.py") == {"api"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_hold_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def pins() -> dict[str, str]:
    """Every requirement of the project and its extras; fails on one that is not exact."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    out = {}
    for line in (line for group in groups for line in group):
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line)
        assert match, f"{line} is not an exact pin"
        out[match[1]] = match[2]
    return out


def locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", text, re.MULTILINE))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_pins_are_exact_and_agree_with_the_lock():
    lock = {canonical(k): v for k, v in locked().items()}
    optional = {name for extra in ("export", "onnx") for name in PROJECT["optional-dependencies"][extra]}
    for name, version in pins().items():
        # The export and onnx extras are not part of the development environment.
        if f"{name}=={version}" not in optional:
            assert lock[canonical(name)] == version


def test_every_locked_package_has_hashes():
    entries = re.split(r"^(?=\S)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if re.match(r"[A-Za-z0-9]", entry))


def test_the_environment_is_the_locked_one():
    wrong = {}
    for name, version in locked().items():
        if (found := importlib.metadata.version(name)) != version:
            wrong[name] = (found, version)
    assert not wrong


def test_importing_has_no_side_effects():
    code = """
import json, sys, jax
names = [n for n in dir(jax.config) if n.startswith("jax_")]
read = lambda: {n: repr(getattr(jax.config, n)) for n in names}
before = read()
import usp_sklearn
changed = {n: v for n, v in read().items() if v != before[n]}
extras = {"tensorflow", "onnx", "skl2onnx", "onnxruntime", "matplotlib", "optuna"}
heavy = sorted({m.split(".")[0] for m in sys.modules} & extras)
print(json.dumps({"changed": changed, "heavy": heavy, "x64": jax.config.jax_enable_x64, "names": len(names)}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["changed"] == {} and result["heavy"] == [] and result["x64"] is False
    assert result["names"] > 50


def test_links_in_the_documentation_resolve():
    done = subprocess.run([sys.executable, ROOT / "docs" / "check_links.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_page_of_mathematics_shows_its_figure():
    folder = ROOT / "docs" / "math"
    drawn = {f.stem for f in (folder / "figures").glob("*.py") if not f.stem.startswith("_")}
    pages = {f.stem for f in folder.glob("*.md")} - {"README"}
    assert drawn == pages == {f.stem for f in folder.glob("*.png")}
    assert all(f"({name}.png)" in (folder / f"{name}.md").read_text(encoding="utf-8") for name in pages)
