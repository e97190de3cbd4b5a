"""Another's package or folder under one of our names is refused in one line that says which: checkout and wheel."""

from pathlib import Path

import pytest

import ufm_names
from tests.installed import HOUSE, MODULE, run
from ufm_cli.main import main
from ufm_names import NAMES, require_own

SCRIPT = "from ufm_cli.main import main\nsys.exit(main())\n"  # what pip installs as `ufm`, whose folder is not cwd
ROOMS = [name for name in NAMES if not name.startswith("ufm")]


def file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text("")
    return path


def plain_folder(folder: Path, name: str) -> Path:
    """Data, or pictures; Python takes it for a package in parts."""
    path = folder / name
    path.mkdir()
    return path


def package(folder: Path, name: str) -> Path:
    path = plain_folder(folder, name)
    (path / "__init__.py").write_text("")
    return path


KINDS = {"file": file, "plain folder": plain_folder, "package": package}


def refused(done, found: Path) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"ufm: Python finds {found} before ufm's own package {found.stem} in ")
    assert done.stderr.endswith("; rename or remove it, or start from another folder or environment\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", ROOMS)
def test_beside_an_editable_install(name, kind, tmp_path):
    found = kind(tmp_path, name)
    refused(run(MODULE, "solve", "-K", "2", cwd=tmp_path), found)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_foreign_ufm_is_refused_by_the_command(kind, tmp_path):
    """`python -m ufm` itself runs what is found; the installed command is asked here."""
    found = kind(tmp_path, "ufm")
    refused(run(SCRIPT, "solve", "-K", "2", cwd=tmp_path), found)


def test_nothing_is_refused_where_nothing_is_foreign(tmp_path):
    done = run(MODULE, "solve", "-K", "2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_help_is_given_all_the_same(arguments, tmp_path):
    plain_folder(tmp_path, "figures")
    assert run(MODULE, *arguments, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("room", ["networks", "figures", "ufm_paper"])
def test_in_python_it_is_an_import_error(room, kind, tmp_path):
    found = kind(tmp_path, "validate")
    done = run(f"import {room}", cwd=tmp_path)
    assert done.returncode == 1
    assert f"ImportError: Python finds {found} before ufm's own package validate" in done.stderr.splitlines()[-1]


def test_a_folder_that_a_room_does_not_need_does_no_harm_in_python(tmp_path):
    plain_folder(tmp_path, "figures")
    done = run("import networks", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_beside_a_wheel(site, tmp_path):
    """A plain folder comes after a package there; a file in the folder where Python starts comes first."""
    plain_folder(tmp_path, "figures")
    done = run(MODULE, "solve", "-K", "2", cwd=tmp_path, wheel=site)
    assert (done.returncode, done.stderr) == (0, "")
    found = file(tmp_path, "validate")
    refused(run(MODULE, "solve", "-K", "2", cwd=tmp_path, wheel=site), found)
    done = run("import networks", cwd=tmp_path, wheel=site)
    assert f"ImportError: Python finds {found} before" in done.stderr.splitlines()[-1]


def test_a_package_that_was_installed_over_ours(site, tmp_path):
    """configobj has a package `validate` too: pip lets the later of the two write over the earlier one's files."""
    ours = site / "validate" / "__init__.py"
    kept = ours.read_text()
    try:
        ours.write_text('"""Another\'s."""\n')
        done = run(MODULE, "train", "--epochs", "1", cwd=tmp_path, wheel=site)
    finally:
        ours.write_text(kept)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(ours) in done.stderr
    assert done.stderr.endswith("another package may have written over that file: install ufm again\n")


def test_what_is_ours_passes():
    require_own(*NAMES)
    assert {folder.parent.name for folder in HOUSE.glob("*/__init__.py")} - {"tests", "benchmarks"} == {
        *NAMES,
        "ufm_names",
    }


def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match=r"no package ufm_nowhere beside .*ufm_names; install ufm again"):
        require_own("ufm_nowhere")


def test_a_link_to_the_checkout_is_ours(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(HOUSE)
    monkeypatch.setattr(ufm_names, "HOME", tmp_path / "link")
    require_own(*NAMES)


def test_the_command_answers_in_this_process_too(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(ufm_names, "HOME", tmp_path)
    assert main(["solve", "-K", "2"]) == 2
    assert capsys.readouterr().err.startswith(f"ufm: Python finds {HOUSE / 'ufm'} before ufm's own package ufm in ")
