"""The page of ``lhsim explore``: move a parameter, and see the latency, the capacity, the decision.

============  ==================================================================
`state`       what the page shows: a link, systems, a line of Python, a model file
`guard`       what may be asked, and runs that end when nobody waits
`answers`     the curve, the capacity and the decision, first briefly, then closely
`kept`        answers for a page without a server
`page`        one HTML file, over a server or over kept answers
`app`         the server on loopback, which does one computation at a time
============  ==================================================================
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
