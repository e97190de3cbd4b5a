"""Links of the record's pages: those of results/ are included, and what they link to comes along into the site.

A link to a page of the record leads to where it is included, under the label results-FOLDER.
"""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.osutil import relative_uri

RESULTS = Path(__file__).parents[2] / "results"


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
    """A link to a file of results/, from a page that is there itself."""
    page = Path(node.source or "")
    file = (page.parent / node["reftarget"]).resolve()
    if RESULTS not in page.resolve().parents or RESULTS not in file.parents or not file.is_file():
        return None
    uri = _included(app, env, file) if file.name == "README.md" else _copied(app, file)
    here = app.builder.get_target_uri(node["refdoc"])
    return nodes.reference("", "", *content.children, internal=True, refuri=relative_uri(here, uri)) if uri else None


def _included(app: Sphinx, env: BuildEnvironment, file: Path) -> str:
    labels = env.domains["std"].data["anonlabels"]
    found = labels.get(f"results-{file.parent.name}")
    return f"{app.builder.get_target_uri(found[0])}#{found[1]}" if found else ""


def _copied(app: Sphinx, file: Path) -> str:
    """Where in the site a copy of the file is."""
    uri = f"record/{file.relative_to(RESULTS).as_posix()}"
    copy = Path(app.outdir) / uri
    if app.builder.format == "html" and not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return uri


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
