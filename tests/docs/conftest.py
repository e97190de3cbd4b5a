"""The site, built once for all workers, and the modules of docs/_ext."""

import sys

import pytest
from filelock import FileLock

from tests.docs.sites import EXTENSIONS, build

sys.path.append(str(EXTENSIONS))


@pytest.fixture(scope="session")
def built(tmp_path_factory, worker_id):
    """(the folder of the built site, what its builder said on standard error)."""
    home = tmp_path_factory.getbasetemp()
    shared = (home if worker_id == "master" else home.parent) / "built"
    said = shared.with_suffix(".txt")
    with FileLock(shared.with_suffix(".lock")):
        if not said.exists():
            done = build(shared)
            said.write_text(f"{done.returncode}\n{done.stderr}")
    return shared, said.read_text()
