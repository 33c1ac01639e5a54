"""Runs sets of independent cells, here, in other processes or on other machines, and keeps them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
