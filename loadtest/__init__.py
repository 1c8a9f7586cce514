"""The load suite: users that write and read over HTTP, and a reckoning of every write at the end."""
