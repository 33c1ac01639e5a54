from .alerts import Alert as Alert
from .communication import AgentCommunicationMetrics as AgentCommunicationMetrics
from .latency import Latency as Latency
from .thresholds import THRESHOLDS as THRESHOLDS
from .thresholds import Threshold as Threshold
