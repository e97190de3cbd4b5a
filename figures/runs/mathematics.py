"""The mathematics in statements of theorems, and a run's objective, as MathML."""

import re

from markupsafe import Markup, escape

from validate.metrics.formulas import FORMULAS
from validate.runs.minimised import Minimised
from validate.theory.compare import Row

from ..pages.page import mathematics

FRAGMENTS = {  # of the statements in `ufm.theorems` and of what a comparison's rows mean, as they stand there
    "h_{k,i} = h_k": r"h_{k,i} = h_k",
    "<= f(every point)": r"\le f(\text{every point})",
    "1 - 1/condition": r"1 - 1 / \text{condition}",
    "d < K - 1": "d < K - 1",
    "d = K - 1": "d = K - 1",
    "d = K": "d = K",
    "d = 1": "d = 1",
    "D (A - B^2/C) < 1/K^2": "D (A - B^{2} / C) < 1 / K^{2}",
    "K - blocks": r"K - \text{blocks}",
    "K sqrt(n lW lH) = 1": r"K \sqrt{n \lambda_W \lambda_H} = 1",
    "K sqrt(n lW lH) < 1": r"K \sqrt{n \lambda_W \lambda_H} < 1",
    "lb > (6-K)/(K(K-3))": r"\lambda_b > \frac{6 - K}{K (K - 3)}",
    "W W^T ~ I - 11^T/K": r"W W^{T} \propto I - \frac{1}{K} \mathbf{1} \mathbf{1}^{T}",
    "h_k = sqrt(lW/(n lH)) w_k": r"h_k = \sqrt{\frac{\lambda_W}{n \lambda_H}} w_k",
    "alpha, beta": r"\alpha, \beta",
    "f*": "f^{*}",
    "b = 0": "b = 0",
    "lb = 0": r"\lambda_b = 0",
    "D0^2 n <= N^2 lW lH": r"D_0^{2} n \le N^{2} \lambda_W \lambda_H",
    "W_(l+1)^T W_(l+1) = W_l W_l^T": "W_{l+1}^{T} W_{l+1} = W_l W_l^{T}",
    "h_i = h_j": "h_i = h_j",
    "L = 2, K = 2": r"L = 2, K = 2",
    "K lambda n^(1/L) = c(L)": r"K \lambda n^{1/L} = c(L)",
    "x/sqrt(n)": r"x / \sqrt{n}",
    "(L-2)/(L-1)": r"\frac{L - 2}{L - 1}",
    "L >= 3": r"L \ge 3",
    "h_k along w_k": r"h_k \parallel w_k",
    "e_k": "e_k",
    "n_k <= N^2 lW lH K/(K-1)": r"n_k \le N^{2} \lambda_W \lambda_H \frac{K}{K - 1}",
    "n_k": "n_k",
    "h_k = |h_k| e_k": r"h_k = \lVert h_k \rVert e_k",
    "w_k along 1 - 1/K": r"w_k \parallel e_k - \frac{1}{K} \mathbf{1}",
    "sum mu/|A~|_2 <=": r"\sum \mu / \lVert \tilde A \rVert_2 \le",
    "W H^T = c Pi + e J, b": r"W H^{T} = c \Pi + e J, b",
    "W H^T": "W H^{T}",
    "W W^T": "W W^{T}",
    "U V^T < 0": "U V^{T} < 0",
    "W h_k = e_k - 1/K": r"W h_k = e_k - \frac{1}{K} \mathbf{1}",
    "angle ~ |B off Z~|/(|Z~| log(1/lambda))": r"\text{angle} \sim "
    r"\frac{\lVert B_{\perp \tilde Z} \rVert}{\lVert \tilde Z \rVert \log(1 / \lambda)}",
    "W^T W - H^T H": "W^{T} W - H^{T} H",
    "1^T W = 0": r"\mathbf{1}^{T} W = 0",
    "1^T W": r"\mathbf{1}^{T} W",
    "N K log w + N w^2 + N w^4/(4 K) = a + t": r"N K \log w + N w^{2} + \frac{N w^{4}}{4 K} = a + t",
    "W = H": "W = H",
    "H = W": "H = W",
    "mu_i > 0": r"\mu_i > 0",
    "mu_i < 0": r"\mu_i < 0",
    "nu not 0": r"\nu \ne 0",
    "(u a, v a) = (u, v) M (u, v)": "(u a, v a) = (u, v) M (u, v)",
    "h_S ~ sum of h_k over S": r"h_S \propto \sum_{k \in S} h_k",
    "1 .. K - 2": r"1, \dots, K - 2",
    "rank W <= K - 1": r"\mathrm{rank} W \le K - 1",
    "lW W^T W = lH H^T H": r"\lambda_W W^{T} W = \lambda_H H^{T} H",
    "|W|_F": r"\lVert W \rVert_F",
    "|b + W h_G|": r"\lVert b + W h_G \rVert",
    "|H - h_G|_F / sqrt(N)": r"\frac{\lVert H - h_G \rVert_F}{\sqrt{N}}",
    "f - D": "f - D",
    "G~ G~^T = lW lH": r"\tilde G \tilde G^{T} = \lambda_W \lambda_H",
}
LONGEST_FIRST = sorted(FRAGMENTS, key=len, reverse=True)
FRAGMENT = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, LONGEST_FIRST))})(?!\w)")


def typeset(statement: str) -> Markup:
    """The statement of a theorem, its FRAGMENTS as MathML; all else stays as it is."""
    parts = FRAGMENT.split(statement)
    return Markup("").join(mathematics(FRAGMENTS[part]) if i % 2 else escape(part) for i, part in enumerate(parts))


def meaning(row: Row) -> Markup:
    """What a row of a comparison is, in words and by its formula."""
    said = typeset(row.meaning + (" (agrees by construction)" if row.implied else ""))
    if "<math" in said or row.name not in FORMULAS:
        return said
    return said + " " + mathematics(FORMULAS[row.name])


def objective(minimised: Minimised) -> Markup:
    """What a run minimised over the last layer: the formula, then the numbers in it."""
    decays = {"W": minimised.lambda_w, "H": minimised.lambda_h, "b": minimised.lambda_b}
    there = {variable: value for variable, value in decays.items() if value}
    terms = [rf"\frac{{\lambda_{one}}}{{2}} \lVert {one} \rVert^{{2}}" for one in there]
    formula = mathematics(" + ".join([r"\frac{1}{N} \sum_{i} \ell(z_i, y_i)", *terms]))
    said = [mathematics("z_i") + " the logits", mathematics(r"\ell") + f" {minimised.loss.said}"]
    said += [mathematics(rf"\lambda_{one}") + f" = {value:g}" for one, value in there.items()]
    said += [mathematics(r"\lambda_H") + f" implied by {minimised.implied_by}"] if minimised.implied_by else []
    return formula + "; " + Markup(", ").join(said)
