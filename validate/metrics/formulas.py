"""The metrics' formulas in LaTeX, by name, as notebooks and pages show them; each metric's file has its source.

h_k is the mean of class k, h_G that of all samples, Hbar = [h_k - h_G], Pi = I - 11^T/K, w_k a row of W.
"""

from collections.abc import Mapping
from types import MappingProxyType

SIMPLEX = r"\frac{\Pi}{\sqrt{K - 1}}"


def _to_simplex(matrix: str) -> str:
    return rf"\left\lVert \frac{{{matrix}}}{{\lVert {matrix} \rVert_F}} - {SIMPLEX} \right\rVert_F"


def _of_rows(row: str, name: str) -> dict[str, str]:
    """The norms and angles of rows x_k."""
    cosine = rf"\cos({row}_j, {row}_k)"
    mean_norm = rf"\mathrm{{mean}}_k \lVert {row}_k \rVert"
    departure = rf"\left| {cosine} + \frac{{1}}{{K - 1}} \right|"
    return {
        f"equinorm_{name}": rf"\frac{{\mathrm{{std}}_k \lVert {row}_k \rVert}}{{{mean_norm}}}",
        f"equiangularity_{name}": rf"\mathrm{{std}}_{{j \ne k}} {cosine}",
        f"simplex_angles_{name}": rf"\mathrm{{mean}}_{{j \ne k}} {departure}",
        f"coherence_{name}": rf"\max_{{j \ne k}} {departure}",
    }


FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "nc1": r"\frac{1}{K} \mathrm{tr}(\Sigma_W \Sigma_B^{+})",
        "nc2": _to_simplex("W W^{T}"),
        "nc3": _to_simplex(r"W \bar{H}"),
        "nc4": r"\lVert b + W h_G \rVert",
        "nearest_center_disagreement": r"P\left( \mathrm{argmax}_k (W h + b)_k "
        r"\ne \mathrm{argmin}_k \lVert h - h_k \rVert \right)",
        "nearest_center_accuracy": r"P\left( \mathrm{argmin}_k \lVert h - h_k \rVert = y \right)",
        "rank": r"\mathrm{rank}(\bar{H})",
        "condition": r"\frac{\lambda_1(\bar{H}^{T} \bar{H})}{\lambda_r(\bar{H}^{T} \bar{H})}",
        "nc1_quotient": r"\frac{\mathrm{tr} \Sigma_W}{\mathrm{tr} \Sigma_B}",
        "nc1_worst_class": r"\max_k \frac{\mathrm{tr} \Sigma_k}{\mathrm{tr} \Sigma_B}",
        "cdnv": r"\mathrm{mean}_{j \ne k} "
        r"\frac{\mathrm{tr} \Sigma_j + \mathrm{tr} \Sigma_k}{2 \lVert h_j - h_k \rVert^{2}}",
        "nc2_means": _to_simplex(r"\bar{H}^{T} \bar{H}"),
        **_of_rows("w", "w"),
        **_of_rows(r"\bar{h}", "means"),
        "self_duality": r"\left\lVert \frac{W}{\lVert W \rVert_F} - "
        r"\frac{\bar{H}^{T}}{\lVert \bar{H} \rVert_F} \right\rVert_F",
        "effective_rank": r"\exp\left( -\sum_i p_i \log p_i \right), \quad p_i = \frac{\sigma_i}{\sum_j \sigma_j}",
        "one_vs_rest_w": r"\min_k \mathrm{dist}\left( \frac{w_k}{\lVert w_k \rVert}, "
        r"\mathrm{conv}\left\{ \frac{w_j}{\lVert w_j \rVert} : j \ne k \right\} \right)",
        "one_vs_rest_means": r"\min_k \mathrm{dist}\left( \frac{\bar{h}_k}{\lVert \bar{h}_k \rVert}, "
        r"\mathrm{conv}\left\{ \frac{\bar{h}_j}{\lVert \bar{h}_j \rVert} : j \ne k \right\} \right)",
        "mean_margin": r"\mathrm{mean}\left( z_y - \mathrm{mean}_{k \ne y} z_k \right)",
        "least_margin": r"\min\left( z_y - \max_{k \ne y} z_k \right)",
        "norm_w": r"\lVert W \rVert_F",
        "norm_h": r"\frac{\lVert H - h_G \rVert_F}{\sqrt{N}}",
        "norm_ratio": r"\frac{\lVert W \rVert_F}{\lVert H - h_G \rVert_F}",
        "objective": "f(W, H, b)",
        "lower_bound": r"D \le f",
        "gap": "f - D",
    }
)

OF_LAYERS: Mapping[str, str] = MappingProxyType(  # of what a layer has beside these; X the features less their mean
    dict(FORMULAS)
    | {
        "separation_fuzziness": r"D = \mathrm{tr}(SS_w SS_b^{+})",
        "nearest_center_accuracy": r"P\left( \mathrm{argmin}_k \lVert h - h_k \rVert = y \right)",
        "stable_rank": r"\frac{\lVert \bar{H} \rVert_F^{2}}{\lVert \bar{H} \rVert_2^{2}}",
        "stable_rank_features": r"\frac{\lVert X \rVert_F^{2}}{\lVert X \rVert_2^{2}}",
        "cka": r"\frac{\lVert X^{T} Y \rVert_F^{2}}{\lVert X^{T} X \rVert_F \lVert Y^{T} Y \rVert_F}",
        "largest_angle": r"\max_i \theta_i",
        "rate": r"\frac{D_{l + 1}}{D_l}",
    }
)
