"""The command line: ``usp forecast data.csv``. It needs the extra "cli"; ``usp --help`` says the rest."""

import os
import sys
import warnings
from collections.abc import Sequence

EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0, or 2 with one line on stderr that says what is wrong.

    Parameters
    ----------
    arguments : words after ``usp``; default: those of the process.

    >>> main(["--no-such-option"])
    2
    """
    try:
        import typer

        from .app import app
    except ImportError as error:
        return _complain("usp", f"the command line needs {error.name}: pip install 'usp-sklearn[cli]'")
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = f"usp {words[0]}" if words and not words[0].startswith("-") else "usp"
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: _complain(name, f"warning: {message}")  # type: ignore[assignment]
            status = typer.main.get_command(app).main(words, prog_name="usp", standalone_mode=False)
    except BrokenPipeError:
        # Whoever read has had enough; nothing may be written to the pipe at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _complain(name, "interrupted", 130)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        return _complain(name, _sentence(error))
    except Exception as error:
        # What typer raises for wrong usage says so; anything else is a fault of ours and shows where.
        if not hasattr(error, "format_message"):
            raise
        return _complain(name, f"{error.format_message().rstrip('.')}. See '{name} --help'.")
    return status if isinstance(status, int) else 0


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _complain(name: str, message: str, status: int = EXIT_USAGE) -> int:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return status
