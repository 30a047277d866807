"""Which photos show the same picture, were taken in one series, or are files of one shot."""
