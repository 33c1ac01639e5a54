"""Where latencies come from, and what would shorten them (D2): `lhsim.explain`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
