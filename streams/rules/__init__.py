"""Sigma rules from files: read, checked, tried on their own examples. pySigma is used here alone, when needed."""
