"""The stages as a Faust process: transport, state, checkpoints, readiness."""
