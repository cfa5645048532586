"""HTTP requests and WebSocket clients: limits, access control, errors, and the description of endpoints."""
