"""The site: `make docs` builds it into docs/_build/html, and every warning is an error.

Sphinx, since the reference is made of docstrings (autodoc), the gallery of scripts that run (sphinx-gallery), and
every reference, anchor and citation is checked while the site is built, without a network.
"""

import os
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
HOUSE = HERE.parent
sys.path[:0] = [str(HOUSE), str(HERE / "_ext")]

project = "ufm"
author = "the ufm developers"
copyright = author
version = release = runpy.run_path(str(HOUSE / "ufm" / "version.py"))["__version__"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "citations",  # links from docstrings to the bibliography, and its style
    "typeset",  # mathematics as MathML
    "punctuation",  # which stays with the formula beside it
    "prose",  # docstrings, which are plain text
    "names",  # what docstrings say of a list of names
    "public_names",  # links to the names under which things are public
    "sections",  # links from docstrings to the theory
    "drawings",  # figures of the gallery, and its links to the theory
    "commands",  # the command line's flags
    "record",  # links of the pages of results/ that are included
    "local_links",  # every link within the site leads somewhere
]
exclude_patterns = [
    "_build",
    "_ext",
    "**/README.md",
    "gallery/**/*.ipynb",
    "gallery/**/*.py",
    "sg_execution_times.rst",
]
nitpicky = True
nitpick_ignore_regex = [  # what others document, and names of types that are no objects
    (r"py:.*", r"(torch|np|numpy|sp|sympy|flint|matplotlib|collections|pathlib|typing|types|numbers)\..*"),
    (r"py:.*", r"(nn|lightning|transformers|torchmetrics)\..*|Module|Options"),
]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
myst_dmath_allow_labels = True

smartquotes = False  # -- is of flags
html_math_renderer = "mathml"
math_numfig = False

bibtex_bibfiles = [str(HERE / "references.bib")]
bibtex_reference_style = "round_brackets"
bibtex_default_style = "plain"

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_mock_imports = ["lightning", "transformers"]  # extras, which take long to import
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 96

html_theme = "furo"
html_title = f"ufm {release}"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

linkcheck_timeout = 30
linkcheck_retries = 2
linkcheck_anchors = False

# The tests build the site without running the gallery; tests of its own run it.
suppress_warnings = ["sphinx_gallery.space_in_filename"]  # of a space in the path of the checkout
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/[a-z]\w*\.py$",
    "ignore_pattern": r"__init__\.py",
    "plot_gallery": os.environ.get("UFM_DOCS_GALLERY", "run") == "run",
    "image_scrapers": ("drawings.scraper",),
    "capture_repr": ("_repr_html_",),  # results as tables; figures are the scraper's
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "matplotlib_animations": False,
}
