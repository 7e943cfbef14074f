"""The version of latentdial."""

VERSION = "0.1.0"
