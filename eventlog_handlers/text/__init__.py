"""Rules for text that know nothing of logging: fitting, sharing out room, templates, JSON, patterns. Pure."""
