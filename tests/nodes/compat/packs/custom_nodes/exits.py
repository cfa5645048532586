"""A pack that tries to end the process."""

import sys

sys.exit("a library is missing")
