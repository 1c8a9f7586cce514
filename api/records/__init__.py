"""The hot routes, everything under `/v1/records/`: a plain ASGI callable, for the least work per request."""
