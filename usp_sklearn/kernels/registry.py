"""The branches there are. A further one is one module and one line here."""

from . import dgm, jumpdiffusion, levy, signature
from .contract import Branch

BRANCHES: dict[str, Branch] = {
    "A": levy.branch,
    "B": dgm.branch,
    "C": jumpdiffusion.branch,
    "D": signature.branch,
}
