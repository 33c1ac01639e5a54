"""The experiments, and the command line that runs them: ``python -m lhsim.experiments NAME``."""
