"""What all tests share: how hard hypothesis tries."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadlines: the machine's speed is not what a property states.
# The same examples every time: a red test means the change, not the dice. 'make fuzz' throws the dice.
settings.register_profile("test", deadline=None, derandomize=True, max_examples=100)
settings.register_profile(
    "fuzz", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("test")
