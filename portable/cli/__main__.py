"""``python -m portable.cli``."""

import sys

from portable.cli.start import main

sys.exit(main())
