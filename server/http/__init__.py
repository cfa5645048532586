"""Requests and WebSocket clients: limits, safety, errors, and the description of endpoints."""
