"""What ``python main.py COMMAND`` does, one module a command. Each imports what it needs when it is called."""
