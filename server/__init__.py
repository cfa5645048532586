"""The server: HTTP, WebSocket, a persistent queue, and workers. It imports neither torch nor nodes/."""
