from .engine import CompiledEngine as CompiledEngine
from .setup import has_options as has_options
