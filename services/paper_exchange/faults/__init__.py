"""How the venue misbehaves on demand: rules that strike requests and events, and what they do."""
