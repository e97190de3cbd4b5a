"""ufm derive: the closed forms, derived by sympy from the objective."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..console import WIDTH, say, track
from ..options import JsonFile, write_result

if TYPE_CHECKING:
    from ufm.derivations import Result


@dataclass(frozen=True)
class Command:
    """Derive the closed forms from the objective and print them: scale, threshold, spectra, descent from saddles.

    JSON holds every expression as text, as LaTeX and as sympy's srepr, with the steps that led to it.
    """

    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TOPIC ...")] = ()
    """only these topics: scale, threshold, etf, origin, saddle; of other losses scale, threshold, of mse spectrum"""
    loss: Literal["cross-entropy", "mse", "label-smoothing", "bce"] = "cross-entropy"
    """the loss whose closed forms are derived"""
    format: Literal["text", "latex"] = "text"
    """text for reading, or a LaTeX document"""
    json: JsonFile = None

    def run(self) -> int:
        from ufm.derivations import SYMBOLS_OF, derive

        results, symbols = derive(*self.only, loss=self.loss, track=track("derive")), SYMBOLS_OF[self.loss]
        plain = [result.plain() for result in track("write")(results)]
        found = {"loss": self.loss, "symbols": symbols, "results": plain}
        if self.format == "text":
            show_result(found)
        else:
            say("\n".join(_document(symbols, results, self.loss)))
        write_result(self.json, "derive", found)
        return 0


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm derive` does."""
    say("\n".join(_text(data["symbols"], data["results"], data["loss"])))


def _text(symbols: dict[str, str], results: "Iterable[dict[str, Any]]", loss: str) -> Iterator[str]:
    """Lines for reading, of results as plain data."""
    yield HEADING.format(NAMES[loss])
    yield from _aligned(symbols.items(), ": ", "  ")
    for result in results:
        yield ""
        yield ", ".join([result["name"], *_qualifiers(result)])
        yield from textwrap.wrap(result["statement"], WIDTH, initial_indent="  ", subsequent_indent="  ")
        yield from _aligned(_equations(result), " = ", "    ")
        yield from _wrapped("  by: ", f"{'; '.join(result['derivation'])} [{result['source']}]")


def _qualifiers(result: dict[str, Any]) -> Iterator[str]:
    """What goes beside a result's name: how often, for which models, under which conditions."""
    if result["multiplicity"] is not None:
        yield f"multiplicity {result['multiplicity']['text']}"
    if result["bias"] is not None:
        yield "for models with a bias" if result["bias"] else "for models without a bias"
    if result["conditions"]:
        yield f"where {' and '.join(condition['text'] for condition in result['conditions'])}"


def _equations(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(left, right) of every line: formulas, eigenvalues, and each large block with its polynomial."""
    yield from ((formula["symbol"], formula["text"]) for formula in result["formulas"])
    yield from (("x", value["text"]) for value in result["eigenvalues"])
    for block, polynomial in zip(result["large_blocks"], result["polynomials"], strict=True):
        rows = len(block)
        yield "0", f"det(x - B) = sum of a_i x^i, B symmetric with {rows} rows: no short roots"
        yield from ((f"B{i + 1}{j + 1}", block[i][j]) for i in range(rows) for j in range(i, rows))
        yield from ((f"a_{rows - i}", coefficient["text"]) for i, coefficient in enumerate(polynomial))


def _aligned(pairs: Iterable[tuple[str, str]], sign: str, indent: str) -> Iterator[str]:
    """A line a pair, with the signs under one another."""
    pairs = list(pairs)
    width = max(len(left) for left, _ in pairs)
    for left, right in pairs:
        yield from _wrapped(f"{indent}{left:<{width}}{sign}", right)


def _wrapped(label: str, text: str) -> list[str]:
    """The text in lines of the console's width, hanging behind its label."""
    settings = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label), **settings)


HEADING = "The unconstrained feature model, balanced classes, {}."
NAMES = {
    "cross-entropy": "cross-entropy",
    "mse": "squared error",
    "label-smoothing": "cross-entropy with smoothed labels",
    "bce": "binary cross-entropy",
}
PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{amsmath}
\usepackage[margin=15mm,landscape]{geometry}
\allowdisplaybreaks
\begin{document}
\noindent HEADING
\begin{description}"""


def _document(symbols: dict[str, str], results: "Iterable[Result]", loss: str = "cross-entropy") -> Iterator[str]:
    """A LaTeX document that needs amsmath and geometry."""
    yield PREAMBLE.replace("HEADING", HEADING.format(NAMES[loss]))
    yield from (rf"\item[{_escaped(name)}] {_escaped(meaning)}" for name, meaning in symbols.items())
    yield r"\end{description}"
    for result in results:
        yield ""
        yield rf"\paragraph{{{_escaped(result.name)}}} {_escaped(result.statement)}"
        yield from _qualifiers_latex(result)
        yield r"\begin{align*}"
        yield " \\\\\n".join(_equations_latex(result))
        yield r"\end{align*}"
        yield f"By: {_escaped('; '.join(result.derivation))}. Source: {_escaped(result.source)}."
    yield r"\end{document}"


def _qualifiers_latex(result: "Result") -> Iterator[str]:
    from ufm.derivations import latex

    if result.multiplicity is not None:
        yield f"Multiplicity ${latex(result.multiplicity)}$."
    if result.bias is not None:
        yield "For models with a bias." if result.bias else "For models without a bias."
    if result.conditions:
        yield f"Where ${', '.join(map(latex, result.conditions))}$."


def _equations_latex(result: "Result") -> Iterator[str]:
    from ufm.derivations import characteristic, latex

    yield from (f"{latex(left)} &= {latex(right)}" for left, right in result.formulas)
    yield from (f"x &= {latex(value)}" for value in result.eigenvalues)
    for block in result.large_blocks:
        yield f"0 &= \\det(x - B) = \\textstyle\\sum_i a_i x^i, \\qquad B = {latex(block)}"
        for i, coefficient in enumerate(characteristic(block)):
            first, *rest = coefficient.as_ordered_terms()
            yield f"a_{block.rows - i} &= {latex(first)}"
            yield from (f"&\\quad {'' if latex(term).startswith('-') else '+ '}{latex(term)}" for term in rest)


SPECIAL = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}


def _escaped(text: str) -> str:
    """Words for LaTeX's text mode."""
    return "".join(SPECIAL.get(letter, rf"\{letter}" if letter in "_&%#${}" else letter) for letter in text)
