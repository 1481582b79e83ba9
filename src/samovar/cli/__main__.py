"""`python -m samovar.cli`."""

import sys

from samovar.cli import main

sys.exit(main())
