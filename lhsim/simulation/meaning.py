"""The version of what a run means.

To be raised by whoever changes a figure of an unchanged run: results that were kept under another
one are not used again.
"""

MEANING = 3
