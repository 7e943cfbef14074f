"""Which pictures do not belong: scores fitted to normal pictures, calibrated on others, kept with the run."""
