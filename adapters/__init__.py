"""One file per vendor and role, and the assembly that wires them."""
