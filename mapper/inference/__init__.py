"""From composites to classes: lattice windows, their blend, and the network's use."""
