"""Many triggers that wait in one event loop, ours beside those of other providers."""
