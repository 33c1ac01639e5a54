"""What all tests share."""

from hypothesis import settings

# The machine is shared, and the first call of a compiled function compiles it.
settings.register_profile("lhsim", deadline=None)
settings.load_profile("lhsim")
