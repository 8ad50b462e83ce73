"""Chat4All: a messaging backend in which every acknowledged message is there once, in order."""

__version__ = "0.1.0"
