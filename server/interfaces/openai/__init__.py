"""OpenAI's image interface: its parameters, the workflows that they mean, and its answers."""
