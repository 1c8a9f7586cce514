"""One behavioural suite per port. Run each over every adapter of that port."""
