from . import engines as engines
from . import horizons as horizons
from . import memory as memory
from .engines import ENGINES as ENGINES
from .meaning import MEANING as MEANING
from .result import Result as Result
from .run import SAMPLES as SAMPLES
from .simulator import simulate as simulate
