"""What `chat4all` can be told, a module a command.

`chat4all.cli` loads a module when its command is called, so that `chat4all --help` is quick.
"""
