"""admit: what carriers send is validated, its identities turned into tokens, and packed for the parcel log."""
