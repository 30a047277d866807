"""Photos in, small crops and facts out: all opening of image files, in processes of its own."""
