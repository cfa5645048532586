"""Workers on a Ray cluster: the server's connection, the process that speaks to Ray, and the actor on each node."""
