"""LaTeX as MathML that browsers typeset by themselves: no script, no font and no network are needed.

latex2mathml converts. Browsers know MathML Core, which is less than what it writes, and some commands and environments
it passes over in silence: REWRITTEN stands in for those before, MENDED makes Core of its tree after. LaTeX that is left
in the result is an error.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

from latex2mathml.converter import convert

REWRITTEN = (  # commands and environments that latex2mathml does not know, by those that it does
    (r"\\(begin|end)\{(?:aligned|alignedat|align)\}", r"\\\1{align*}"),
    (r"\\begin\{gathered\}", r"\\begin{array}{c}"),
    (r"\\end\{gathered\}", r"\\end{array}"),
    (r"\\(?:begin|end)\{equation\*?\}", ""),
    (r"(\\[bB]igg?[lrm]?)\s*\\[lr]?Vert(?![a-zA-Z])", r"\1\\|"),
    (r"(\\[bB]igg?[lrm]?)\s*\\[lr]?vert(?![a-zA-Z])", r"\1|"),
    (r"(?<!\\left)(?<!\\right)\\lVert(?![a-zA-Z])", r"\\left\\Vert "),
    (r"(?<!\\left)(?<!\\right)\\rVert(?![a-zA-Z])", r"\\right\\Vert "),
    (r"(?<!\\left)(?<!\\right)\\lvert(?![a-zA-Z])", r"\\left\\vert "),
    (r"(?<!\\left)(?<!\\right)\\rvert(?![a-zA-Z])", r"\\right\\vert "),
    (r"\\(left|right)\\[lr](Vert|vert)(?![a-zA-Z])", r"\\\1\\\2 "),
    (r"\\(arg|tr)(?![a-zA-Z])", r"\\operatorname{\1}"),
    (r"\{,\}", r"\\text{,}"),
    (r"\\mathop\{\\(?:mathrm|operatorname)\{(\w+)\}\}", r"\\operatorname{\1}"),
)
ENVIRONMENTS = {
    "align*",
    "split",
    "array",
    "cases",
    *(f"{kind}matrix" for kind in ("", "p", "b", "B", "v", "V", "small")),
}
DEFINITIONS = {"newcommand", "newenvironment", "def", "DeclareMathOperator"}  # passed over: each formula stands alone
FONTS = {
    f"math{style}" for style in ("bb", "bf", "cal", "frak", "it", "rm", "scr", "sf", "tt", "op")
}  # others are lost
DELIMITERS = {  # after \bigl and its kin they are left as they stand
    r"\|": "‖",
    r"\Vert": "‖",
    r"\vert": "|",
    r"\{": "{",
    r"\}": "}",
    r"\langle": "⟨",
    r"\rangle": "⟩",
}
NAMES = {"log", "ln", "exp", "sin", "cos", "tan", "tanh", "sinh", "cosh", "dim", "ker", "deg", "arg"}
LIMITS = {"min", "max", "sup", "inf", "lim", "liminf", "limsup", "argmin", "argmax", "det", "gcd", "Pr"}
SUMS = set("∑∏")  # they take limits too: above and below where there is room
ORDINARY = set("∞∅⊤∂∇…⋯⋮⋱′∀∃¬")  # symbols that stand as letters do
CAPITALS = set("ΓΔΘΛΞΠΣΥΦΨΩ")  # upright, as TeX has them
ACCENTS = {"~": "˜", "^": "ˆ", "¯": "¯", "˙": "˙", "¨": "¨", "→": "→", "―": "¯", "ˇ": "ˇ", "⃗": "→"}
SPACES = {
    "negativethinmathspace": "-0.167em",
    "negativemediummathspace": "-0.222em",
    "negativethickmathspace": "-0.278em",
}
STYLES = {
    "bold": "BOLD",
    "bold-italic": "BOLD ITALIC",
    "script": "SCRIPT",
    "fraktur": "FRAKTUR",
    "double-struck": "DOUBLE-STRUCK",
    "sans-serif": "SANS-SERIF",
    "monospace": "MONOSPACE",
}
UNDER = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
SCRIPTS = {*UNDER, *UNDER.values()}
ROWS = {"mrow", "mtd", "math", "mstyle", "msqrt"}
THIN = "0.167em"

Element = ElementTree.Element


def mathml(latex: str, display: bool = False) -> str:
    """The element <math>. ValueError says what of the formula could not be converted."""
    written = latex
    braces = re.findall(r"(?<!\\)[{}]", latex)
    if braces.count("{") != braces.count("}"):
        raise ValueError("its braces do not balance")
    for pattern, instead in REWRITTEN:
        written = re.sub(pattern, instead, written)
    unknown = set(re.findall(r"\\begin\{(.*?)\}", written)) - ENVIRONMENTS
    if unknown:
        raise ValueError(f"no such environment: {' '.join(sorted(unknown))}")
    lost = (
        DEFINITIONS.intersection(_commands(latex)) | {name for name in _commands(latex) if name[:4] == "math"} - FONTS
    )
    if lost:
        raise ValueError("not known: " + " ".join("\\" + name for name in sorted(lost)))
    try:
        made = convert(written.strip(), display="block" if display else "inline")
        root = ElementTree.fromstring(made.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
    except ElementTree.ParseError as error:
        raise ValueError("an & is outside of what it aligns") from error
    except Exception as error:  # of many kinds, as the formula is wrong
        raise ValueError(f"{type(error).__name__} {error}") from error
    for mend in MENDED:
        for element in list(root.iter()):
            mend(element)
    left = sorted({text for text in root.itertext() if re.search(r"\\|[{}]\w|^[&_^]$", text)})
    if left:
        raise ValueError(f"not known: {' '.join(left)}")
    return ElementTree.tostring(root, encoding="unicode")


def _commands(latex: str) -> list[str]:
    return re.findall(r"\\([a-zA-Z]+)", latex)


def _delimiter(element: Element) -> None:
    if element.tag == "mo" and element.text in DELIMITERS:
        element.text = DELIMITERS[element.text]


def _upright(element: Element) -> None:
    r"""\mathrm{diag}: one identifier in place of four; several letters are upright by themselves."""
    normal = [e for e in element if e.tag == "mi" and e.get("mathvariant") == "normal" and (e.text or "").isalpha()]
    if element.tag == "mrow" and len(element) == len(normal) > 1:
        _become(element, "mi", "".join(e.text or "" for e in normal))


def _become(element: Element, tag: str, text: str) -> None:
    element.tag, element.text = tag, text
    for child in list(element):
        element.remove(child)
    element.attrib.clear()


def _styled(element: Element) -> None:
    """Letters of another style by their own characters: browsers take no `mathvariant` but "normal"."""
    style = STYLES.get(element.get("mathvariant", ""))
    if style:
        element.text = "".join(_letter(letter, style) for letter in element.text or "")
        del element.attrib["mathvariant"]


def _letter(letter: str, style: str) -> str:
    name = re.sub(r"^(LATIN|GREEK) | LETTER", "", unicodedata.name(letter))
    for full in (f"MATHEMATICAL {style} {name}", f"{style} {name}", f"MATHEMATICAL BOLD {name}"):
        try:
            return unicodedata.lookup(full)
        except KeyError:
            continue
    return letter


def _operator(element: Element) -> None:
    """Relations that stand as letters become operators, and operators that stand for themselves letters."""
    text = element.text or ""
    if element.tag == "mi" and len(text) == 1 and text not in ORDINARY and text not in "#&%†":
        kind = unicodedata.category(text)
        if kind == "Sm" or text in "~:":
            element.tag, element.text = "mo", text.replace("~", "∼")
        elif kind in ("Ps", "Pe"):
            element.tag = "mo"
            element.attrib |= {"stretchy": "false", "form": "prefix" if kind == "Ps" else "postfix"}
    elif element.tag == "mo" and text in ORDINARY:
        _become(element, "mi", text)
    if element.tag == "mi" and (element.text in ORDINARY or text in CAPITALS):
        element.set("mathvariant", "normal")


def _bar(element: Element) -> None:
    """A slash, a stop, and a bar that does not say which side it closes have no space about them and do not stretch."""
    if element.tag == "mo" and element.text in ("|", "‖", "/", ".") and element.get("stretchy") != "true":
        element.attrib |= {"stretchy": "false", "lspace": "0", "rspace": "0"}


def _accent(element: Element) -> None:
    over = element[1] if element.tag == "mover" and len(element) == 2 else None
    if over is not None and over.tag == "mo" and over.text in ACCENTS:
        over.text = ACCENTS[over.text]
        over.attrib.pop("accent", None)
        over.set("stretchy", str(len("".join(element[0].itertext())) > 1).lower())
        element.set("accent", "true")


def _space(element: Element) -> None:
    if element.tag == "mspace":
        element.set("width", SPACES.get(element.get("width", ""), element.get("width", "0")))


def _word(element: Element) -> None:
    """Functions by name: those that take limits as operators, others as identifiers. `_apart` sets them off."""
    text = (element.text or "").replace("\N{SIX-PER-EM SPACE}", "")
    if element.tag not in ("mi", "mo") or len(element) or not (len(text) > 1 and text.isalpha()):
        return
    if text in LIMITS:
        _become(element, "mo", text)
        element.attrib |= {"movablelimits": "true", "lspace": "0", "rspace": "0"}
    elif element.tag == "mo" or text in NAMES:
        _become(element, "mi", text)
        element.set("class", "function")


def _limits(element: Element) -> None:
    if element.tag in UNDER and _core(element).text in LIMITS | SUMS:
        element.tag = UNDER[element.tag]


def _core(element: Element) -> Element:
    """What carries the scripts."""
    while len(element) and (element.tag in SCRIPTS or (element.tag == "mrow" and len(element) == 1)):
        element = element[0]
    return element


def _is_function(element: Element) -> bool:
    core = _core(element)
    return core.get("class") == "function" or (core.tag == "mo" and core.text in LIMITS)


def _sign(row: Element) -> None:
    """A sign after an operator or an opening bracket belongs to what follows it."""
    for before, child in pairwise(row):
        closes = before.get("form") == "postfix" or (before.text or "") in (")", "]", "}", "|", "‖", "!")
        if row.tag in ROWS and child.tag == before.tag == "mo" and child.text in ("−", "+", "±", "∓") and not closes:
            child.set("form", "prefix")


def _apart(row: Element) -> None:
    """A thin space between a function's name and what is beside it, but for brackets and operators."""
    if row.tag not in ROWS:
        return
    children, spaced = list(row), []
    for before, child in zip([None, *children], children, strict=False):
        if before is not None and _meet(before, child):
            spaced.append(Element("mspace", width=THIN))
        spaced.append(child)
    row[:] = spaced


def _meet(left: Element, right: Element) -> bool:
    bracket = right.tag == "mrow" and len(right) and right[0].get("form") == "prefix"
    if _is_function(left):
        return not (right.tag in ("mspace", "mo") or bracket) or _is_function(right)
    return _is_function(right) and left.tag not in ("mspace", "mo") and not (left.tag == "mi" and not left.text)


MENDED: tuple[Callable[[Element], None], ...] = (
    _delimiter,
    _upright,
    _styled,
    _operator,
    _bar,
    _accent,
    _space,
    _word,
    _limits,
    _sign,
    _apart,
)
