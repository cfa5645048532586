"""A pack that wants to end the process."""

import sys

sys.exit("a library is missing")
