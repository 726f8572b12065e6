"""Measurements, each beside the limit of the machine or beside what others offer, so that figures are ratios."""
