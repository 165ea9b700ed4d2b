// Sums over the threads of a block and over the blocks of a grid, always in the same order.
