"""relate: what is known of each parcel, and the reason it gives for a person to have read it."""
