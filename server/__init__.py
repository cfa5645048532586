"""The server: HTTP and WebSocket, a queue that survives, workers that may die. Imports neither torch nor nodes/."""
