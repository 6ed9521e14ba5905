"""What is wrong with a data set before anything learns from it: one kind of fault a file, arrays in, positions out."""
