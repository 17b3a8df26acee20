"""``python -m portable.cli``."""

import sys

from portable.cli.parser import main

sys.exit(main())
