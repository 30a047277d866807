"""The library as people use it: search, show, edit, explain. No HTTP, no command line."""
