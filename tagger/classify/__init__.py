"""Crops in, probabilities and features out: the weights, and the engines that run them."""
