"""Elicitation by the Model Context Protocol: an agent asks another through a server of that kind.

It needs the libraries of the extra ``lhsim[mcp]``. What happens on the wire: docs/reference/mcp.md.
"""
