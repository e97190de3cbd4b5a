"""python -m ufm: the command `ufm`."""

import sys

from ufm_cli.main import main

sys.exit(main())
