"""How the unit tests are run."""

from hypothesis import settings

# A busy machine is no defect. Fewer examples than usual, since every change runs them all.
settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")
