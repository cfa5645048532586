"""Other programs' HTTP interfaces: a request becomes a workflow, which runs as an ordinary job.

:mod:`~server.interfaces.runs` queues workflows and follows them, :mod:`~server.interfaces.pictures` takes pictures in
and hands them out, :mod:`~server.interfaces.dry_run` shows the workflow without running it.
"""
