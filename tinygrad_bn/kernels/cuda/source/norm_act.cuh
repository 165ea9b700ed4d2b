// Batch normalisation and an activation, in both orders and both ways; and an activation alone.
