"""The registry: every claim in the order in which `ufm.verify` checks them. Each stands under its check."""

from .claims import (
    atlas,
    duality,
    focal,
    hessian,
    landscape,
    line,
    mean_square,
    minimizers,
    minorities,
    other_minimizers,
    proved,
    saddles,
    structure,
)
from .claims.models import deep_linear, fixed_classifier, nonnegative, ridgeless, spheres
from .theorem import Theorem

THEOREMS: tuple[Theorem, ...] = (
    structure.WITHIN_CLASS_COLLAPSE,
    structure.ZERO_ROW_SUM,
    structure.BALANCE,
    structure.ISOTROPIC_RESIDUAL,
    structure.AVERAGING_DESCENDS,
    duality.WEAK_DUALITY,
    duality.GLOBAL_OPTIMALITY,
    minimizers.ETF_GEOMETRY,
    minimizers.SELF_DUALITY,
    minimizers.CLOSED_FORM_SCALE,
    minimizers.ZERO_BIAS,
    minimizers.COLLAPSE_THRESHOLD,
    saddles.ZERO_SADDLE,
    saddles.SADDLES_OF_EVERY_RANK,
    landscape.LANDSCAPE_BEYOND_K,
    landscape.LANDSCAPE_FROM_K_MINUS_1,
    landscape.SHARPNESS,
    hessian.EXACT_SPECTRUM,
    hessian.NONDEGENERATE,
    hessian.DESCENT_RATE,
    minorities.MINORITY_COLLAPSE,
)

OTHER_LOSSES: tuple[Theorem, ...] = (  # than cross-entropy
    other_minimizers.MEAN_SQUARE_MINIMIZER,
    other_minimizers.REGRESSION_MINIMIZER,
    other_minimizers.SMOOTHED_MINIMIZER,
    other_minimizers.BINARY_MINIMIZER,
    other_minimizers.TAGWISE_AVERAGE,
    mean_square.BENIGN_AT_EVERY_D,
    focal.FOCAL_COLLAPSE,
    focal.FOCAL_LANDSCAPE,
    landscape.BINARY_SHARPNESS,
)

RIGOROUS: tuple[Theorem, ...] = (
    proved.PROVED_MINIMIZER,
    proved.PROVED_CLOSED_FORM,
    proved.PROVED_SADDLES,
    proved.PROVED_DICHOTOMY,
)

ATLAS: tuple[Theorem, ...] = (
    atlas.WHOLE_LANDSCAPE,
    atlas.EULER_CHARACTERISTIC,
)

OTHER_ATLAS: tuple[Theorem, ...] = (mean_square.ALL_POINTS,)

LINE: tuple[Theorem, ...] = line.THEOREMS  # of all points at d = 1

MODELS: dict[str, tuple[Theorem, ...]] = {  # beside the free one, by name
    "nonnegative": nonnegative.THEOREMS,
    "fixed-classifier": fixed_classifier.THEOREMS,
    "spheres": spheres.THEOREMS,
    "deep-linear": deep_linear.THEOREMS,
    "ridgeless": ridgeless.THEOREMS,
}
