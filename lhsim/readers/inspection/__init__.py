"""What a request log shows, and what can be learnt from it: `inspect_requests(log)`."""

from lhsim.readers.inspection.comparison import compare
from lhsim.readers.inspection.inspection import Inspection, inspect_requests
from lhsim.readers.inspection.page import page

__all__ = ["Inspection", "compare", "inspect_requests", "page"]
