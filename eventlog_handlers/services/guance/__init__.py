"""Guance and TrueWatch: POST /api/v1/events/create."""
