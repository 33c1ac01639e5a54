"""Formats of logs, a module for each tool: where they are described, what they stamp and miss."""
