"""``python -m lhsim``, the same as the command ``lhsim``."""

from lhsim.cli import main

if __name__ == "__main__":  # worker processes import this module under another name
    main()
