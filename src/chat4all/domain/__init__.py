"""The types and rules of a chat; everything else depends on this.

The standard library only, and what Unicode says, at a fixed version.
"""
