"""A payment provider of our own that speaks Stripe's API, for machines that may not or need not reach the real one.

It keeps the money's books in one SQLite file, answers what Stripe documents, and has switches for a provider's bad
days. The adapter in `infra.stripe` cannot tell it from Stripe: only the base address differs.
"""
