"""What attacks need besides: the bridges of the live tests, and the garbage."""

import sys
from pathlib import Path

for folder in ("attack", "live"):  # pytest's importlib mode adds no folder by itself
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
