"""Sites built in a process of their own, without a network and without running the gallery."""

import os
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[2]
DOCS = HOUSE / "docs"
EXTENSIONS = DOCS / "_ext"
OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise OSError("no network here")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""
STRICT = ("--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "--builder", "html")


def build(out: Path, source: Path = DOCS, *flags: str) -> subprocess.CompletedProcess:
    """`make docs` of a folder into another, with the settings of docs/conf.py."""
    environment = os.environ | {"UFM_DOCS_GALLERY": "skip", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", OFFLINE, *STRICT, "--conf-dir", str(DOCS), "--doctree-dir", f"{out}-doctrees"]
    return subprocess.run([*command, *flags, str(source), str(out)], env=environment, capture_output=True, text=True)
