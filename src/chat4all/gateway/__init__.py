"""The gateway: what clients talk to."""

from chat4all.gateway.app import make_gateway

__all__ = ["make_gateway"]
