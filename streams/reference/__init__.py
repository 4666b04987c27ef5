"""The parts of docs/ that the code knows better: settings, topics, fields of events, an alert, commands.

`python -m streams.reference` writes them anew; a test holds them to the code.
"""
