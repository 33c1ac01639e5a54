"""How the systems behave: SimPy processes, the reference meaning of every model.

Frozen classes describe a system, and are what a model file holds; the classes beside them in the
same module are its processes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
