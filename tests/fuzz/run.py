"""Fuzzes one target with atheris: ``python -m tests.fuzz.run snapshot -max_total_time=60``.

Options are libFuzzer's. New inputs go to ``build/fuzz/<target>``, crashes too; the kept corpus is only read.
"""

import os
import random
import sys
from pathlib import Path


def main(target: str, options: list[str]) -> None:
    """Run until the time is up or something is found."""
    import atheris

    parsers = [
        "usp_sklearn.io",
        "usp_sklearn.export.manifest",
        "usp_sklearn.api.persistence",
        "usp_sklearn.api.buffers",
        "usp_sklearn.cli",
    ]
    with atheris.instrument_imports(include=[*parsers, "csv", "json"]):
        from tests.fuzz import targets
        from tests.fuzz.mutations import spoken, structural

    found = Path("build") / "fuzz" / target
    found.mkdir(parents=True, exist_ok=True)
    targets.warm(target)
    defaults = ["-timeout=20", "-rss_limit_mb=4096", "-max_len=200000", f"-artifact_prefix={found}{os.sep}crash-"]
    arguments = [sys.argv[0], *defaults, *options, str(found), str(targets.CORPUS / target)]

    edit = {"content": structural, "manifest": structural, "command": spoken}.get(target)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        return edit(data, rng)[:size] if edit is not None and rng.random() < 0.7 else atheris.Mutate(data, size)

    mutator = {} if edit is None else {"custom_mutator": mutate}
    atheris.Setup(arguments, targets.TARGETS[target], **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
