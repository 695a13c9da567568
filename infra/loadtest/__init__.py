"""What a request costs: load on one machine, measured at the process that serves it."""
