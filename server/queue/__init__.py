"""Turns prompts into jobs, gives jobs to workers, and sends the workers' events to clients."""
