"""What is measured: the seed's metrics, latencies, their histogram, and the alert thresholds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
