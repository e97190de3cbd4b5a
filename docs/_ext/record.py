"""Links of the record's pages: those of results/ are included, and what they link to comes along into the site.

A link to a page of the record leads to where it is included, under the label results-FOLDER.
"""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils import get_source_line
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.osutil import relative_uri

RESULTS = Path(__file__).parents[2] / "results"


class Links(SphinxPostTransform):
    """Resolves, before Markdown's own links are looked for, those from a page of results/ to a file there."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        for node in list(self.document.findall(pending_xref)):
            page = Path(get_source_line(node)[0] or "").resolve()
            if node["reftype"] == "myst" and RESULTS in page.parents:
                file = (page.parent / node["reftarget"]).resolve()
                uri = self._address(file) if RESULTS in file.parents and file.is_file() else ""
                if uri:
                    link = relative_uri(self.app.builder.get_target_uri(self.env.docname), uri)
                    node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=link))

    def _address(self, file: Path) -> str:
        """Where in the site a page is included, or a copy of another file is."""
        if file.name != "README.md":
            return copied(self.app, file)
        page, label = self.env.domains["std"].data["anonlabels"].get(f"results-{file.parent.name}", ("", ""))
        return f"{self.app.builder.get_target_uri(page)}#{label}" if label else ""


def copied(app: Sphinx, file: Path) -> str:
    """The address of a copy, which is made with the pages."""
    uri = f"record/{file.relative_to(RESULTS).as_posix()}"
    copy = Path(app.outdir) / uri
    if app.builder.format == "html" and not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return uri


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(Links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
