"""The log judged and told, for `billing audit`: nothing here trusts what the engine or a projection holds."""
