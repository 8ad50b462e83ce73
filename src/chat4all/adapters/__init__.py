"""Adapters: a folder a technology. They implement ports and never import each other."""
