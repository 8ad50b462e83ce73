"""The types and rules of a chat. Standard library only; everything else depends on this."""
