"""Write the notebooks beside this file out of scripts of the gallery.

`python examples/notebooks/make.py` does it.

Edit the scripts, never the notebooks: a test compares them.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BIBLIOGRAPHY = HERE.parents[1] / "docs" / "references.bib"
SCRIPTS = ("plot_label_smoothing", "plot_squared_error")
MARKDOWN = (  # what the texts have of reST, and the same in Markdown
    (r"^(.+)\n=+$", r"# \1"),
    (r"^(.+)\n-+$", r"## \1"),
    (r"^\.\. math:: (.+)$", r"$$\1$$"),
    (r":math:`([^`]+)`", r"$\1$"),
    (r"``([^`]+)``", r"`\1`"),
)
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
}


def blocks(script: str) -> list[tuple[str, str]]:
    """The texts and codes of a script, in order, as ("markdown" or "code", source)."""
    start, *rest = re.split(r"^# %%.*\n", script, flags=re.M)
    docstring = ast.parse(start).body[0]
    first = "".join(start.splitlines(keepends=True)[docstring.end_lineno :])
    found = [("markdown", ast.get_docstring(ast.parse(start))), ("code", first)]
    for block in rest:
        comment = re.match(r"(?:#.*\n)*", block)[0]
        found += [
            ("markdown", re.sub(r"^# ?", "", comment, flags=re.M)),
            ("code", block[len(comment) :]),
        ]
    return [(kind, text.strip()) for kind, text in found if text.strip()]


def in_markdown(text: str) -> str:
    """A text of a script, which is reST, with names and years in place of citations."""
    text = re.sub(
        r":cite:t:`(\w+)`", lambda found: "{} ({})".format(*cited(found[1])), text
    )
    text = re.sub(
        r":cite:p:`([\w,]+)`",
        lambda found: f"({'; '.join(map(said, found[1].split(',')))})",
        text,
    )
    for pattern, instead in MARKDOWN:
        text = re.sub(pattern, instead, text, flags=re.M)
    return text


def said(key: str) -> str:
    """An entry of the bibliography within brackets: "Zhu et al. 2021"."""
    return " ".join(cited(key))


def cited(key: str) -> tuple[str, str]:
    """("Zhu et al.", "2021") of an entry of the bibliography; KeyError without it."""
    entries = re.split(r"^@\w+\{", BIBLIOGRAPHY.read_text(encoding="utf-8"), flags=re.M)[1:]
    (entry,) = [entry for entry in entries if entry.startswith(f"{key},")] or [None]
    if entry is None:
        raise KeyError(f"{key} is not in {BIBLIOGRAPHY.name}")
    fields = dict(re.findall(r"^\s*(author|year)\s*=\s*[{\"]?(.+?)[}\"]?,?$", entry, re.M))
    names = [
        re.sub(r"[{}]", "", name.split(",")[0].strip())
        for name in fields["author"].split(" and ")
    ]
    listed = (
        names[0]
        if len(names) == 1
        else " and ".join(names)
        if len(names) == 2
        else f"{names[0]} et al."
    )
    return listed, fields["year"]


def notebook(script: str) -> dict[str, Any]:
    """The script as a notebook (nbformat 4.5), not run."""
    cells = []
    for i, (kind, source) in enumerate(blocks(script)):
        source = in_markdown(source) if kind == "markdown" else source
        cell = {
            "cell_type": kind,
            "id": f"cell-{i}",
            "metadata": {},
            "source": source.splitlines(keepends=True),
        }
        cells.append(
            cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        )
    return {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}


def written(name: str) -> str:
    """The text of the notebook of a script."""
    script = (HERE.parent / f"{name}.py").read_text(encoding="utf-8")
    return json.dumps(notebook(script), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCRIPTS:
        (HERE / f"{name}.ipynb").write_text(written(name), encoding="utf-8")
