"""The modules of this folder, and a bridge, by their names."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live")]  # importlib mode adds no folder by itself
