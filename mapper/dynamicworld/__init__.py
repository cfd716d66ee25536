"""What the network learns from: chips of pixels with the class of each."""
