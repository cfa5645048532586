"""The folders that a workflow's file names refer to, and the only way from a name to a path.

A stub of the final module: the public signatures are settled, the bodies follow.
"""

class Folders: ...
