"""Adapters: a folder for each technology. They implement ports and never import each other."""
