"""What every test shares: property tests are not timed, for the machine may be busy."""

from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
