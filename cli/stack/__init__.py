"""The local stack: private servers and the programs, under one supervisor, steered from any terminal."""
