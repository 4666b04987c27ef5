"""Input formats: carriers' own logs become native access events. One format a file."""
