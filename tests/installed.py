"""This project as it is installed, in a process that sees nothing else of it: from a checkout, or from a wheel.

Python runs with -S, so that no .pth file of this environment takes part, and the environment's packages come last.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from functools import cache
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
# A line on standard input is a program, its arguments, its folder, what comes last on its path, and where its output
# goes; its exit status is answered. Frozen, what is imported is not copied when a child ends.
FORK = """
import gc, json, multiprocessing, os, sys
own = sys.path[:]
sys.path += json.loads(sys.argv.pop())
import joblib, torch, scipy.fft, scipy.integrate, scipy.optimize
sys.path[:] = own
gc.collect()
gc.freeze()

def carry_out(program, arguments, folder, places, said):
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{said}/{name}", os.O_WRONLY | os.O_CREAT), number)
    sys.argv += arguments
    sys.path += places
    exec(program, {"__name__": "__main__", "sys": sys})

for line in sys.stdin:
    child = multiprocessing.get_context("fork").Process(target=carry_out, args=json.loads(line))
    child.start()
    child.join(300)
    child.kill()
    child.join()
    print(child.exitcode, flush=True)
"""
MODULE = "import runpy\nrunpy.run_module('ufm', run_name='__main__', alter_sys=True)\n"


def run(program: str, *arguments: str, cwd: Path, wheel: Path | None = None) -> subprocess.CompletedProcess:
    """The program in the folder cwd, which comes first on its path; from the folder of a wheel, or the checkout.

    In a process of its own, forked from one that has imported torch and scipy (which takes seconds), nothing of ours.
    """
    places = [*([str(wheel)] if wheel else []), *_environment()]
    program = program if wheel else EDITABLE.format(house=str(HOUSE)) + program
    with tempfile.TemporaryDirectory() as said:
        host = _host()
        host.stdin.write(json.dumps([program, arguments, str(cwd), places, said]) + "\n")
        host.stdin.flush()
        code = int(host.stdout.readline())
        texts = [Path(said, name).read_text() for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(program, code, *texts)


@cache
def _host() -> subprocess.Popen:
    """The process that others are forked from; it ends with this one."""
    keep = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    command = [sys.executable, "-S", "-c", FORK, json.dumps(list(_environment()))]
    environment = keep | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


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
