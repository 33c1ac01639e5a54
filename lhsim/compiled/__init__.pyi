from .building import seconds_left as seconds_left
from .engine import CompiledEngine as CompiledEngine
from .setup import has_options as has_options
from .setup import kind_of as kind_of
