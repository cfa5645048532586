"""The commands of ``python main.py COMMAND``, one module each. A command imports what it needs only when it runs."""
