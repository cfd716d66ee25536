"""The ground: which countries there are, how they are gridded, what can cover them."""
