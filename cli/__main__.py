"""python -m cli: the same as the command `ufm`."""

import sys

from .main import main

sys.exit(main())
