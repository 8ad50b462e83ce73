"""The commands of `chat4all`, a module each."""
