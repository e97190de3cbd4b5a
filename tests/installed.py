"""This project as it is installed, in a process that sees nothing else of it: from a checkout, or from a wheel.

Python runs with -S, so that no .pth file of this environment takes part, and the environment's packages come last.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

HOUSE = Path(__file__).parents[1]

# What setuptools installs for an editable package: a finder that is asked after the folders of sys.path.
EDITABLE = """
import importlib.util, pathlib, sys
class Editable:
    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = pathlib.Path({house!r}) / name
        if "." not in name and (folder / "__init__.py").is_file():
            return importlib.util.spec_from_file_location(name, folder / "__init__.py")
sys.meta_path.append(Editable)
"""
START = "import sys\nsys.path += sys.argv.pop(1).split({separator!r})\n"
MODULE = "import runpy\nrunpy.run_module('ufm', run_name='__main__', alter_sys=True)\n"


def run(program: str, *arguments: str, cwd: Path, wheel: Path | None = None) -> subprocess.CompletedProcess:
    """The program in the folder cwd, which comes first on its path; from the folder of a wheel, or the checkout."""
    places = [*([str(wheel)] if wheel else []), *_environment()]
    start = START.format(separator=os.pathsep) + ("" if wheel else EDITABLE.format(house=str(HOUSE)))
    keep = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(
        [sys.executable, "-S", "-c", start + program, os.pathsep.join(places), *arguments],
        cwd=cwd,
        env=keep | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


# A process for each of several folders, forked from one that has imported what takes long.
IN_EACH = """
import os, joblib, torch, scipy.fft, scipy.integrate, scipy.optimize
for folder in sys.argv.pop(1).split(os.pathsep):
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}.{name}", os.O_WRONLY | os.O_CREAT), number)
        break
    with open(f"{folder}.returncode", "w") as file:
        file.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
else:
    sys.exit()
"""


def run_in_each(folders: list[Path], program: str, *arguments: str) -> list[subprocess.CompletedProcess]:
    """What `run` gives for each of the folders, from the checkout; files are left beside the folders."""
    parent = run(IN_EACH + program, os.pathsep.join(map(str, folders)), *arguments, cwd=folders[0].parent)
    assert (parent.returncode, parent.stderr) == (0, "")
    return [
        subprocess.CompletedProcess(program, int(said["returncode"]), said["stdout"], said["stderr"])
        for said in (
            {name: Path(f"{folder}.{name}").read_text() for name in ("returncode", "stdout", "stderr")}
            for folder in folders
        )
    ]


def _environment() -> Iterable[str]:
    return dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))


def copied(folder: Path) -> Path:
    """The files that git tracks, in a new folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (HOUSE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOUSE / name, folder / name)
    return folder


def built(source: Path, folder: Path) -> Path:
    """The wheel of a checkout, by `build` or, where it is not installed, by pip."""
    if find_spec("build"):
        order = ["build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    else:
        order = ["pip", "wheel", str(source), "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", *order], check=True, capture_output=True, text=True, cwd=folder.parent)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpacked(wheel: Path, folder: Path) -> Path:
    """The folder into which pip has installed the wheel, without what it stands on."""
    order = ["pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", *order, str(wheel)], check=True, capture_output=True, text=True)
    return folder
