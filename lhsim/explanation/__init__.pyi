from .explanation import Explanation, answer, ask, explain

__all__ = ["Explanation", "answer", "ask", "explain"]
