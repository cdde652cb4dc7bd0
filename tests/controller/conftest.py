"""The profile of the properties: a busy machine is no reason to fail."""

from __future__ import annotations

from hypothesis import settings
from tests.properties.conftest import HOUSE

settings.load_profile(HOUSE)
