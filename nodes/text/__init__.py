"""From a prompt to a conditioning: tokens, their weights, and the text encoder."""
