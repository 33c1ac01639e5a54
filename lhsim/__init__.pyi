from .errors import InputError as InputError
from .errors import InvariantError as InvariantError
from .errors import LhsimError as LhsimError
from .experiments.comparing import Differences as Differences
from .experiments.comparing import compare as compare
from .experiments.folder import ResultFolder as ResultFolder
from .experiments.folder import load as load
from .experiments.sweep import Sweep as Sweep
from .experiments.sweep import sweep as sweep
from .explanation import Explanation as Explanation
from .explanation import explain as explain
from .library import load_system as load_system
from .library import systems as systems
from .planning.decision import Decision as Decision
from .planning.decision import decide as decide
from .planning.screening import Sensitivity as Sensitivity
from .planning.screening import sensitivity as sensitivity
from .planning.search import Capacity as Capacity
from .planning.search import capacities as capacities
from .planning.search import capacity as capacity
from .simulation import Result as Result
from .simulation import simulate as simulate

__version__: str
