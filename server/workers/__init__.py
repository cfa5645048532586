"""Workers: the processes or threads that hold an engine, and the server's connection to them."""
