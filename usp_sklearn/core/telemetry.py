"""S_risk: the risk record of one step, one fixed shape for batch, stream and export."""

from typing import NamedTuple

from jax import Array

BRANCH_ORDER = ("A", "B", "C", "D")
MODES = ("standard", "robust", "emergency")


class Telemetry(NamedTuple):
    """Scalars unless said; losses and units are those of the series."""

    holder_exponent: Array
    """local Hölder exponent of the row's window"""
    holder_se: Array
    """its standard error"""
    spectrum_width: Array
    """width of the singularity spectrum"""
    quadratic_variation: Array
    """Σ Δy² over the window"""
    cusum_up: Array
    cusum_down: Array
    """G⁺ and G⁻ of the standardised stored residuals"""
    adaptive_threshold: Array
    """h(1 + ln(max(κ, 3)/3))"""
    distance_to_alarm: Array
    """1 − max(G⁺, G⁻)/threshold, the share of the way that is left"""
    kurtosis: Array
    """of the last 252 stored residuals"""
    kernel_weights: Array
    """(4,) weight of branches A, B, C, D in the issued law; an absent branch has 0"""
    dgm_entropy: Array
    """differential entropy of V over the domain minus the terminal condition's"""
    free_energy: Array
    """⟨ρ, ℓ⟩ + λ KL(ρ | π) of the last flow step"""
    coverage_error: Array
    """running coverage of the 80 % interval minus 0.8"""
    mode: Array
    """0 standard, 1 robust (grace period after an alarm), 2 emergency"""
    sinkhorn_converged: Array
    regime_changed: Array
    emergency: Array
    degraded: Array
    """a member's law was unusable and was left out"""
    mode_collapse: Array
    frozen_signal: Array
    outlier: Array
    """the outcome lay more than 20 robust sigmas from the stored median"""
