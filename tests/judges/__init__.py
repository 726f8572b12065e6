"""Outside judges: Stripe's own OpenAPI document, and stripe-mock. Both come by Go and stay outside this project."""
