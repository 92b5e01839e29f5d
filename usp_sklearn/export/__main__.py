"""``python -m usp_sklearn.export check PATH``: verify, replay and time an exported model."""

import argparse
import sys

from .check import check
from .manifest import ArtefactError


def main() -> int:
    """0 if the artefact passed, 1 if it gives other numbers, 2 if it is damaged."""
    parser = argparse.ArgumentParser(prog="python -m usp_sklearn.export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("check", help="hashes, golden vectors and speed of an exported model")
    command.add_argument("path", help="the folder of the artefact")
    arguments = parser.parse_args()
    try:
        report = check(arguments.path)
    except ArtefactError as error:
        print(error, file=sys.stderr)
        return 2
    print(report)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
