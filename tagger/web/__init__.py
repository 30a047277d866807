"""The web page: drop a picture and see what is in it, and look through the library."""
