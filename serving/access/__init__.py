"""Who may call what: API keys, roles and scopes, rates, tickets, and an audit of the changes."""
