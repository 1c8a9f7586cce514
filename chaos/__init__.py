"""Breaks the running system on purpose and proves, from what its clients saw, that every guarantee held."""
