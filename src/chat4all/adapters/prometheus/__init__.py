"""Metrics for Prometheus: a registry for each process, and wrappers that measure a port.

Names begin with `chat4all_`, those of the router with `chat4all_router_`, so that the metrics of
a router in another process can be appended to a gateway's. docs/operations/metrics.md lists all.
"""

from chat4all.adapters.prometheus.router import RouterMetrics
from chat4all.adapters.prometheus.service import GatewayMetrics, MetadataMetrics, ServiceMetrics

__all__ = ["GatewayMetrics", "MetadataMetrics", "RouterMetrics", "ServiceMetrics"]
