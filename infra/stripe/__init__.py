"""Stripe: the adapter by the official SDK, its webhooks, and its rules about amounts."""
