"""How the clients of export/clients are built: as their READMEs say, with warnings, outside the checkout.

npm's packages go to a folder of the temporary directory that is named after the lock file (USP_NPM_CACHE: another
place), so that only the first run needs a registry. A tool that is missing is a failure that names its package.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

EXPORT = Path(__file__).resolve().parents[2] / "export"
CLIENTS, INCLUDE = EXPORT / "clients", EXPORT / "include"
LANGUAGES = ("c", "cpp", "java", "go", "rust", "node")
PACKAGES = {  # of Debian
    "cc": "gcc",
    "c++": "g++",
    "cmake": "cmake",
    "java": "openjdk-17-jdk-headless",
    "javac": "openjdk-17-jdk-headless",
    "go": "golang-go",
    "cargo": "cargo",
    "node": "nodejs",
    "npm": "npm",
    "chromium": "chromium",
    "valgrind": "valgrind",
}
JNA = Path("/usr/share/java/jna.jar")
WARNINGS = ("-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror")


def need(tool):
    path = shutil.which(tool)
    assert path, f"{tool} is missing. Debian: apt-get install {PACKAGES[tool]}"
    return path


def run(tool, *arguments, cwd=None, **environment):
    """A program that must succeed."""
    command = [tool if os.sep in str(tool) else need(tool), *arguments]
    env = os.environ | {k: str(v) for k, v in environment.items()}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=cwd, env=env, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done


def packages(client):
    """The node_modules that a client's lock file describes."""
    lock = CLIENTS / client / "package-lock.json"
    cache = Path(os.environ.get("USP_NPM_CACHE", os.path.join(tempfile.gettempdir(), f"usp-sklearn-npm-{os.getuid()}")))
    folder = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=cache))
        for file in (lock, lock.with_name("package.json")):
            shutil.copy(file, draft)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", cwd=draft)
        draft.rename(folder)
    return folder / "node_modules"


def copied(client, into):
    """A client's files in a folder of its own, beside its packages."""
    shutil.copytree(CLIENTS / client, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    (into / "node_modules").symlink_to(packages(client))
    return into


def build(language, into, library):
    """The command that runs a client which uses that library."""
    into.mkdir()
    source, program = CLIENTS / language, into / "forecast"
    link = ("-L", library.parent, f"-l{library.stem.removeprefix('lib')}", "-o", program)
    match language:
        case "c":
            run("cc", "-std=c99", "-pedantic", *WARNINGS, "-I", INCLUDE, source / "forecast.c", *link)
        case "cpp":
            run("c++", "-std=c++17", "-pedantic", *WARNINGS, "-I", INCLUDE, source / "forecast.cpp", *link)
        case "go":
            tags, flags = (("-tags", "usp_embedded"), f" {link[2]}") if library.name != "libusp.so" else ((), "")
            options = ("-buildvcs=false", *tags, "-o", program)
            run("go", "build", *options, ".", cwd=source, CGO_LDFLAGS=f"-L{library.parent}{flags}", GOPROXY="off")
        case "rust":
            options = ("--release", "--offline", "--locked", "--manifest-path", source / "Cargo.toml")
            run("cargo", "build", *options, "--target-dir", into, USP_LIBRARY=library)
            return [into / "release" / "forecast"]
        case "java":
            assert JNA.exists(), f"{JNA} is missing. Debian: apt-get install libjna-java"
            run("javac", "-Xlint:all", "-Werror", "-cp", JNA, "-d", into, *source.glob("*.java"))
            return [need("java"), "-cp", f"{into}{os.pathsep}{JNA}", "Forecast"]
        case "node":
            return [need("node"), copied("node", into) / "forecast.js"]
    return [program]


def numbers(done):
    """The table that a client printed."""
    assert done.returncode == 0, done.stderr
    return np.array([[float(x) for x in line.split(",")] for line in done.stdout.splitlines()])
