"""What is measured: the seed's metrics, latencies, and their histogram."""

from lhsim.metrics.communication import AgentCommunicationMetrics
from lhsim.metrics.latency import Latency

__all__ = ["AgentCommunicationMetrics", "Latency"]
