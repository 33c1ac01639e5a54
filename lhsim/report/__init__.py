"""How results look: tables as text."""
