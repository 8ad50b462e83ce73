"""Metrics for Prometheus: a registry for each process, and wrappers that measure a port.

Names begin with `chat4all_`, those of the router with `chat4all_router_`, so that the text of a
router in another process can follow a gateway's. docs/operations/metrics.md has them all.
"""

from chat4all.adapters.prometheus.router import RouterMetrics
from chat4all.adapters.prometheus.service import GatewayMetrics, MetadataMetrics, ServiceMetrics

__all__ = ["GatewayMetrics", "MetadataMetrics", "RouterMetrics", "ServiceMetrics"]
