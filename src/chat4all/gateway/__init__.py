"""The gateway: what clients talk to."""

from chat4all.gateway.app import make_gateway
from chat4all.gateway.pages import Pages

__all__ = ["Pages", "make_gateway"]
