"""A page in a real browser, and what a script that stands in for its reader found there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"no Chromium here (looked for {', '.join(NAMES)})")

READER = """
<script>
const overflowing = () => [document.documentElement, ...document.querySelectorAll(".scroll")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.getAttribute("aria-label") ?? one.tagName);
const said = (() => { %s })();
const output = Object.assign(document.createElement("output"), { id: "said", textContent: JSON.stringify(said) });
document.body.append(output);
</script></body>"""


def opened(file: Path, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """(the document as the browser has it, the lines of its console)."""
    assert BROWSER is not None
    profile = f"--user-data-dir={folder / 'profile'}"
    quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", profile)
    command = [BROWSER, *quiet, "--enable-logging=stderr", "--dump-dom", *flags, file.as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout, [line for line in answer.stderr.splitlines() if "CONSOLE" in line]


def driven(text: str, script: str, folder: Path, *flags: str) -> Any:
    """What the body of a function found that runs in the page after its own scripts; the console must stay silent.

    It may call overflowing(): what scrolls sideways.
    """
    file = folder / "driven.html"
    file.write_text(text.replace("</body>", READER % script), encoding="utf-8")
    document, console = opened(file, folder, *flags)
    assert console == [], console
    found = re.search(r'<output id="said">(.*?)</output>', document, re.S)
    assert found is not None, document[-2000:]
    return json.loads(found.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
