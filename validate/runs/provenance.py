"""What made a result: versions of the code and of what it stands on, the machine, and flags as they were given."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import ufm

PACKAGES = ("torch", "numpy", "scipy")


def provenance() -> dict[str, Any]:
    """{"versions": {package: version}, "git": revision or None, "machine": its kind}, as plain data for JSON."""
    versions = {"python": platform.python_version()} | _versions()
    return {"versions": versions, "git": _git_revision(), "machine": _machine()}


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as flags of a command line: --name value ..., and --name or --no-name for yes and no."""
    words: list[str] = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return words


def _machine() -> dict[str, Any]:
    """What computes here, without names: the processor's architecture, how many there are, torch's threads, the GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"processor": platform.machine(), "cpus": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu}


def _versions() -> dict[str, str]:
    found = {"ufm": ufm.__version__}
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
