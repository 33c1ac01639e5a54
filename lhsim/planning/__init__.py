"""Planning: how many agents a system holds, how large it has to be, and what that depends on.

>>> from lhsim.planning import ScaleOut, capacity
>>> ScaleOut(agents_per_server=2000).servers(10_000)
5
>>> capacity("polling", ["p99<1500ms"]).value  # doctest: +SKIP
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
