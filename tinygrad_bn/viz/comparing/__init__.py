"""Holding two graphs against each other: which node of the one is which node of the other, and what differs.

`modules` arranges the nodes of a graph in the tree of their modules, `matching` pairs the nodes of two such trees with
the algorithms of `sequences`, `moves` tells which of the pairs have moved, and `records` holds what was found.
"""
