"""`python -m ntkscope.cli`, where the command is not on the path."""

import sys

from ntkscope.cli import main

sys.exit(main())
