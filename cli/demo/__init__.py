"""`holdfast demo`: an outage and what becomes of the writes, told in the terminal."""
