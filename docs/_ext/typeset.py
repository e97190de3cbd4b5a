"""Sphinx writes every formula as MathML. One that does not convert is a warning, and so an error of the build."""

from typing import Any

from docutils import nodes
from mathml import mathml
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.logging import getLogger

LOG = getLogger(__name__)


def written(node: nodes.Element, display: bool) -> str:
    """The formula of a node; the LaTeX as it stands, with a warning, where there is no way to write it."""
    latex = node.astext()
    try:
        return mathml(latex, display)
    except ValueError as error:
        LOG.warning("formula %r: %s", latex, error, location=node, type="math", subtype="mathml")
        return f"<code>{nodes.Text(latex).astext()}</code>"


def inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(written(node, display=False))
    raise nodes.SkipNode


def display(writer: Any, node: nodes.math_block) -> None:
    """A block, with its number and a link to itself where it has a label."""
    writer.body.append(writer.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node.get("number"):
        writer.body.append(f'<span class="eqno">({node["number"]})')
        writer.add_permalink_ref(node, _("Link to this equation"))
        writer.body.append("</span>")
    writer.body.append(written(node, display=True))
    writer.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
