"""What made a result: versions of the code and of what it stands on."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("ufm", "torch", "numpy", "scipy")


def provenance() -> dict[str, Any]:
    """{"versions": {package: version}, "git": revision or None}, as plain data for JSON."""
    return {"versions": {"python": platform.python_version()} | _versions(), "git": _git_revision()}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git_revision() -> str | None:
    """The revision of the code when it runs from a checkout, with "+changes" if files differ from it."""
    here = Path(__file__).parent
    answers = []
    for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            answer = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if answer.returncode:
            return None
        answers.append(answer.stdout.strip())
    revision, changes = answers
    return f"{revision}+changes" if changes else revision
