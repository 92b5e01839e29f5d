"""Every relative link in the Markdown files of the repository must lead to a file, every anchor to a heading."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, spelt as repository hosts spell them."""
    heads = re.findall(r"^#+\s+(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").lower()).strip().replace(" ", "-") for h in heads}


def broken(page: Path) -> list[str]:
    """Links of one page that lead nowhere."""
    out = []
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for match in LINK.finditer(text):
        target = match.group(1) or match.group(2)
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else (page.parent / path)
        if not file.exists():
            out.append(f"{page.relative_to(ROOT)}: no file {path}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            out.append(f"{page.relative_to(ROOT)}: no heading #{anchor} in {file.name}")
    return out


def main() -> int:
    """Print what is broken; exit status 1 if anything is."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
    problems = [line for page in pages for line in broken(page)]
    print("\n".join(problems) or f"{len(pages)} pages, all links resolve")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
