"""What results say: intervals over replications, the knee of a scaling curve, plots."""

import lazy_loader

# Plots by this way alone: matplotlib is loaded with the first of them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
