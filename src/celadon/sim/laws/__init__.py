"""What must hold in every world, at every step: the laws of the house as far as they can be seen from outside."""
