"""The commands of ``python main.py COMMAND``, one module each. Each imports its needs when it is called."""
