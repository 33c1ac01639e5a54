"""What is measured: the seed's metrics, latencies, their histogram, and the alert thresholds."""

from lhsim.metrics.alerts import Alert
from lhsim.metrics.communication import AgentCommunicationMetrics
from lhsim.metrics.latency import Latency
from lhsim.metrics.thresholds import THRESHOLDS, Threshold

__all__ = ["THRESHOLDS", "AgentCommunicationMetrics", "Alert", "Latency", "Threshold"]
