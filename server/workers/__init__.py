"""Workers: what holds the engine, and how the server talks to it."""
