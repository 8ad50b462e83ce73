"""The commands of `chat4all`, a module each.

`chat4all.cli` loads a module when its command is called, so that `chat4all --help` is quick.
"""
