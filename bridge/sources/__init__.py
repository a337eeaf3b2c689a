"""Sources: the inputs of the bridge."""
