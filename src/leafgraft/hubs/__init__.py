"""Data sets of Hugging Face and TensorFlow Datasets, brought once as files and a list of them."""
