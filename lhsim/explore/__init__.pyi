from .answers import Answers as Answers
from .app import serve as serve
from .kept import keep as keep
from .page import kept_page as kept_page
from .page import live_page as live_page
from .state import State as State
from .state import candidates as candidates
