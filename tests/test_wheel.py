"""The wheel: what is in it, and that it alone, in an empty folder, does what the checkout does."""

import json
import re
import shutil
import subprocess
import zipfile

import pytest

import ufm
from tests.installed import HOUSE, MODULE, run

pytestmark = pytest.mark.skipif(not (HOUSE / ".git").exists() or not shutil.which("git"), reason="needs git's list")

PLACE = "import pathlib, ufm\nassert pathlib.Path(ufm.__file__).is_relative_to(sys.argv[1]), ufm.__file__\n"


def test_what_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert {"ufm", "validate", "networks", "figures"} <= tops
    assert all(top in ("ufm", "validate", "networks", "figures") or top.startswith("ufm_") for top in tops)
    data = {"figures/drawing/style.mplstyle", "ufm_paper/page.md"}
    data |= {f"figures/runs/report.{kind}" for kind in ("html", "css")} | {"figures/pages/house.css"}
    data |= {f"{room}/py.typed" for room in ("ufm", "validate", "networks", "figures")}
    assert data <= set(names)


def test_every_module_and_every_other_file_of_a_room_is_in_it(wheel):
    """A new folder without __init__.py, or a new template that package_data does not name, is left out silently."""
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(["git", "ls-files"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    rooms = [name for name in listed.splitlines() if re.match(r"(ufm\w*|validate|networks|figures)/", name)]
    assert len(rooms) > 100
    assert [name for name in rooms if name not in names and (HOUSE / name).is_file()] == []


def test_its_version_and_command(wheel):
    files = zipfile.ZipFile(wheel)
    (entries,) = (name for name in files.namelist() if name.endswith("entry_points.txt"))
    assert "ufm = ufm_cli.main:main" in files.read(entries).decode()
    (metadata,) = (name for name in files.namelist() if name.endswith("dist-info/METADATA"))
    assert f"\nVersion: {ufm.__version__}\n" in files.read(metadata).decode()


def test_it_says_its_version(site, tmp_path):
    done = run(MODULE, "--version", cwd=tmp_path, wheel=site)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ufm {ufm.__version__}\n", "")


def test_every_room_is_imported_from_it(site, tmp_path):
    program = PLACE + "import networks, validate, figures, ufm_paper, ufm_cli.main\n"
    program += "for room in (networks, validate, figures, ufm_paper):\n"
    program += "    assert pathlib.Path(room.__file__).is_relative_to(sys.argv[1]), room.__file__\n"
    done = run(program, str(site), cwd=tmp_path, wheel=site)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_verifies_the_theorems(site, tmp_path):
    done = run(MODULE, "verify", "-K", "3", "-n", "2", "-d", "3", "--json", "out.json", cwd=tmp_path, wheel=site)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["versions"]["ufm"] == ufm.__version__
    assert "holds" in {verdict["status"] for verdict in found["verdicts"]}
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_it_writes_the_report_of_a_run(site, run_copy, tmp_path):
    """The page, its style and its script, and the style of the figures, are files beside the modules."""
    folder = tmp_path / "empty"
    folder.mkdir()
    done = run(MODULE, "report", str(run_copy.path), cwd=folder, wheel=site)
    assert (done.returncode, done.stderr) == (0, "")
    page = (run_copy.path / "report.html").read_text(encoding="utf-8")
    for file in ("runs/report.css", "pages/house.css", "pages/tables.js"):
        assert (HOUSE / "figures" / file).read_text(encoding="utf-8").strip()[:40] in page
    assert list(folder.iterdir()) == []
