"""`python -m tsfm`: the command line."""

import sys

from tsfm.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
