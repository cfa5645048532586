"""The HTTP and WebSocket routes, one file per theme."""
