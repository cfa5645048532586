"""From a prompt to its run: prompts become jobs, jobs go to workers, events go to clients."""
