"""The suites: questions whose runs are a few cases of each system, and whose answer is a sentence.

Each module holds one of them: its cases, its figures, its table, its plot and its answer. How they
are run, shown and kept is in `lhsim.experiments.suites.suite`.
"""
